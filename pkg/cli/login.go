package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"loft.sh/agent/pkg/cli/centre"
	"loft.sh/agent/pkg/cli/failure"
	"loft.sh/agent/pkg/cli/network"
	"loft.sh/agent/pkg/cli/session"
)

// accessKeyEnv holds the access key where no flag gives one.
const accessKeyEnv = "LOFT_ACCESS_KEY"

const loginExample = `  # Log in with an access key, which is asked for
  loft login https://loft.example.com

  # In a script, so that no list of processes shows the key
  LOFT_ACCESS_KEY=... loft login https://loft.example.com
  loft login https://loft.example.com --access-key-file key.txt
  pass loft | loft login https://loft.example.com --access-key-file -

  # With an ID token of the identity provider that the manager trusts
  loft login https://loft.example.com --id-token-file token.jwt

  # At a manager with a certificate of a private CA
  loft login https://loft.example.com --certificate-authority ca.crt`

// loginOptions are the flags of login.
type loginOptions struct {
	accessKey, accessKeyFile, idTokenFile string
	caFile                                string
	insecure                              bool
	storage                               string
}

func newLogin(e *env) *cobra.Command {
	var o loginOptions
	cmd := &cobra.Command{
		Use:     "login URL",
		Short:   "Log in to a manager",
		Example: loginExample,
		Args:    exactly(1, "the manager's URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return login(cmd.Context(), e, args[0], o)
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func (o *loginOptions) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.accessKey, "access-key", "", "Access key. Others on this machine may see it: better are --access-key-file and $"+accessKeyEnv+".")
	fs.StringVar(&o.accessKeyFile, "access-key-file", "", "File that holds the access key; - is standard input.")
	fs.StringVar(&o.idTokenFile, "id-token-file", "", "File that holds an OpenID Connect ID token, for which the manager makes an access key; - is standard input.")
	fs.StringVar(&o.caFile, "certificate-authority", "", "File with the PEM certificates that the manager's is verified with. Default: the system's, or those of the last login at the same URL.")
	fs.BoolVar(&o.insecure, "insecure", false, "Do not verify the manager's certificate, and allow http://.")
	fs.StringVar(&o.storage, "token-storage", string(session.StorageAuto), "Where the key and tokens are kept: auto, keyring or file.")
}

// validate reports every fault at once.
func (o *loginOptions) validate() error {
	var errs []error
	given := 0
	for _, value := range []string{o.accessKey, o.accessKeyFile, o.idTokenFile} {
		if value != "" {
			given++
		}
	}
	if given > 1 {
		errs = append(errs, errors.New("give one of --access-key, --access-key-file and --id-token-file"))
	}
	if o.insecure && o.caFile != "" {
		errs = append(errs, errors.New("--insecure verifies nothing, so --certificate-authority has no meaning: give one of them"))
	}
	if _, err := session.ParseStorage(o.storage); err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return failure.Usagef("%w", err)
	}
	return nil
}

func login(ctx context.Context, e *env, address string, o loginOptions) error {
	if err := o.validate(); err != nil {
		return err
	}
	store, err := session.Open(e.config)
	if err != nil {
		return err
	}
	next, before, err := o.session(store, address)
	if err != nil {
		return err
	}
	client, err := centre.New(session.Session{Host: next.Host, Insecure: next.Insecure, CAData: next.CAData})
	if err != nil {
		return err
	}
	_, header, err := client.CheckVersion(ctx)
	if err != nil {
		return err
	}
	if skew, found := network.Skew(header, time.Now()); found && network.SkewText(skew) != "" {
		e.Warnf("%s", network.SkewText(skew))
	}
	who, err := o.authenticate(ctx, e, &next)
	if err != nil {
		return err
	}
	storage, err := store.Login(ctx, next, session.Storage(o.storage))
	if err != nil {
		return err
	}
	if before.AccessKey != "" && before.AccessKey != next.AccessKey {
		takeBack(ctx, e, before)
	}
	place := store.Path()
	if storage == session.StorageKeyring {
		place = "the keyring"
	}
	e.Infof("Logged in as %s; the access key is in %s", who, place)
	e.Donef("Successfully logged into Loft instance %s", next.Host)
	return nil
}

// session is the login that address and flags describe, without its key, and the one before it.
func (o *loginOptions) session(store *session.Store, address string) (next, before session.Session, err error) {
	next.Host, err = managerURL(address, o.insecure)
	if err != nil {
		return next, before, err
	}
	next.Insecure = o.insecure
	before, err = store.Session()
	if err != nil && failure.Code(err) != failure.CodeNotLoggedIn {
		return next, before, err
	}
	if o.caFile != "" {
		next.CAData, err = readCA(o.caFile)
		return next, before, err
	}
	if before.Host == next.Host && !next.Insecure {
		next.CAData = before.CAData
	}
	return next, before, nil
}

