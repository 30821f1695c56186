package kubelet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Config says whom to serve and where the pods are known.
type Config struct {
	// Certificate serves the node's address, 127.0.0.1.
	Certificate tls.Certificate
	// ClientCA signs the certificate that kube-apiserver presents to a kubelet. It is
	// required: whoever may call a kubelet may run commands.
	ClientCA *x509.CertPool
	// Pod looks a pod up; its error is answered as it is.
	Pod func(ctx context.Context, namespace, name string) (*corev1.Pod, error)
	// Dir holds the scratch directories of the pods.
	Dir string
	// Log takes what went wrong with a connection.
	Log *log.Logger
}

// Server is one kubelet endpoint for any number of nodes.
type Server struct {
	cfg      Config
	listener net.Listener
	server   *http.Server
	cancel   context.CancelFunc
	done     chan error
}

// Start listens on a free port and serves until [Server.Close].
func Start(cfg Config) (*Server, error) {
	if cfg.ClientCA == nil {
		return nil, errors.New("a kubelet needs a client CA")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for kube-apiserver: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{cfg: cfg, listener: connListener{listener}, cancel: cancel, done: make(chan error, 1)}
	s.server = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: 30 * time.Second,
		TLSConfig: &tls.Config{
			MinVersion:   tls.VersionTLS12,
			Certificates: []tls.Certificate{cfg.Certificate},
			ClientAuth:   tls.RequireAndVerifyClientCert,
			ClientCAs:    cfg.ClientCA,
			NextProtos:   []string{"http/1.1"}, // HTTP/2 has no upgrades
		},
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
		BaseContext:  func(net.Listener) context.Context { return ctx },
		ConnContext:  connContext,
		ErrorLog:     cfg.Log,
	}
	go func() { s.done <- s.server.ServeTLS(s.listener, "", "") }()
	return s, nil
}

// Port returns the port that the nodes announce.
func (s *Server) Port() int { return s.listener.Addr().(*net.TCPAddr).Port }

// Close cuts every connection, which also ends the commands that run for them.
func (s *Server) Close() error {
	s.cancel()
	err := s.server.Close()
	if serveErr := <-s.done; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	if err != nil {
		return fmt.Errorf("close kubelet: %w", err)
	}
	return nil
}
