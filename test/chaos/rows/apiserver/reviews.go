package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"loft.sh/agent/test/chaos"
	"loft.sh/agent/test/chaos/load"
	"loft.sh/agent/test/chaos/wire"
	"loft.sh/agent/test/sandbox"
)

const (
	tokenReviews  = "/tokenreviews"
	accessReviews = "/subjectaccessreviews"
	// reviewAnswer is how long a request may wait for a review that does not come.
	reviewAnswer = 35 * time.Second
)

// reviews is what the rows of failing reviews share.
type reviews struct {
	env    *chaos.Env
	agent  *sandbox.Replica
	server *wire.Faulty
	client *http.Client
	result *chaos.Result
	direct string
}

func reviewsDown(ctx context.Context, env *chaos.Env) (*chaos.Result, error) {
	r := &reviews{env: env, client: load.Client(env.EndpointTLS(), true), result: &chaos.Result{}}
	defer r.client.CloseIdleConnections()
	var err error
	if r.direct, err = env.Person(ctx, "reviewed"); err != nil {
		return nil, err
	}
	if r.server, err = wire.NewFaulty(env.Sandbox().Cluster()); err != nil {
		return nil, err
	}
	env.Defer(r.server.Close)
	if r.agent, err = env.Agent(ctx, sandbox.ReplicaOptions{Host: r.server.URL()}); err != nil {
		return nil, err
	}
	for _, fault := range []wire.Fault{wire.Error500, wire.Hang} {
		if err := r.tokenReviewsFail(ctx, fault); err != nil {
			return nil, err
		}
		if err := r.accessReviewsFail(ctx, fault); err != nil {
			return nil, err
		}
	}
	return r.result, nil
}

// get is the request that every caller makes.
func (r *reviews) get(token string) load.Do {
	return load.Get(r.client, configMapURL(r.agent, "default"), token)
}

// tokenReviewsFail shows that direct tokens need no review, and others are not judged without.
func (r *reviews) tokenReviewsFail(ctx context.Context, fault wire.Fault) error {
	what := fmt.Sprintf("TokenReview %s: ", fault)
	foreign, err := r.env.Sandbox().Cluster().ServiceAccountToken(ctx, "default", "default", 0)
	if err != nil {
		return err
	}
	if a := r.get(r.direct)(ctx); !a.OK() {
		return fmt.Errorf("direct token before the fault: %s", a)
	}
	r.server.Break(tokenReviews, fault)
	defer r.server.Break("", wire.Healthy)
	direct := load.Start(ctx, 20, time.Minute, r.get(r.direct))
	unchecked := load.Start(ctx, 5, time.Minute, r.get(foreign))
	chaos.Sleep(ctx, r.env.Time(20*time.Second, 2*time.Second))
	failed := direct.Stop().Failed()
	r.result.None(what+"refused direct tokens", len(failed), failed.Examples())
	r.unchecked(what, "service account's token", unchecked.Stop())
	return nil
}

// accessReviewsFail shows that a person who was allowed a moment ago goes on, and nobody else is
// let in or sent away.
func (r *reviews) accessReviewsFail(ctx context.Context, fault wire.Fault) error {
	what := fmt.Sprintf("SubjectAccessReview %s: ", fault)
	if a := r.get(r.direct)(ctx); !a.OK() {
		return fmt.Errorf("direct token before the fault: %s", a)
	}
	claims := r.env.Claims("never-seen-" + fmt.Sprint(int(fault)))
	fresh, err := r.env.Sandbox().Keys().Signer().Sign(claims)
	if err != nil {
		return err
	}
	r.server.Break(accessReviews, fault)
	defer r.server.Break("", wire.Healthy)
	known := load.Start(ctx, 20, time.Minute, r.get(r.direct))
	unchecked := load.Start(ctx, 5, time.Minute, r.get(fresh))
	// Answers are remembered for ten seconds, a while of which is over.
	chaos.Sleep(ctx, r.env.Time(5*time.Second, 2*time.Second))
	failed := known.Stop().Failed()
	r.result.None(what+"refused people who were allowed before", len(failed), failed.Examples())
	r.unchecked(what, "person never seen", unchecked.Stop())
	if r.env.Short {
		return nil
	}
	expired := load.Start(ctx, 5, time.Minute, r.get(r.direct))
	chaos.Sleep(ctx, 20*time.Second)
	samples := expired.Stop()
	late := samples.Where(func(s load.Sample) bool { return !s.OK() })
	wrong := late.Where(func(s load.Sample) bool { return s.Code != http.StatusServiceUnavailable || s.RetryAfter == "" })
	r.result.None(what+"known people sent away when the answer is too old", len(wrong), wrong.Examples())
	r.result.Note("%sknown people when the answer is too old: %s", what, samples.Codes())
	return nil
}

// unchecked checks the answers to who could not be checked.
func (r *reviews) unchecked(what, who string, samples load.Samples) {
	r.result.AtLeast(what+"reviews that failed", float64(r.server.Hits()), 1, "")
	wrong := samples.Where(func(s load.Sample) bool { return s.Code != http.StatusServiceUnavailable || s.RetryAfter == "" })
	r.result.None(what+who+": answers other than 503 with Retry-After", len(wrong), wrong.Codes()+"\n"+wrong.Examples())
	r.result.Within(what+who+": slowest answer", samples.Quantile(1), reviewAnswer)
}
