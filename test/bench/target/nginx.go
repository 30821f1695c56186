package target

import (
	"bytes"
	"context"
	_ "embed" // the configuration
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"loft.sh/agent/test/controlplane"
)

//go:embed nginx.conf.tmpl
var nginxTemplate string

// nginxConfig fills the template.
type nginxConfig struct {
	Dir, User, Address, Certificate, Key, Upstream, CA string
}

// addNginx adds nginx as a bare reverse proxy, or a notice where there is none.
func (e *Env) addNginx(ctx context.Context) error {
	if !e.wanted(Nginx) {
		return nil
	}
	binary, err := findNginx()
	if err != nil {
		e.Notices = append(e.Notices, "nginx is left out: it is not installed (Debian: apt-get install nginx-light)")
		return nil
	}
	token, username, err := e.account(ctx, Nginx)
	if err != nil {
		return err
	}
	ca, err := controlplane.NewCA("nginx-ca")
	if err != nil {
		return err
	}
	config, err := e.configureNginx(ca)
	if err != nil {
		return err
	}
	process, err := controlplane.StartProcess(controlplane.ProcessConfig{
		Name: "nginx", Path: binary, Args: []string{"-p", config.Dir, "-c", "nginx.conf", "-e", "error.log"},
		LogFile: filepath.Join(config.Dir, "nginx.log"),
	})
	if err != nil {
		return err
	}
	e.processes = append(e.processes, process)
	if err := awaitListener(ctx, process, config.Address); err != nil {
		return err
	}
	e.Targets = append(e.Targets, &Target{
		Name: Nginx, BaseURL: "https://" + config.Address, Token: token, TLS: trust(ca.CertPEM()),
		User: username, PID: process.PID(),
	})
	return nil
}

// findNginx looks where Debian puts it, too: not every PATH has that.
func findNginx() (string, error) {
	if path, err := exec.LookPath("nginx"); err == nil {
		return path, nil
	}
	return exec.LookPath("/usr/sbin/nginx")
}

func (e *Env) configureNginx(ca *controlplane.CA) (nginxConfig, error) {
	config := nginxConfig{
		Dir: e.path(Nginx), Upstream: strings.TrimPrefix(e.Sandbox.Cluster().URL(), "https://"), CA: e.Sandbox.Cluster().CAFile(),
	}
	if err := os.MkdirAll(config.Dir, 0o700); err != nil {
		return config, fmt.Errorf("directory of nginx: %w", err)
	}
	pair, err := ca.IssueServing("localhost", "127.0.0.1")
	if err != nil {
		return config, err
	}
	if config.Certificate, config.Key, err = pair.WriteFiles(config.Dir, "serving"); err != nil {
		return config, err
	}
	if os.Getuid() == 0 { // else its workers become somebody who may not write here
		current, err := user.Current()
		if err != nil {
			return config, fmt.Errorf("user of nginx: %w", err)
		}
		config.User = current.Username
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return config, fmt.Errorf("port of nginx: %w", err)
	}
	config.Address = listener.Addr().String()
	if err := listener.Close(); err != nil {
		return config, fmt.Errorf("port of nginx: %w", err)
	}
	var text bytes.Buffer
	if err := template.Must(template.New("nginx.conf").Parse(nginxTemplate)).Execute(&text, config); err != nil {
		return config, fmt.Errorf("configuration of nginx: %w", err)
	}
	if err := os.WriteFile(filepath.Join(config.Dir, "nginx.conf"), text.Bytes(), 0o600); err != nil {
		return config, fmt.Errorf("configuration of nginx: %w", err)
	}
	return config, nil
}

func awaitListener(ctx context.Context, process *controlplane.Process, address string) error {
	err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, 10*time.Second, true, func(ctx context.Context) (bool, error) {
		if err := process.Err(); err != nil {
			return false, err
		}
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return false, nil
		}
		return true, conn.Close()
	})
	if err != nil {
		return fmt.Errorf("%s does not listen on %s: %w", process.Name(), address, err)
	}
	return nil
}
