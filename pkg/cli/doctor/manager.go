package doctor

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"loft.sh/agent/pkg/cli/centre"
	"loft.sh/agent/pkg/cli/network"
)

// manager is the centre under examination.
type manager struct {
	client *centre.Client
	header http.Header
}

// Manager examines the way to the manager of client.
func Manager(ctx context.Context, client *centre.Client, tell func(Finding)) {
	examine(ctx, "manager", &manager{client: client}, []step[*manager]{
		{"reachable", managerReachable, true},
		{"clock", managerClock, false},
		{"login", managerLogin, true},
	}, tell)
}

func managerReachable(ctx context.Context, m *manager) Finding {
	version, header, err := m.client.CheckVersion(ctx)
	if err != nil {
		return failed(err.Error(), "direct endpoints go on without the manager while tokens live")
	}
	m.header = header
	return ok(fmt.Sprintf("%s, version %s", m.client.Host(), version))
}

func managerClock(_ context.Context, m *manager) Finding { return judgeClock(m.header) }

// judgeClock compares this machine's clock with the one that sent header.
func judgeClock(header http.Header) Finding {
	skew, found := network.Skew(header, time.Now())
	switch text := network.SkewText(skew); {
	case !found:
		return warning("the server does not say its time", "")
	case text != "":
		return failed(text, "tokens and certificates count by the clock: let it follow a time server")
	}
	return ok(fmt.Sprintf("off by %s", skew.Abs()))
}

func managerLogin(ctx context.Context, m *manager) Finding {
	self, err := m.client.Self(ctx)
	if err != nil {
		return failed(err.Error(), "")
	}
	name := self.Status.Subject
	if self.Status.User != nil {
		name = self.Status.User.Name
	}
	return ok("logged in as " + name)
}
