package kubeconfig

import (
	"bytes"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// edit replaces the lines from start to end, which is not among them.
type edit struct {
	start, end int
	lines      []string
}

// text is a kubeconfig as people wrote it: its lines, and where in them things are.
type text struct {
	lines []string
	root  *yaml.Node
}

func parseText(content []byte) (*text, bool) {
	var document yaml.Node
	if yaml.Unmarshal(content, &document) != nil || len(document.Content) != 1 {
		return nil, false
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode || root.Style&yaml.FlowStyle != 0 {
		return nil, false
	}
	lines := strings.SplitAfter(string(content), "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	} else {
		lines[len(lines)-1] += "\n"
	}
	return &text{lines: lines, root: root}, true
}

// splice writes the stanzas called name, and the current context, of want into content, and leaves
// every other line as it is: comments, order, and what Kubernetes does not define. false: the text is
// of a shape that this cannot be done with, or would not say what want says.
func splice(content []byte, want *clientcmdapi.Config, name string) ([]byte, bool) {
	t, ok := parseText(content)
	if !ok {
		return nil, false
	}
	var edits []edit
	for _, kind := range []string{"clusters", "contexts", "users"} {
		item, rendered := renderItem(want, kind, name)
		if !rendered {
			return nil, false
		}
		e, ok := t.editStanza(kind, name, item)
		if !ok {
			return nil, false
		}
		edits = append(edits, e...)
	}
	e, ok := t.editCurrent(want.CurrentContext)
	if !ok {
		return nil, false
	}
	spliced := t.apply(append(edits, e...))
	return spliced, says(spliced, want)
}

// says whether content means want.
func says(content []byte, want *clientcmdapi.Config) bool {
	got, err := clientcmd.Load(content)
	if err != nil {
		return false
	}
	is, err := clientcmd.Write(*got)
	if err != nil {
		return false
	}
	wanted, err := clientcmd.Write(*want)
	return err == nil && bytes.Equal(is, wanted)
}

// renderItem is the item of a list of kind for the stanza called name, its dash at the beginning of
// the line; nil: want has none.
func renderItem(want *clientcmdapi.Config, kind, name string) ([]string, bool) {
	alone := clientcmdapi.NewConfig()
	switch kind {
	case "clusters":
		if c := want.Clusters[name]; c != nil {
			alone.Clusters[name] = c
		}
	case "contexts":
		if c := want.Contexts[name]; c != nil {
			alone.Contexts[name] = c
		}
	case "users":
		if u := want.AuthInfos[name]; u != nil {
			alone.AuthInfos[name] = u
		}
	}
	data, err := clientcmd.Write(*alone)
	if err != nil {
		return nil, false
	}
	t, ok := parseText(data)
	if !ok {
		return nil, false
	}
	_, list := t.member(kind)
	if list == nil || list.Kind != yaml.SequenceNode || len(list.Content) == 0 {
		return nil, true
	}
	start, end, ok := t.region(list.Content[0])
	return t.lines[start:end], ok
}

// member is the key and the value of a member of the root; nil: there is none.
func (t *text) member(name string) (key, value *yaml.Node) {
	for i := 0; i+1 < len(t.root.Content); i += 2 {
		if t.root.Content[i].Value == name {
			return t.root.Content[i], t.root.Content[i+1]
		}
	}
	return nil, nil
}

// region is the lines of an item of a list: from its dash to the first line that is not further in,
// less empty lines at its end.
func (t *text) region(item *yaml.Node) (start, end int, ok bool) {
	start = item.Line - 1
	dash := indent(t.lines[start])
	if !strings.HasPrefix(t.lines[start][dash:], "- ") {
		return 0, 0, false
	}
	for end = start + 1; end < len(t.lines); end++ {
		if line := t.lines[end]; strings.TrimSpace(line) != "" && indent(line) <= dash {
			break
		}
	}
	for strings.TrimSpace(t.lines[end-1]) == "" {
		end--
	}
	return start, end, true
}

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// editStanza puts item in place of the one called name, behind the last one, or takes it away.
func (t *text) editStanza(kind, name string, item []string) ([]edit, bool) {
	key, list := t.member(kind)
	switch {
	case key == nil && item == nil:
		return nil, true
	case key == nil:
		return []edit{{len(t.lines), len(t.lines), append([]string{kind + ":\n"}, item...)}}, true
	case list.Kind == yaml.SequenceNode && len(list.Content) > 0 && list.Style&yaml.FlowStyle == 0:
		return t.editItem(list, name, item)
	case item == nil:
		return nil, true
	case (list.Kind == yaml.SequenceNode || list.Tag == "!!null") && list.LineComment == "" && list.Line == key.Line:
		return []edit{{key.Line - 1, key.Line, append([]string{kind + ":\n"}, item...)}}, true
	}
	return nil, false
}

func (t *text) editItem(list *yaml.Node, name string, item []string) ([]edit, bool) {
	for _, other := range list.Content {
		if itemName(other) != name {
			continue
		}
		start, end, ok := t.region(other)
		// A list that lost its last item would be nothing at all.
		if !ok || item == nil && len(list.Content) == 1 {
			return nil, false
		}
		return []edit{{start, end, shift(item, indent(t.lines[start]))}}, true
	}
	if item == nil {
		return nil, true
	}
	start, end, ok := t.region(list.Content[len(list.Content)-1])
	if !ok {
		return nil, false
	}
	return []edit{{end, end, shift(item, indent(t.lines[start]))}}, true
}

func itemName(item *yaml.Node) string {
	for i := 0; i+1 < len(item.Content); i += 2 {
		if item.Content[i].Value == "name" {
			return item.Content[i+1].Value
		}
	}
	return ""
}

func shift(lines []string, by int) []string {
	var shifted []string
	for _, line := range lines {
		shifted = append(shifted, strings.Repeat(" ", by)+line)
	}
	return shifted
}

// editCurrent sets the current context, and keeps a comment behind it.
func (t *text) editCurrent(name string) ([]edit, bool) {
	key, value := t.member("current-context")
	quoted, err := yaml.Marshal(name)
	switch {
	case err != nil:
		return nil, false
	case key == nil && name == "":
		return nil, true
	case key == nil:
		return []edit{{len(t.lines), len(t.lines), []string{"current-context: " + string(quoted)}}}, true
	case value.Value == name && value.Kind == yaml.ScalarNode:
		return nil, true
	case value.Kind != yaml.ScalarNode || value.Line != key.Line:
		return nil, false
	}
	comment := ""
	if value.LineComment != "" {
		comment = " " + value.LineComment
	}
	return []edit{{key.Line - 1, key.Line, []string{"current-context: " + strings.TrimSpace(string(quoted)) + comment + "\n"}}}, true
}

// apply makes edits, the last line first. Of two at the end of the text the first stays first.
func (t *text) apply(edits []edit) []byte {
	slices.Reverse(edits)
	slices.SortStableFunc(edits, func(a, b edit) int { return b.start - a.start })
	lines := slices.Clone(t.lines)
	for _, e := range edits {
		lines = slices.Replace(lines, e.start, e.end, e.lines...)
	}
	return []byte(strings.Join(lines, ""))
}
