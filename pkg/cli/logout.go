package cli

import (
	"context"

	"github.com/spf13/cobra"

	"loft.sh/agent/pkg/cli/failure"
	"loft.sh/agent/pkg/cli/session"
)

const logoutExample = `  # Forget the access key and every token; the manager deletes the key if a login made it
  loft logout`

func newLogout(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "logout",
		Short:   "Log out of the manager",
		Example: logoutExample,
		Args:    exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return logout(cmd.Context(), e)
		},
	}
}

func logout(ctx context.Context, e *env) error {
	store, err := session.Open(e.config)
	if err != nil {
		return err
	}
	before, err := store.Session()
	if failure.Code(err) == failure.CodeNotLoggedIn {
		e.Infof("Nobody is logged in")
		return store.Logout(ctx)
	}
	if err != nil {
		return err
	}
	takeBack(ctx, e, before)
	if err := store.Logout(ctx); err != nil {
		return err
	}
	e.Donef("Successfully logged out of Loft instance %s", before.Host)
	return nil
}
