package authn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/install"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"

	"loft.sh/agent/pkg/bearer"
)

// signingAlgorithms are those that the API server takes, too.
var signingAlgorithms = []string{"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"}

// readConfig reads an AuthenticationConfiguration, with the API server's own types and rules.
func readConfig(file string) (*apiserver.AuthenticationConfiguration, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--authentication-config: %w", err)
	}
	return parseConfig(file, data)
}

func parseConfig(file string, data []byte) (*apiserver.AuthenticationConfiguration, error) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	codecs := serializer.NewCodecFactory(scheme, serializer.EnableStrict)
	object, err := runtime.Decode(codecs.UniversalDecoder(), data)
	if err != nil {
		return nil, fmt.Errorf("--authentication-config: %q: %w", file, err)
	}
	config, ok := object.(*apiserver.AuthenticationConfiguration)
	if !ok {
		return nil, fmt.Errorf("--authentication-config: %q: is a %T; want an AuthenticationConfiguration", file, object)
	}
	if config.Anonymous != nil && config.Anonymous.Enabled {
		return nil, fmt.Errorf("--authentication-config: %q: anonymous.enabled: nobody is let in without a credential; leave it out", file)
	}
	if errs := validation.ValidateAuthenticationConfiguration(authenticationcel.NewDefaultCompiler(), config, nil); len(errs) > 0 {
		return nil, fmt.Errorf("--authentication-config: %q: %w", file, errs.ToAggregate())
	}
	return config, nil
}

// providers are the OIDC providers of one configuration.
type providers []oidc.AuthenticatorTokenWithHealthCheck

// newProviders connects to the providers until ctx is done.
func newProviders(ctx context.Context, config *apiserver.AuthenticationConfiguration) (providers, error) {
	var all providers
	for i := range config.JWT {
		options := oidc.Options{JWTAuthenticator: config.JWT[i], SupportedSigningAlgs: signingAlgorithms}
		if ca := config.JWT[i].Issuer.CertificateAuthority; ca != "" {
			content, err := dynamiccertificates.NewStaticCAContent("oidc-authenticator", []byte(ca))
			if err != nil {
				return nil, fmt.Errorf("--authentication-config: jwt[%d].issuer.certificateAuthority: %w", i, err)
			}
			options.CAContentProvider = content
		}
		provider, err := oidc.New(ctx, options)
		if err != nil {
			return nil, fmt.Errorf("--authentication-config: jwt[%d]: %w", i, err)
		}
		all = append(all, provider)
	}
	return all, nil
}

// AuthenticateToken implements authenticator.Token. A provider that cannot be reached has not said no.
func (p providers) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	for _, provider := range p {
		response, ok, err := provider.AuthenticateToken(ctx, token)
		switch {
		case err != nil && (provider.HealthCheck() != nil || strings.Contains(err.Error(), "fetching keys") || ctx.Err() != nil):
			return nil, false, fmt.Errorf("%w: %w", bearer.ErrUnchecked, err)
		case err != nil:
			// What is wrong is for the log: the words are the verifier's, who quotes the token's claims.
			return nil, false, errors.New("the token of the identity provider is not valid, or has expired")
		case ok:
			return response, true, nil
		}
	}
	return nil, false, nil
}

// Health says which providers have not been reached.
func (p providers) Health() error {
	var errs []error
	for _, provider := range p {
		errs = append(errs, provider.HealthCheck())
	}
	return errors.Join(errs...)
}
