package result

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"
)

// Metric is something measured. Times are milliseconds, memory is in MiB or KiB.
type Metric string

// The metrics. Those that begin with Added, and Ratio, compare with the direct target.
const (
	// Round is the number of the round that a sample is of.
	Round Metric = "round"

	P50        Metric = "p50_ms"
	P99        Metric = "p99_ms"
	AddedP50   Metric = "added_p50_ms"
	AddedP99   Metric = "added_p99_ms"
	Throughput Metric = "throughput_per_s"
	Ratio      Metric = "throughput_ratio"
	// CPU is the processor time of the proxy per request.
	CPU Metric = "cpu_ms_per_request"
	// Resident memory of the proxy after a cell, Peak the most within it.
	Resident Metric = "resident_mib"
	Peak     Metric = "peak_mib"
	// Growth is Peak in excess of the same cell's with small answers.
	Growth Metric = "memory_growth_mib"
	// Requests are what clients sent, Upstream what the API server got for them.
	Requests Metric = "requests"
	Upstream Metric = "upstream_requests"
	// Extra requests that reached the API server per request.
	Extra Metric = "extra_upstream_per_request"
	// Lost events of a watch.
	Lost Metric = "lost_events"
	// PerWatch is resident memory per open watch, HeapPerWatch what of it is live heap and stacks.
	PerWatch     Metric = "kib_per_watch"
	HeapPerWatch Metric = "live_kib_per_watch"
)

// AllWork is the work of the cell that sums up a client's cells on one target.
const AllWork = "all"

// Key says what was measured.
type Key struct {
	Work        string `json:"work"`
	Client      string `json:"client"`
	Concurrency int    `json:"concurrency"`
	Target      string `json:"target"`
}

// Sample is one round's values.
type Sample map[Metric]float64

// Cell is a key's values over all rounds.
type Cell struct {
	Key
	Values Sample   `json:"values"`
	Rounds []Sample `json:"rounds"`
}

// Machine that a run was made on.
type Machine struct {
	CPUs   int    `json:"cpus"`
	Model  string `json:"model"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
}

// Run is everything that one run found.
type Run struct {
	Started  time.Time `json:"started"`
	Seconds  float64   `json:"seconds"`
	Machine  Machine   `json:"machine"`
	Settings any       `json:"settings"`
	Notices  []string  `json:"notices,omitempty"`
	Cells    []Cell    `json:"cells"`
	// Own are requests of the agent in its own name while cells ran, by verb and resource.
	Own map[string]int `json:"own_requests,omitempty"`
}

// Add a round's sample to the key's cell. What is to be compared with the direct target says its Round.
func (r *Run) Add(key Key, sample Sample) {
	i := slices.IndexFunc(r.Cells, func(c Cell) bool { return c.Key == key })
	if i < 0 {
		r.Cells = append(r.Cells, Cell{Key: key})
		i = len(r.Cells) - 1
	}
	r.Cells[i].Rounds = append(r.Cells[i].Rounds, sample)
}

// Find returns the key's cell, or nil.
func (r *Run) Find(key Key) *Cell {
	if i := slices.IndexFunc(r.Cells, func(c Cell) bool { return c.Key == key }); i >= 0 {
		return &r.Cells[i]
	}
	return nil
}

// Write stores the run as JSON.
func (r *Run) Write(path string) error {
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return fmt.Errorf("result: %w", err)
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("result: %w", err)
	}
	return nil
}

// Read reads a run that Write stored.
func Read(path string) (*Run, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("result: %w", err)
	}
	r := &Run{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("result %q: %w", path, err)
	}
	return r, nil
}
