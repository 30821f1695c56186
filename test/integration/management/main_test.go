package management

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"
)

// env is what all tests share.
var env *environment

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if env, err = start(ctx); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, env.stop()) }()
	return m.Run(), nil
}