// managerURL is the manager's URL as it is kept.
func managerURL(address string, insecure bool) (string, error) {
	if !strings.Contains(address, "://") {
		address = "https://" + address
	}
	u, err := url.Parse(address)
	if err != nil { // which repeats the URL, and a password that may be in it
		return "", failure.Usagef("the URL cannot be read: it must be as https://loft.example.com")
	}
	switch {
	case u.User != nil:
		return "", failure.Usagef("the URL must not hold a user or password: the access key is all there is")
	case u.Scheme == "http" && !insecure:
		return "", failure.Usagef("%s would carry the access key unencrypted: use https://, or --insecure if you must", address)
	case u.Scheme != "https" && u.Scheme != "http":
		return "", failure.Usagef("the URL %s does not begin with https://", address)
	case u.Hostname() == "":
		return "", failure.Usagef("the URL %s names no host", address)
	case u.RawQuery != "" || u.Fragment != "":
		return "", failure.Usagef("the URL %s must end with its path", address)
	}
	return u.Scheme + "://" + u.Host + strings.TrimRight(u.EscapedPath(), "/"), nil
}

// readCA reads PEM certificates.
func readCA(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, failure.Usagef("--certificate-authority: %w", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(data) {
		return nil, failure.Usagef("--certificate-authority: %s holds no PEM certificate", path)
	}
	return data, nil
}

// authenticate fills in the access key, and returns whom it stands for.
func (o *loginOptions) authenticate(ctx context.Context, e *env, next *session.Session) (string, error) {
	var err error
	if o.idTokenFile != "" {
		next.AccessKey, err = o.exchange(ctx, e, *next)
	} else {
		next.AccessKey, err = o.key(e)
	}
	if err != nil {
		return "", err
	}
	client, err := centre.New(*next)
	if err != nil {
		return "", err
	}
	self, err := client.Self(ctx)
	if err != nil {
		return "", err
	}
	return person(self).name, nil
}

// exchange gets an access key for an ID token.
func (o *loginOptions) exchange(ctx context.Context, e *env, next session.Session) (string, error) {
	token, err := readSecret(e, "id-token-file", o.idTokenFile)
	if err != nil {
		return "", err
	}
	next.AccessKey = token
	client, err := centre.New(next)
	if err != nil {
		return "", err
	}
	key, err := client.NewLoginKey(ctx)
	if failure.Code(err) == failure.CodeNotLoggedIn {
		return "", failure.NotLoggedInf("%s refused the ID token: it has ended, or the manager does not trust its issuer", next.Host)
	}
	return key, err
}

// key is the access key that flags, the environment or the person at the terminal give.
func (o *loginOptions) key(e *env) (string, error) {
	key := o.accessKey
	if o.accessKeyFile != "" {
		return readSecret(e, "access-key-file", o.accessKeyFile)
	}
	if key == "" {
		key = os.Getenv(accessKeyEnv)
	}
	if key == "" {
		asked, err := e.Secret("Access key")
		if err != nil {
			return "", failure.Usagef("no access key: give --access-key-file FILE, --id-token-file FILE or $%s", accessKeyEnv)
		}
		key = asked
	}
	return checkSecret("access key", key)
}

func readSecret(e *env, flag, path string) (string, error) {
	in := e.In
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return "", failure.Usagef("--%s: %w", flag, err)
		}
		defer file.Close()
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, 1<<16))
	if err != nil {
		return "", fmt.Errorf("--%s: %w", flag, err)
	}
	return checkSecret("--"+flag, string(data))
}

// checkSecret refuses what no header can carry, before the net does in words that show it.
func checkSecret(what, secret string) (string, error) {
	secret = strings.TrimSpace(secret)
	if secret == "" {
		return "", failure.Usagef("%s: it is empty", what)
	}
	if strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", failure.Usagef("%s: it holds blanks or other characters that no key or token has", what)
	}
	return secret, nil
}

// takeBack has the manager delete the key of a session that is over, if a login made it.
func takeBack(ctx context.Context, e *env, before session.Session) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	client, err := centre.New(before)
	if err == nil {
		err = client.DeleteLoginKey(ctx)
	}
	if err != nil && failure.Code(err) != failure.CodeNotLoggedIn {
		e.Warnf("The access key of the session before, at %s, could not be taken back: %v", before.Host, err)
	}
}
