package listen

import (
	"context"
	"crypto/tls"
	"fmt"

	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/klog/v2"
)

// tlsConfig serves TLS as info says, with certificates that are read again when they change, until
// ctx is done. It is what the generic API server does with the same info, and keeps to itself.
func tlsConfig(ctx context.Context, info *genericserver.SecureServingInfo) (*tls.Config, error) {
	config := &tls.Config{
		MinVersion:       max(tls.VersionTLS12, info.MinTLSVersion),
		CipherSuites:     info.CipherSuites,
		CurvePreferences: info.CurvePreferences,
		NextProtos:       []string{"h2", "http/1.1"},
	}
	if info.DisableHTTP2 {
		config.NextProtos = []string{"http/1.1"}
	}
	if info.ClientCA != nil {
		// Authentication decides about certificates, and about requests without one.
		config.ClientAuth = tls.RequestClientCert
	}
	controller := dynamiccertificates.NewDynamicServingCertificateController(
		config, info.ClientCA, info.Cert, info.SNICerts, nil)
	sources := []dynamiccertificates.Notifier{}
	if info.ClientCA != nil {
		sources = append(sources, info.ClientCA)
	}
	if info.Cert != nil {
		sources = append(sources, info.Cert)
	}
	for _, cert := range info.SNICerts {
		sources = append(sources, cert)
	}
	for _, source := range sources {
		source.AddListener(controller)
		if runner, ok := source.(dynamiccertificates.ControllerRunner); ok {
			if err := runner.RunOnce(ctx); err != nil {
				// What was loaded when the listener was opened is kept.
				klog.ErrorS(err, "Certificates not read again")
			}
			go runner.Run(ctx, 1)
		}
	}
	if err := controller.RunOnce(); err != nil {
		return nil, fmt.Errorf("use certificates: %w", err)
	}
	go controller.Run(1, ctx.Done())
	config.GetConfigForClient = controller.GetConfigForClient
	return config, nil
}
