package tokens

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func TestOptionsAreValidated(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want []string // parts of the error; none: it is valid
	}{
		{"defaults and an issuer", []string{"--issuer=https://loft.example.com"}, nil},
		{"issuer with a path", []string{"--issuer=https://example.com/loft"}, nil},
		{"no rotation on schedule", []string{"--issuer=https://loft.example.com", "--signing-key-rotation=0"}, nil},
		{"no issuer", nil, []string{"--issuer"}},
		{"issuer without scheme", []string{"--issuer=loft.example.com"}, []string{"--issuer"}},
		{"issuer without TLS", []string{"--issuer=http://loft.example.com"}, []string{"--issuer"}},
		{"issuer with a query", []string{"--issuer=https://loft.example.com?x"}, []string{"--issuer"}},
		{"everything at once", []string{"--issuer=x", "--signing-key-rotation=1s", "--max-direct-token-ttl=1s"},
			[]string{"--issuer", "--signing-key-rotation", "--max-direct-token-ttl"}},
		{"negative rotation", []string{"--issuer=https://loft.example.com", "--signing-key-rotation=-1h"}, []string{"--signing-key-rotation"}},
		{"tokens that live too long", []string{"--issuer=https://loft.example.com", "--max-direct-token-ttl=721h"}, []string{"--max-direct-token-ttl"}},
		{"more keys than a bundle should hold", []string{"--issuer=https://loft.example.com", "--max-direct-token-ttl=720h", "--signing-key-rotation=1h"},
			[]string{"--signing-key-rotation", "at least 14h24m"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o, fs := NewOptions(), pflag.NewFlagSet("", pflag.ContinueOnError)
			o.AddFlags(fs)
			if err := fs.Parse(tt.args); err != nil {
				t.Fatal(err)
			}
			errs := o.Validate()
			if len(errs) != 0 && len(tt.want) == 0 || len(errs) == 0 && len(tt.want) != 0 {
				t.Fatalf("got %v", errs)
			}
			for _, want := range tt.want {
				if err := errors.Join(errs...); !strings.Contains(err.Error(), want) {
					t.Errorf("%q is missing in: %v", want, err)
				}
			}
		})
	}
}

func TestDefaultsAreThoseOfTheContract(t *testing.T) {
	o := NewOptions()
	if o.SigningKeyRotation != 30*24*time.Hour || o.MaxLifetime != 24*time.Hour || !o.AllowUnscoped {
		t.Errorf("defaults %+v", *o)
	}
	var c Config
	if err := o.ApplyTo(&c); err == nil {
		t.Error("applied without an issuer")
	}
	o.Issuer = testIssuer
	if err := o.ApplyTo(&c); err != nil || c.Options != *o {
		t.Errorf("applied %+v: %v", c.Options, err)
	}
}
