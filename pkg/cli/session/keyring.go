package session

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"

	desktopkeyring "github.com/zalando/go-keyring"

	"loft.sh/agent/pkg/cli/failure"
)

// Storage says where secrets are kept.
type Storage string

const (
	// StorageAuto is the keyring where there is one that works, and the file elsewhere.
	StorageAuto Storage = "auto"
	// StorageKeyring is the operating system's keyring.
	StorageKeyring Storage = "keyring"
	// StorageFile is the config file.
	StorageFile Storage = "file"
)

// ParseStorage reads the value of --token-storage.
func ParseStorage(value string) (Storage, error) {
	switch s := Storage(value); s {
	case StorageAuto, StorageKeyring, StorageFile:
		return s, nil
	}
	return "", failure.Usagef("--token-storage: %q is not one of auto, keyring, file", value)
}

// Kinds of accounts in the keyring.
const (
	accessKeyAccount = "access-key"
	tokenAccount     = "token/"
)

// account names a secret in the keyring: several config files may hold logins at one host.
func (s *Store) account(host, kind string) string { return s.path + " " + host + " " + kind }

// keyring is where secrets can be kept by account.
type keyring interface {
	get(account string) (string, error)
	set(account, secret string) error
	remove(account string) error
}

// keyringService is the name of all our secrets in a desktop's keyring.
const keyringService = "loft"

// keyringTimeout bounds a call of the keyring: one that is locked may ask on a screen that nobody
// looks at.
const keyringTimeout = time.Second

var (
	errNoKeyring      = errors.New("there is none")
	errKeyringTimeout = errors.New("it does not answer")
)

// desktop is the operating system's keyring.
type desktop struct{}

func (desktop) get(account string) (string, error) {
	return inTime(func() (string, error) { return desktopkeyring.Get(keyringService, account) })
}

func (desktop) set(account, secret string) error {
	_, err := inTime(func() (string, error) { return "", desktopkeyring.Set(keyringService, account, secret) })
	return err
}

func (desktop) remove(account string) error {
	_, err := inTime(func() (string, error) { return "", desktopkeyring.Delete(keyringService, account) })
	return err
}

// inTime calls the keyring if there can be one, and waits no longer than keyringTimeout.
func inTime(call func() (string, error)) (string, error) {
	if !sessionBus() {
		return "", errNoKeyring
	}
	type result struct {
		secret string
		err    error
	}
	answered := make(chan result, 1)
	go func() {
		secret, err := call()
		answered <- result{secret, err}
	}()
	select {
	case r := <-answered:
		if r.err != nil {
			return "", fmt.Errorf("keyring: %w", r.err)
		}
		return r.secret, nil
	case <-time.After(keyringTimeout):
		return "", errKeyringTimeout
	}
}

// sessionBus says whether there is a bus by which the Secret Service can be asked, where that is how
// a keyring is asked. Without one the library would start one, a process that stays.
func sessionBus() bool {
	if runtime.GOOS == "darwin" || runtime.GOOS == "windows" {
		return true
	}
	if address := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); address != "" {
		// What a service manager says where there is no session.
		return !strings.HasPrefix(address, "disabled:") && address != "autolaunch:"
	}
	runtimeDir := os.Getenv("XDG_RUNTIME_DIR")
	if runtimeDir == "" {
		return false
	}
	info, err := os.Stat(runtimeDir + "/bus")
	return err == nil && info.Mode()&fs.ModeSocket != 0
}
