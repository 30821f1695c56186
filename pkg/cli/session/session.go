package session

import (
	"context"
	"fmt"

	"loft.sh/agent/pkg/cli/failure"
)

// Session is a login.
type Session struct {
	// Host is the manager's URL, without a slash at its end.
	Host string
	// Insecure says that the manager's certificate is not verified.
	Insecure bool
	// CAData is the PEM certificates to verify it with; empty: the system's.
	CAData []byte
	// AccessKey is the secret.
	AccessKey string
}

// Session returns the login. Without one the error says so, with its exit code.
func (s *Store) Session() (Session, error) {
	d, err := s.read()
	if err != nil {
		return Session{}, err
	}
	return s.session(d)
}

func (s *Store) session(d *document) (Session, error) {
	login := Session{Host: d.Host, Insecure: d.Insecure, CAData: d.CAData, AccessKey: d.AccessKey}
	if login.Host == "" {
		return Session{}, failure.NotLoggedInf("not logged in: run 'loft login URL'")
	}
	if d.Storage == StorageKeyring {
		key, err := s.keyring.get(s.account(login.Host, accessKeyAccount))
		if err != nil {
			return Session{}, failure.NotLoggedInf("the access key of %s is not to be had from the keyring (%w): unlock it, or run 'loft login %s --token-storage file'",
				login.Host, err, login.Host)
		}
		login.AccessKey = key
	}
	if login.AccessKey == "" {
		return Session{}, failure.NotLoggedInf("not logged in: run 'loft login %s'", login.Host)
	}
	return login, nil
}

// Login makes login the session, in place of any other. It returns where the secrets are now.
func (s *Store) Login(ctx context.Context, login Session, storage Storage) (Storage, error) {
	err := s.update(ctx, func(d *document) error {
		s.forget(d)
		d.Host, d.Insecure, d.CAData = login.Host, login.Insecure, login.CAData
		d.Storage = StorageFile
		if storage != StorageFile {
			err := s.keyring.set(s.account(login.Host, accessKeyAccount), login.AccessKey)
			if err == nil {
				d.Storage = StorageKeyring
				return nil
			}
			if storage == StorageKeyring {
				return fmt.Errorf("--token-storage: the keyring cannot be used (%w); 'file' keeps the key in %s", err, s.path)
			}
		}
		d.AccessKey = login.AccessKey
		return nil
	})
	if err != nil {
		return "", err
	}
	d, err := s.read()
	if err != nil {
		return "", err
	}
	return d.Storage, nil
}

// Logout forgets the key and every token. The host stays, so that it can be named where a login is
// needed.
func (s *Store) Logout(ctx context.Context) error {
	return s.update(ctx, func(d *document) error {
		s.forget(d)
		return nil
	})
}

// forget takes the secrets out of d and of the keyring. What the keyring does not give up is of no
// use once the manager has taken the key back.
func (s *Store) forget(d *document) {
	if d.Storage == StorageKeyring {
		_ = s.keyring.remove(s.account(d.Host, accessKeyAccount))
		for cluster := range d.Tokens {
			_ = s.keyring.remove(s.account(d.Host, tokenAccount+cluster))
		}
	}
	d.AccessKey, d.DirectToken, d.DirectAsked, d.Tokens, d.Storage = "", "", nil, nil, ""
}
