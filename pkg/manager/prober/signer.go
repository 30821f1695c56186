package prober

import (
	"k8s.io/utils/clock"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/manager/tokens/signingkeys"
)

// Keys are the manager's signing keys; *signingkeys.Keeper has them.
type Keys interface {
	Ring() (*signingkeys.Ring, error)
}

// SignWith signs with the key that counts at the moment.
func SignWith(keys Keys, clock clock.PassiveClock) Signer { return &signer{keys, clock} }

type signer struct {
	keys  Keys
	clock clock.PassiveClock
}

func (s *signer) Sign(claims accesstoken.Claims) (string, error) {
	ring, err := s.keys.Ring()
	if err != nil {
		return "", err
	}
	return ring.Active(s.clock.Now()).Signer.Sign(claims)
}
