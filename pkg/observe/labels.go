package observe

import (
	"net/http"
	"strconv"

	"k8s.io/apiserver/pkg/endpoints/request"

	"loft.sh/agent/pkg/proxy"
)

// Other stands for every value that is in none of the lists.
const Other = "other"

// Verb is one of the verbs that requests are counted by.
type Verb uint8

// verbs are those of the API server, and the methods of requests that are for no resource; 0 stands
// for anything else, since a method may be any word.
var verbs = [...]string{Other, "get", "list", "watch", "create", "update", "patch", "delete",
	"deletecollection", "proxy", "head", "options", "post", "put"}

var verbIndex = func() map[string]Verb {
	index := make(map[string]Verb, len(verbs))
	for i, name := range verbs {
		index[name] = Verb(i)
	}
	return index
}()

// VerbOf finds the verb named name.
func VerbOf(name string) Verb { return verbIndex[name] }

// String is the value of the label verb.
func (v Verb) String() string { return verbs[v] }

// Verbs are all verbs there are.
func Verbs() []Verb {
	all := make([]Verb, len(verbs))
	for i := range all {
		all[i] = Verb(i)
	}
	return all
}

var lanes = [...]string{proxy.Short: "short", proxy.Stream: "stream", proxy.Upgrade: "upgrade"}

// streams are the kinds of requests that stay open; 0 stands for anything else.
var streams = [...]string{Other, "watch", "log", "exec", "attach", "portforward", "proxy"}

// streamOf is the kind of a request that stays open.
func streamOf(info *request.RequestInfo) int {
	if info.Verb == "watch" {
		return 1
	}
	for i, name := range streams {
		if name == info.Subresource {
			return i
		}
	}
	return 0
}

// codeGone is what nginx calls a request whose client left before there was an answer.
const codeGone = 499

// codeOther stands for codes that have no name.
const codeOther = 0

// known is code, or codeOther: what is behind a proxy subresource may answer with any number, so
// those without a name (net/http) are others.
func known(code int) int {
	if code == codeGone || http.StatusText(code) != "" {
		return code
	}
	return codeOther
}

// codeLabel is the value of the label code.
func codeLabel(code int) string {
	if code == codeOther {
		return Other
	}
	return strconv.Itoa(code)
}
