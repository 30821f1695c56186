package result

import (
	"slices"

	"loft.sh/agent/test/bench/load"
)

const (
	direct = "direct"
	// The works whose memory is compared: answers of 20 MB with answers of 0.5 MB.
	largeWork, mediumWork = "list-20m", "list-500"
)

// Summarise fills in the values of all cells from their rounds, and adds the cells of AllWork.
func (r *Run) Summarise() {
	r.addAll()
	for i := range r.Cells {
		cell := &r.Cells[i]
		cell.Values = Sample{}
		for metric := range cell.Rounds[0] {
			if metric == Round {
				continue
			}
			cell.Values[metric] = load.Median(cell.values(metric))
		}
		key := cell.Key
		key.Target = direct
		if base := r.Find(key); base != nil && cell.Target != direct {
			cell.compare(base)
		}
		cell.extra()
	}
	for i := range r.Cells {
		r.growth(&r.Cells[i])
	}
}

// addAll sums up requests: caches of the proxy expire in one cell or another, by chance.
func (r *Run) addAll() {
	sums := map[Key]Sample{}
	var keys []Key
	for _, cell := range r.Cells {
		if _, there := cell.Rounds[0][Upstream]; !there {
			continue
		}
		key := Key{Work: AllWork, Client: cell.Client, Target: cell.Target}
		if sums[key] == nil {
			sums[key] = Sample{}
			keys = append(keys, key)
		}
		for _, round := range cell.Rounds {
			sums[key][Requests] += round[Requests]
			sums[key][Upstream] += round[Upstream]
		}
	}
	for _, key := range keys {
		r.Add(key, sums[key])
	}
}

func (c *Cell) values(metric Metric) []float64 {
	values := make([]float64, 0, len(c.Rounds))
	for _, round := range c.Rounds {
		values = append(values, round[metric])
	}
	return values
}

// compare takes differences and ratios round by round.
func (c *Cell) compare(base *Cell) {
	for metric, of := range map[Metric]Metric{AddedP50: P50, AddedP99: P99, Ratio: Throughput} {
		if _, there := c.Rounds[0][of]; !there {
			continue
		}
		var compared []float64
		for _, round := range c.Rounds {
			i := slices.IndexFunc(base.Rounds, func(s Sample) bool { return s[Round] == round[Round] })
			if i < 0 {
				continue
			}
			mine, theirs := round[of], base.Rounds[i][of]
			if metric == Ratio {
				compared = append(compared, mine/theirs)
			} else {
				compared = append(compared, mine-theirs)
			}
		}
		if len(compared) > 0 {
			c.Values[metric] = load.Median(compared)
		}
	}
}

// extra counts over all rounds: a request of the proxy's own is rare, a median would hide it.
func (c *Cell) extra() {
	if _, there := c.Rounds[0][Upstream]; !there {
		return
	}
	var sent, arrived float64
	for _, round := range c.Rounds {
		sent += round[Requests]
		arrived += round[Upstream]
	}
	c.Values[Extra] = (arrived - sent) / sent
}

// growth compares the peaks of memory with large and with medium answers.
func (r *Run) growth(c *Cell) {
	key := c.Key
	key.Work = mediumWork
	medium := r.Find(key)
	if c.Work != largeWork || medium == nil || c.Values[Peak] == 0 {
		return
	}
	c.Values[Growth] = load.Quantile(c.values(Peak), 1) - load.Quantile(medium.values(Peak), 1)
}
