package centre

import (
	"errors"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"loft.sh/agent/pkg/cli/failure"
	"loft.sh/agent/pkg/cli/network"
)

// explain says what an error of a request means for whoever typed the command. Refusals of a single
// object keep their status, so that callers can say more.
func (c *Client) explain(err error) error {
	var status apierrors.APIStatus
	switch {
	case apierrors.IsUnauthorized(err):
		return c.refusedKey()
	case errors.As(err, &status):
		return c.explainStatus(err, status)
	default:
		return c.explainNetwork(err)
	}
}

func (c *Client) explainStatus(err error, status apierrors.APIStatus) error {
	if status.Status().Code == http.StatusTooManyRequests {
		return &Unanswered{fmt.Errorf("%s has too much to do: try again (%w)", c.login.Host, err)}
	}
	if status.Status().Code >= http.StatusInternalServerError {
		return &Unanswered{fmt.Errorf("%s cannot answer: %w", c.login.Host, err)}
	}
	return fmt.Errorf("%s: %w", c.login.Host, err)
}

// Unanswered says that the manager did not answer, which says nothing about the request itself.
type Unanswered struct{ Err error }

// Error says why it did not answer.
func (u *Unanswered) Error() string { return u.Err.Error() }

// Unwrap returns what lies beneath.
func (u *Unanswered) Unwrap() error { return u.Err }

// refusedKey is a 401.
func (c *Client) refusedKey() error {
	return failure.NotLoggedInf("%s refused the access key: it is wrong, disabled or has ended; run 'loft login %s'", c.login.Host, c.login.Host)
}

func (c *Client) explainNetwork(err error) error {
	kind, text := network.Explain(err)
	message := fmt.Sprintf("%s cannot be reached: %s", c.login.Host, text)
	switch kind {
	case network.KindUnknownCA:
		message += "; give its CA: loft login " + c.login.Host + " --certificate-authority FILE"
	case network.KindNoTLS:
		message += "; an http:// URL needs --insecure"
	case network.KindTimeout:
		return &Unanswered{failure.TimedOutf("%s", message)}
	case network.KindName:
		message += "; is the URL right?"
	case network.KindRefused:
		message += "; is the manager running? Direct endpoints go on without it"
	case network.KindWrongHost, network.KindExpired, network.KindCertificate, network.KindUnclassified:
	}
	return &Unanswered{errors.New(message)}
}
