package centre

import (
	"errors"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"loft.sh/agent/pkg/cli/failure"
	"loft.sh/agent/pkg/cli/network"
	"loft.sh/agent/pkg/cli/session"
)

func (c *Client) explain(err error) error { return Explain(c.login, err) }

// Explain says what an error of a request to the manager of login means for whoever typed the command.
// Refusals of a single object keep their status, so that callers can say more.
func Explain(login session.Session, err error) error {
	var status apierrors.APIStatus
	switch {
	case apierrors.IsUnauthorized(err):
		return refusedKey(login)
	case errors.As(err, &status):
		return explainStatus(login, err, status)
	default:
		return explainNetwork(login, err)
	}
}

func explainStatus(login session.Session, err error, status apierrors.APIStatus) error {
	if status.Status().Code == http.StatusTooManyRequests {
		return &Unanswered{fmt.Errorf("%s has too much to do: try again (%w)", login.Host, err)}
	}
	if status.Status().Code >= http.StatusInternalServerError {
		return &Unanswered{fmt.Errorf("%s cannot answer: %w", login.Host, err)}
	}
	return fmt.Errorf("%s: %w", login.Host, err)
}

// Unanswered says that the manager did not answer, which says nothing about the request itself.
type Unanswered struct{ Err error }

// Error says why it did not answer.
func (u *Unanswered) Error() string { return u.Err.Error() }

// Unwrap returns what lies beneath.
func (u *Unanswered) Unwrap() error { return u.Err }

// refusedKey is a 401.
func refusedKey(login session.Session) error {
	return failure.NotLoggedInf("%s refused the access key: it is wrong, disabled or has ended; run 'loft login %s'", login.Host, login.Host)
}

func explainNetwork(login session.Session, err error) error {
	kind, text := network.Explain(err)
	message := fmt.Sprintf("%s cannot be reached: %s", login.Host, text)
	switch kind {
	case network.KindUnknownCA:
		message += "; give its CA: loft login " + login.Host + " --certificate-authority FILE"
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
