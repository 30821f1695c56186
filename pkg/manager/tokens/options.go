package tokens

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/pflag"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/manager/tokens/signingkeys"
)

const (
	defaultLifetime = 24 * time.Hour
	minLifetime     = time.Minute
	minRotation     = 10 * time.Minute
)

// Options configure tokens.
type Options struct {
	// Issuer is the iss of tokens. It is how agents tell them from others, and nothing asks it.
	Issuer string
	// SigningKeyRotation is the time between two signing keys; 0: keys change by hand alone.
	SigningKeyRotation time.Duration
	// MaxLifetime is how long a token lives at most.
	MaxLifetime time.Duration
	// AllowUnscoped allows tokens for every cluster that their owner may use.
	AllowUnscoped bool
}

// NewOptions returns the defaults; the issuer has none.
func NewOptions() *Options {
	return &Options{SigningKeyRotation: 30 * 24 * time.Hour, MaxLifetime: defaultLifetime, AllowUnscoped: true}
}

// AddFlags adds the flags.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.Issuer, "issuer", o.Issuer,
		"Issuer of direct endpoint tokens, by custom the URL under which people reach the manager. Another issuer makes all tokens worthless that are out there.")
	fs.DurationVar(&o.SigningKeyRotation, "signing-key-rotation", o.SigningKeyRotation,
		"Time between two keys that direct endpoint tokens are signed with; 0 changes them by hand alone. By hand: change the annotation "+
			signingkeys.AnnotationRotate+" of the Secret "+signingkeys.SecretName+".")
	fs.DurationVar(&o.MaxLifetime, "max-direct-token-ttl", o.MaxLifetime, "Longest lifetime of a direct endpoint token.")
	fs.BoolVar(&o.AllowUnscoped, "allow-unscoped-direct-tokens", o.AllowUnscoped,
		"Allow direct endpoint tokens for every cluster that their owner may use. If false, whoever asks for one must name clusters.")
}

// Validate returns every fault at once.
func (o *Options) Validate() []error {
	var errs []error
	if issuer, err := url.Parse(o.Issuer); err != nil || issuer.Scheme != "https" || issuer.Host == "" || issuer.RawQuery != "" || issuer.Fragment != "" {
		errs = append(errs, fmt.Errorf("--issuer: %q is no URL such as https://loft.example.com", o.Issuer))
	}
	if o.MaxLifetime < minLifetime || o.MaxLifetime > accesstoken.MaxLifetime {
		errs = append(errs, fmt.Errorf("--max-direct-token-ttl: %s is not between %s and %s", o.MaxLifetime, minLifetime, accesstoken.MaxLifetime))
	}
	switch rotation := o.SigningKeyRotation; {
	case rotation == 0:
	case rotation < minRotation:
		errs = append(errs, fmt.Errorf("--signing-key-rotation: %s is shorter than %s; 0 is for no rotation", rotation, minRotation))
	case o.MaxLifetime/rotation > signingkeys.MaxKeys/2:
		errs = append(errs, fmt.Errorf("--signing-key-rotation: with --max-direct-token-ttl=%s at least %s, or too many keys are trusted at once",
			o.MaxLifetime, (2*o.MaxLifetime/signingkeys.MaxKeys).Round(time.Minute)))
	}
	return errs
}

// ApplyTo fills in a Config.
func (o *Options) ApplyTo(c *Config) error {
	if o.Issuer == "" {
		return errors.New("--issuer: required")
	}
	c.Options = *o
	return nil
}
