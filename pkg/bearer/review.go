package bearer

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

// ErrUnchecked says that a credential could not be checked, which says nothing about it.
var ErrUnchecked = errors.New("credential could not be checked")

// reviewTimeout bounds one TokenReview.
const reviewTimeout = 10 * time.Second

// Results of a review, for counting.
const (
	ResultAuthenticated = "authenticated"
	ResultRefused       = "refused"
	ResultFailed        = "failed"
)

// NewReviewer returns an authenticator that asks an API server by TokenReview and remembers
// answers for ttl. Failures to ask are errors that wrap ErrUnchecked and are not remembered.
// counted is told the result of each review.
func NewReviewer(client authenticationclient.TokenReviewInterface, ttl time.Duration, counted func(result string)) authenticator.Token {
	return tokencache.New(&reviewer{client: client, counted: counted}, false, ttl, ttl)
}

type reviewer struct {
	client  authenticationclient.TokenReviewInterface
	counted func(result string)
}

// AuthenticateToken implements authenticator.Token.
func (v *reviewer) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
	answer, err := v.client.Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		v.counted(ResultFailed)
		return nil, false, fmt.Errorf("%w: %w", ErrUnchecked, err)
	}
	if !answer.Status.Authenticated {
		v.counted(ResultRefused)
		return nil, false, nil
	}
	if answer.Status.User.Username == "" {
		v.counted(ResultFailed)
		return nil, false, errors.New("token review: authenticated without a user name")
	}
	v.counted(ResultAuthenticated)
	return &authenticator.Response{User: userInfo(answer.Status.User)}, true, nil
}

func userInfo(u authenticationv1.UserInfo) user.Info {
	extra := make(map[string][]string, len(u.Extra))
	for key, values := range u.Extra {
		extra[key] = values
	}
	return &user.DefaultInfo{Name: u.Username, UID: u.UID, Groups: u.Groups, Extra: extra}
}
