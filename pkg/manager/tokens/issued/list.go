package issued

import (
	"cmp"
	"slices"

	"loft.sh/agent/pkg/accesstoken"
)

// MaxRevocations is how many settled revocations a bundle names one by one. A name is 253 bytes long at
// most, and a bundle must fit into a ConfigMap of 1 MiB.
const MaxRevocations = 3000

// List puts revocations into a bundle, in an order that depends on them alone. The oldest of too many
// are put together as one time up to which everybody's tokens are refused: whoever did nothing wrong
// renews, and nobody gets in for want of room.
func List(revocations []Revocation, tokenIDs []string) accesstoken.Revocations {
	all := slices.Clone(revocations)
	slices.SortFunc(all, func(a, b Revocation) int {
		return cmp.Or(-cmp.Compare(a.last(), b.last()), cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.AccessKey, b.AccessKey))
	})
	list := accesstoken.Revocations{TokenIDs: slices.Compact(slices.Sorted(slices.Values(tokenIDs)))}
	for i, r := range all {
		if i >= MaxRevocations && r.Last > 0 {
			list.IssuedBefore = &r.Last
			break
		}
		switch {
		case r.AccessKey != "":
			list.AccessKeys = append(list.AccessKeys, r.AccessKey)
		case r.Cutoff > 0:
			list.Subjects = append(list.Subjects, accesstoken.SubjectRevocation{Subject: r.Subject, IssuedBefore: &r.Cutoff})
		default:
			list.Subjects = append(list.Subjects, accesstoken.SubjectRevocation{Subject: r.Subject})
		}
	}
	slices.Sort(list.AccessKeys)
	list.AccessKeys = slices.Compact(list.AccessKeys)
	slices.SortFunc(list.Subjects, func(a, b accesstoken.SubjectRevocation) int { return cmp.Compare(a.Subject, b.Subject) })
	return list
}

// last puts what is not settled yet, and cannot be put together, first.
func (r *Revocation) last() int64 {
	if r.Last == 0 {
		return 1 << 62
	}
	return r.Last
}
