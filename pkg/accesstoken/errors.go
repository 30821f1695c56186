package accesstoken

import (
	"errors"
	"strings"
)

// Reason says in one word why a token was refused; fit for the label of a metric.
type Reason string

// The reasons of an Error.
const (
	ReasonTooLarge      Reason = "too-large"
	ReasonMalformed     Reason = "malformed"
	ReasonBadAlgorithm  Reason = "bad-algorithm"
	ReasonUnknownKey    Reason = "unknown-key"
	ReasonBadSignature  Reason = "bad-signature"
	ReasonWrongAudience Reason = "wrong-audience"
	ReasonNotYetValid   Reason = "not-yet-valid"
	ReasonExpired       Reason = "expired"
	ReasonRevoked       Reason = "revoked"
)

// Error is the refusal of a token of our issuer. Such a token is never passed on to another authenticator.
type Error struct {
	Reason Reason
	msg    string
	err    error
}

func (e *Error) Error() string {
	return "direct endpoint token refused (" + string(e.Reason) + "): " + e.msg
}
func (e *Error) Unwrap() error { return e.err }

var (
	// ErrForeign means that the token is not of our issuer: no JWT, or one with another iss. Only this
	// answer lets another authenticator look at the token.
	ErrForeign = errors.New("not a direct endpoint token")
	// ErrNoBundle means that no trust bundle is loaded, so that a JWT cannot be judged.
	ErrNoBundle = errors.New("no trust bundle for direct endpoint tokens")
)

func refuse(reason Reason, msg string) error { return &Error{Reason: reason, msg: msg} }

// refuseFor keeps the message on one line, since errors.Join breaks it.
func refuseFor(reason Reason, err error) error {
	return &Error{Reason: reason, msg: strings.ReplaceAll(err.Error(), "\n", "; "), err: err}
}
