//go:build nginx

package e2e

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

	"loft.sh/agent/test/controlplane"
	"loft.sh/agent/test/e2e/kubectl"
)

// ingressPrefix is that of the annotations that ingress-nginx reads.
const ingressPrefix = "nginx.ingress.kubernetes.io/"

// nginx is a running one that ends TLS in front of the agent's plain port.
type nginx struct{ url, caFile string }

// nginxConfig is what ingress-nginx writes for one host, without what changes no request. %[1]s is
// the user, %[2]s the agent's address, %[3]s our own, %[4]s the directives of the annotations.
const nginxConfig = `daemon off;
worker_processes 1;
user %[1]s;
pid nginx.pid;
error_log stderr warn;
events {}
http {
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  keepalive_timeout 75s;
  client_header_buffer_size 1k;
  large_client_header_buffers 4 8k;
  underscores_in_headers off;
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  upstream agent { server %[2]s; keepalive 320; keepalive_timeout 60s; keepalive_requests 10000; }
  server {
    listen %[3]s ssl http2;
    ssl_certificate tls.crt;
    ssl_certificate_key tls.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    add_header Strict-Transport-Security "max-age=31536000; includeSubDomains" always;
    location / {
      proxy_pass http://agent;
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header X-Request-ID $request_id;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Host $host;
      proxy_set_header X-Forwarded-Port 443;
      proxy_set_header X-Forwarded-Proto https;
      proxy_set_header X-Forwarded-Scheme https;
      proxy_set_header X-Scheme https;
      proxy_set_header X-Original-Forwarded-For $http_x_forwarded_for;
      proxy_connect_timeout 5s;
      proxy_cookie_domain off;
      proxy_cookie_path off;
      proxy_redirect off;
      proxy_next_upstream error timeout;
      proxy_next_upstream_tries 3;
%[4]s    }
  }
}
`

// ingressDirectives are those that ingress-nginx makes of the manifest's annotations. One that is
// not known here fails the test, so that the manifest tested is the whole manifest.
func ingressDirectives(t *testing.T) map[string]string {
	t.Helper()
	root, err := controlplane.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(root, "artifacts", "expose", "ingress-nginx.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var ingress networkingv1.Ingress
	if err := yaml.UnmarshalStrict(data, &ingress); err != nil {
		t.Fatal(err)
	}
	buffer := cmp.Or(ingress.Annotations[ingressPrefix+"proxy-buffer-size"], "4k")
	directives := map[string]string{}
	for key, value := range ingress.Annotations {
		name, ours := strings.CutPrefix(key, ingressPrefix)
		if !ours {
			continue // of the issuer, and of the other controller
		}
		directive := strings.ReplaceAll(name, "-", "_")
		switch name {
		case "proxy-read-timeout", "proxy-send-timeout":
			value += "s"
		case "proxy-buffers-number":
			directive, value = "proxy_buffers", value+" "+buffer
		case "proxy-body-size":
			directive = "client_max_body_size"
		case "proxy-buffer-size", "proxy-buffering", "proxy-request-buffering":
		default:
			t.Fatalf("annotation %s of the Ingress manifest: not known here", key)
		}
		directives[directive] = value
	}
	return directives
}

// startNginx runs nginx until the test ends.
func startNginx(t *testing.T, directives map[string]string) *nginx {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		t.Fatalf("%v; on Debian \"make nginx\" installs it as root, elsewhere install it", err)
	}
	dir := t.TempDir()
	address := freeAddress(t)
	proxy := &nginx{url: "https://" + address, caFile: filepath.Join(dir, "ca.crt")}
	writeNginxKeys(t, dir, proxy.caFile)
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, []byte(nginxText(t, address, directives)), 0o600); err != nil {
		t.Fatal(err)
	}
	process, err := controlplane.StartProcess(controlplane.ProcessConfig{
		Name: "nginx", Path: program, Args: []string{"-p", dir, "-c", config, "-e", "stderr"}, LogFile: filepath.Join(dir, "log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last lines of nginx:\n%s", process.Tail(20))
		}
		if err := process.Stop(10 * time.Second); err != nil {
			t.Error(err)
		}
	})
	kubectl.Await(t, "nginx listens", func(ctx context.Context) bool {
		if !process.Running() {
			t.Fatal(process.Err())
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	return proxy
}

func nginxText(t *testing.T, address string, directives map[string]string) string {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	agent, err := url.Parse(shared.EndpointHTTPURL())
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for _, name := range slices.Sorted(maps.Keys(directives)) {
		fmt.Fprintf(&lines, "      %s %s;\n", name, directives[name])
	}
	return fmt.Sprintf(nginxConfig, me.Username, "127.0.0.1:"+agent.Port(), address, lines.String())
}

func writeNginxKeys(t *testing.T, dir, caFile string) {
	t.Helper()
	authority, err := controlplane.NewCA("e2e-ingress")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.IssueServing("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := pair.WriteFiles(dir, "tls"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(caFile, authority.CertPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}
