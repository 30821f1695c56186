package trust

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/test/chaos"
	"loft.sh/agent/test/sandbox"
)

// end is how long a stream may go on without its token.
const end = 10 * time.Second

// ending is one way in which a token ends.
type ending struct {
	name string
	// reason is what kubectl must show.
	reason *regexp.Regexp
	// claims are those of the token.
	claims func(accesstoken.Claims) accesstoken.Claims
	// finish ends the token and returns when that was.
	finish func(ctx context.Context, bundle *bundleKeeper, claims accesstoken.Claims) (time.Time, error)
}

// revokedID is the jti of the token that is revoked.
const revokedID = "chaos-revoked"

// endings returns both; a token that expires is good for life.
func endings(life time.Duration) []ending {
	return []ending{
		{
			name: "expired", reason: regexp.MustCompile(`token.*expired`),
			claims: func(c accesstoken.Claims) accesstoken.Claims {
				c.Expiry = jwt.NewNumericDate(time.Now().Add(life))
				return c
			},
			finish: func(ctx context.Context, _ *bundleKeeper, c accesstoken.Claims) (time.Time, error) {
				chaos.Sleep(ctx, time.Until(c.Expiry.Time()))
				return c.Expiry.Time(), nil
			},
		},
		{
			name: "revoked", reason: regexp.MustCompile(`token.*revoked`),
			claims: func(c accesstoken.Claims) accesstoken.Claims {
				c.ID = revokedID
				return c
			},
			finish: func(ctx context.Context, bundle *bundleKeeper, _ accesstoken.Claims) (time.Time, error) {
				began := time.Now()
				err := bundle.change(ctx, func(b *accesstoken.Bundle) { b.Revocations.TokenIDs = []string{revokedID} })
				return began, err
			},
		},
	}
}

func tokensEnd(ctx context.Context, env *chaos.Env) (*chaos.Result, error) {
	if err := env.Admit(ctx, "ending"); err != nil {
		return nil, err
	}
	bundle, err := keepBundle(ctx, env)
	if err != nil {
		return nil, err
	}
	agent, err := env.Agent(ctx, sandbox.ReplicaOptions{})
	if err != nil {
		return nil, err
	}
	namespace, err := env.Namespace(ctx)
	if err != nil {
		return nil, err
	}
	if err := runPod(ctx, env, namespace); err != nil {
		return nil, err
	}
	port, err := echo(env)
	if err != nil {
		return nil, err
	}
	result := &chaos.Result{}
	t := &tokenEnds{env: env, agent: agent, bundle: bundle, namespace: namespace, port: port, result: result}
	for _, e := range endings(env.Time(45*time.Second, 15*time.Second)) {
		if err := t.run(ctx, e); err != nil {
			return nil, fmt.Errorf("token %s: %w", e.name, err)
		}
	}
	return result, nil
}

type tokenEnds struct {
	env             *chaos.Env
	agent           *sandbox.Replica
	bundle          *bundleKeeper
	namespace, port string
	result          *chaos.Result
}

// run opens every kind of stream with one token, ends it, and sees what becomes of them.
func (t *tokenEnds) run(ctx context.Context, e ending) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	claims := e.claims(t.env.Claims("ending"))
	token, err := t.env.Sandbox().Keys().Signer().Sign(claims)
	if err != nil {
		return err
	}
	dir, err := kubectlHome(t.env, t.agent, e.name, token)
	if err != nil {
		return err
	}
	var sessions []*session
	for _, kind := range streamKinds(t.port) {
		s, err := startSession(ctx, t.env.Sandbox().Cluster().Binaries().Kubectl, dir, t.namespace, kind)
		if err != nil {
			return err
		}
		sessions = append(sessions, s)
	}
	for _, s := range sessions {
		select {
		case <-s.opened:
		case <-s.ended:
			return fmt.Errorf("%s did not open: %s", s.name, s.text())
		case <-time.After(time.Minute):
			return fmt.Errorf("%s did not open in a minute: %s", s.name, s.text())
		}
	}
	ended, err := e.finish(ctx, t.bundle, claims)
	if err != nil {
		return err
	}
	for _, s := range sessions {
		t.judge(s, e, ended)
	}
	return nil
}

// judge waits for the end of a stream.
func (t *tokenEnds) judge(s *session, e ending, ended time.Time) {
	what := fmt.Sprintf("token %s: %s: ", e.name, s.name)
	select {
	case <-s.ended:
		took := s.at.Sub(ended)
		if took < 0 {
			t.result.Hold(false, what+"ended before its token", took.String(), "after", s.text())
			return
		}
		t.result.Within(what+"ended after", took, end)
	case <-time.After(time.Until(ended.Add(2 * end))):
		t.result.Hold(false, what+"ended after", "still open", "≤ "+end.String(), s.text())
		return
	}
	shown := s.text()
	t.result.Hold(e.reason.MatchString(shown), what+"reason shown", fmt.Sprint(e.reason.MatchString(shown)), "yes", shown)
	t.result.Note("%skubectl showed: %s", what, strings.ReplaceAll(shown, "\n", " | "))
}
