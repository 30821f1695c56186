package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	managementv1 "loft.sh/agent/apis/management/v1"
	"loft.sh/agent/pkg/cli/centre"
	"loft.sh/agent/pkg/cli/output"
	"loft.sh/agent/pkg/cli/session"
)

const whoamiExample = `  # Who the access key stands for
  loft whoami

  # The name alone
  loft whoami -o name

  # The groups that permissions are checked for
  loft whoami -o jsonpath='{.status.groups}'`

func newWhoami(e *env) *cobra.Command {
	var o output.Options
	cmd := &cobra.Command{
		Use:     "whoami",
		Short:   "Say who is logged in",
		Example: whoamiExample,
		Args:    exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return whoami(cmd.Context(), e, o)
		},
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

func whoami(ctx context.Context, e *env, o output.Options) error {
	if err := o.Validate(); err != nil {
		return err
	}
	client, err := e.client()
	if err != nil {
		return err
	}
	self, err := client.Self(ctx)
	if err != nil {
		return err
	}
	p := person(self)
	self.Name = p.name
	return o.Print(e.Out, self, managementv1.SchemeGroupVersion.WithKind("Self"), func() *metav1.Table {
		return &metav1.Table{
			ColumnDefinitions: []metav1.TableColumnDefinition{
				output.Column("Name", false), output.Column("Kind", false), output.Column("Teams", false),
				output.Column("Manager", false), output.Column("Access key", true), output.Column("Subject", true),
			},
			Rows: []metav1.TableRow{{Cells: []any{p.name, p.kind, strings.Join(p.teams, ","), client.Host(), self.Status.AccessKey, self.Status.Subject}}},
		}
	})
}

// somebody is who a key stands for.
type somebody struct {
	name, kind string
	teams      []string
}

func person(self *managementv1.Self) somebody {
	switch {
	case self.Status.User != nil:
		p := somebody{name: self.Status.User.Name, kind: "User"}
		for _, team := range self.Status.User.Teams {
			p.teams = append(p.teams, team.Name)
		}
		return p
	case self.Status.Team != nil:
		return somebody{name: self.Status.Team.Name, kind: "Team", teams: []string{self.Status.Team.Name}}
	default:
		return somebody{name: self.Status.Subject, kind: "Subject"}
	}
}

// client is the manager of the session.
func (e *env) client() (*centre.Client, error) {
	store, err := session.Open(e.config)
	if err != nil {
		return nil, err
	}
	login, err := store.Session()
	if err != nil {
		return nil, err
	}
	return centre.New(login)
}
