package identity

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiserver/pkg/authentication/user"
)

func TestStripRemovesEveryClaimOfAClient(t *testing.T) {
	kept := http.Header{"Accept": {"*/*"}, "X-Sleep-Mode-Ignore": {"true"}, "Impersonated": {"a word, not a header of ours"}}
	h := kept.Clone()
	for _, name := range []string{
		"Impersonate-User", "impersonate-user", "IMPERSONATE-UID", "Impersonate-Group", "Impersonate-Extra-Scopes",
		"Impersonate-Anything", "X-Remote-User", "x-remote-extra-a", "Authorization", "authorization", "Proxy-Authorization",
		"Audit-Id", "X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "X-Real-Ip", "x-real-ip",
	} {
		h[name] = []string{"mallory"}
	}
	Strip(h)
	if diff := cmp.Diff(kept, h); diff != "" {
		t.Errorf("headers after Strip (-want +got):\n%s", diff)
	}
}

func TestStripRemovesBearerTokenInWebSocketProtocol(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   []string
		want []string
	}{
		{"token alone", []string{bearerSubprotocol + "dG9rZW4"}, nil},
		{"token among others", []string{bearerSubprotocol + "dG9rZW4, v5.channel.k8s.io"}, []string{"v5.channel.k8s.io"}},
		{"several lines", []string{"v5.channel.k8s.io", "v4.channel.k8s.io," + bearerSubprotocol + "x"}, []string{"v5.channel.k8s.io, v4.channel.k8s.io"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := http.Header{websocketProtocolHeader: tc.in}
			Strip(h)
			if diff := cmp.Diff(tc.want, h[websocketProtocolHeader]); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestStampWritesAllFour(t *testing.T) {
	h := http.Header{}
	err := Stamp(h, &user.DefaultInfo{
		Name: "loft:user:alice", UID: "42", Groups: []string{"dev", "loft:authenticated"},
		Extra: map[string][]string{"example.com/Scope%": {"a", "b"}, "plain": {"c"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := http.Header{
		"Impersonate-User":                           {"loft:user:alice"},
		"Impersonate-Uid":                            {"42"},
		"Impersonate-Group":                          {"dev", "loft:authenticated"},
		"Impersonate-Extra-Example.com%2f%53cope%25": {"a", "b"},
		"Impersonate-Extra-Plain":                    {"c"},
	}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestStampRefusesAmbiguousIdentities(t *testing.T) {
	for _, tc := range []struct {
		name string
		user *user.DefaultInfo
		want string
	}{
		{"empty name would run as the agent", &user.DefaultInfo{}, "user name: must not be empty"},
		{"blank name would run as the agent", &user.DefaultInfo{Name: " "}, "blank at an end"},
		{"trailing blank is two users", &user.DefaultInfo{Name: "bob "}, "blank at an end"},
		{"no-break space", &user.DefaultInfo{Name: "bob\u00a0"}, "blank at an end"},
		{"header injection", &user.DefaultInfo{Name: "bob\r\nImpersonate-Group: system:masters"}, "control character"},
		{"broken UTF-8", &user.DefaultInfo{Name: "bob\xff"}, "not valid UTF-8"},
		{"empty group", &user.DefaultInfo{Name: "bob", Groups: []string{""}}, "group: must not be empty"},
		{"UID", &user.DefaultInfo{Name: "bob", UID: "\t1"}, "user UID"},
		{"extra key", &user.DefaultInfo{Name: "bob", Extra: map[string][]string{"": {"x"}}}, "extra key"},
		{"extra value", &user.DefaultInfo{Name: "bob", Extra: map[string][]string{"k": {"x\n"}}}, "extra value"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := http.Header{}
			err := Stamp(h, tc.user)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
			if len(h) != 0 {
				t.Errorf("headers were written all the same: %v", h)
			}
		})
	}
}
