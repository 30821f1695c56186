// Package e2e tests the agent as its users meet it: a sandbox with a simulated node, the real
// kubectl, the real API server's audit log.
//
// What surprises: all tests share one sandbox, started by TestMain. A test works in a namespace of
// its own and undoes what it changes for everybody.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/test/sandbox"
)

// shared is the sandbox of all tests.
var shared *sandbox.Sandbox

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "loft-e2e-")
	if err != nil {
		return 1, fmt.Errorf("sandbox's directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	shared, err = sandbox.Start(context.Background(), sandbox.Options{Dir: dir, Nodes: 1, Log: os.Stderr})
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, shared.Stop()) }()
	return m.Run(), checkAudit()
}

// person returns the claims of a token for a person, good for an hour.
func person(name string, groups ...string) accesstoken.Claims {
	return accesstoken.Claims{
		Subject: accesstoken.PersonName(name), UID: name + "-uid",
		Groups:   append(accesstoken.PersonGroups(name), groups...),
		Audience: jwt.Audience{shared.Keys().ClusterUID()}, Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour)),
	}
}

// sign returns the token of claims.
func sign(t *testing.T, claims accesstoken.Claims) string {
	t.Helper()
	token, err := shared.Keys().Signer().Sign(claims)
	if err != nil {
		t.Fatalf("sign token: %v", err)
	}
	return token
}
