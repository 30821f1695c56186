package authn

import (
	"context"
	"errors"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	tokencache "k8s.io/apiserver/pkg/authentication/token/cache"
	"k8s.io/apiserver/pkg/authentication/user"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
)

// reviewTimeout bounds one TokenReview.
const reviewTimeout = 10 * time.Second

// NewReviewer returns an authenticator that asks the host cluster by TokenReview and remembers
// answers for ttl. Failures to ask are errors that wrap ErrUnchecked and are not remembered;
// apiserver's own webhook authenticator does not tell them from refusals.
func NewReviewer(hostClient authenticationclient.TokenReviewInterface, ttl time.Duration) authenticator.Token {
	return tokencache.New(&reviewer{hostClient: hostClient}, false, ttl, ttl)
}

type reviewer struct {
	hostClient authenticationclient.TokenReviewInterface
}

// AuthenticateToken implements authenticator.Token.
func (v *reviewer) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
	answer, err := v.hostClient.Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		reviews.WithLabelValues("failed").Inc()
		return nil, false, fmt.Errorf("%w: %w", ErrUnchecked, err)
	}
	if !answer.Status.Authenticated {
		reviews.WithLabelValues("refused").Inc()
		return nil, false, nil
	}
	if answer.Status.User.Username == "" {
		reviews.WithLabelValues("failed").Inc()
		return nil, false, errors.New("token review: authenticated without a user name")
	}
	reviews.WithLabelValues("authenticated").Inc()
	return &authenticator.Response{User: userInfo(answer.Status.User)}, true, nil
}

func userInfo(u authenticationv1.UserInfo) user.Info {
	extra := make(map[string][]string, len(u.Extra))
	for key, values := range u.Extra {
		extra[key] = values
	}
	return &user.DefaultInfo{Name: u.Username, UID: u.UID, Groups: u.Groups, Extra: extra}
}
