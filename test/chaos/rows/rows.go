// Package rows lists the rows of the chaos run in the order of their report.
package rows

import (
	"slices"

	"loft.sh/agent/test/chaos"
	"loft.sh/agent/test/chaos/rows/apiserver"
	"loft.sh/agent/test/chaos/rows/exhaust"
	"loft.sh/agent/test/chaos/rows/replicas"
	"loft.sh/agent/test/chaos/rows/trust"
)

// All returns every row. A kind of fault is a package below this one, with a function Rows.
func All() []chaos.Row {
	return slices.Concat(
		apiserver.Rows(),
		replicas.Rows(),
		exhaust.Rows(),
		trust.Rows(),
	)
}
