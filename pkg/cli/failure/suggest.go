package failure

import (
	"slices"
	"strings"
)

// Like returns those of names that look like name, the nearest first: a slip of the keys away, or
// the beginning of one another. It returns three at most.
func Like(name string, names []string) []string {
	type near struct {
		name     string
		distance int
	}
	var found []near
	for _, candidate := range slices.Compact(slices.Sorted(slices.Values(names))) {
		d := distance(strings.ToLower(name), strings.ToLower(candidate))
		prefix := name != "" && (strings.HasPrefix(candidate, name) || strings.HasPrefix(name, candidate))
		if d <= max(2, len(name)/3) || prefix {
			found = append(found, near{candidate, d})
		}
	}
	slices.SortStableFunc(found, func(a, b near) int { return a.distance - b.distance })
	var like []string
	for _, n := range found[:min(len(found), 3)] {
		like = append(like, n.name)
	}
	return like
}

// DidYouMean is "; did you mean a or b?" for the names that look like name; where none does, it lists
// those that there are, as kind. It is empty without names.
func DidYouMean(name, kind string, names []string) string {
	if like := Like(name, names); len(like) > 0 {
		return "; did you mean " + strings.Join(like, " or ") + "?"
	}
	if len(names) == 0 {
		return ""
	}
	shown := slices.Compact(slices.Sorted(slices.Values(names)))
	if len(shown) > 10 {
		shown = append(shown[:10], "…")
	}
	return "; " + kind + " that you may use: " + strings.Join(shown, ", ")
}

// distance counts the letters to change, add, leave out or swap with their neighbour to turn a into
// b (optimal string alignment).
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	before, last := []int(nil), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := range x {
		row := make([]int, len(y)+1)
		row[0] = i + 1
		for j := range y {
			cost := 1
			if x[i] == y[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(y)]
}

// Listed asks for one of names, for a message where nobody can be asked.
func Listed(names []string) string { return "Name one of " + strings.Join(names, ", ") }
