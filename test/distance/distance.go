package distance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"loft.sh/agent/test/distance/hop"
	"loft.sh/agent/test/sandbox/central"
)

// clusterName is the one connected cluster.
const clusterName = "eu"

// Options of a measurement.
type Options struct {
	// Delay is what each hop adds in each direction.
	Delay time.Duration
	// Rounds is how often each thing is done; the median counts.
	Rounds int
	// Dir keeps everything; required.
	Dir string
	// Log takes what is done; nil means silence.
	Log io.Writer
}

// Result holds the median of each row for each way.
type Result struct {
	Delay time.Duration
	Rows  []Row
}

// Row is one thing that was done.
type Row struct {
	What string
	// Times are by the ways of the table, in its order.
	Times []time.Duration
}

// scene is what is measured on.
type scene struct {
	*central.Central
	opts Options
	hops []*hop.Hop
	ways []*way
}

// Run starts an installation, measures and ends it.
func Run(ctx context.Context, opts Options) (_ *Result, err error) {
	if opts.Delay <= 0 || opts.Rounds < 1 {
		return nil, fmt.Errorf("want a delay above 0 and one round or more, got %s and %d", opts.Delay, opts.Rounds)
	}
	if opts.Log == nil {
		opts.Log = io.Discard
	}
	s := &scene{opts: opts}
	s.Central, err = central.Start(ctx, central.Options{
		Dir: opts.Dir, Clusters: []central.ClusterOptions{{Name: clusterName}}, Log: opts.Log,
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.seed(ctx); err != nil {
		return nil, err
	}
	if err := s.lengthen(ctx); err != nil {
		return nil, err
	}
	return s.measure(ctx)
}

func (s *scene) close() error {
	var errs []error
	for _, h := range s.hops {
		errs = append(errs, h.Close())
	}
	return errors.Join(append(errs, s.Stop())...)
}

// lengthen puts a hop between each two of user, centre and cluster.
func (s *scene) lengthen(ctx context.Context) error {
	cluster := s.Connected(clusterName)
	far, err := s.far(cluster.Cluster().URL())
	if err != nil {
		return err
	}
	if err := s.MoveCluster(ctx, clusterName, far); err != nil {
		return err
	}
	centre, err := s.far(s.URL())
	if err != nil {
		return err
	}
	endpoint, err := s.far(cluster.EndpointURL())
	if err != nil {
		return err
	}
	token, err := s.directToken(ctx)
	if err != nil {
		return err
	}
	for _, w := range []*way{
		{name: "central", base: centre + "/kubernetes/cluster/" + clusterName, token: s.Key(central.Alice), ca: s.CAFile()},
		{name: "direct", base: endpoint + "/kubernetes/cluster", token: token, ca: cluster.EndpointCA()},
		{name: "direct, beside the cluster", base: cluster.EndpointURL() + "/kubernetes/cluster", token: token, ca: cluster.EndpointCA()},
	} {
		w.dir, w.kubectl = filepath.Join(s.opts.Dir, "ways", strconv.Itoa(len(s.ways))), cluster.Cluster().Binaries().Kubectl
		if err := w.prepare(); err != nil {
			return err
		}
		s.ways = append(s.ways, w)
	}
	return s.awaitFar(ctx)
}

// awaitFar waits until the manager takes the long way to the cluster.
func (s *scene) awaitFar(ctx context.Context) error {
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		began := time.Now()
		_, err := s.ways[0].run(ctx, work[2])
		return time.Since(began) >= 4*s.opts.Delay, err
	})
	if err != nil {
		return fmt.Errorf("the manager does not take the long way: %w", err)
	}
	return nil
}

// far returns a URL for the same server, at the other end of a hop.
func (s *scene) far(server string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", fmt.Errorf("server behind a hop: %w", err)
	}
	h, err := hop.Listen(u.Host, s.opts.Delay)
	if err != nil {
		return "", err
	}
	s.hops = append(s.hops, h)
	u.Host = u.Hostname() + ":" + strconv.Itoa(h.Port())
	return u.String(), nil
}

func (s *scene) measure(ctx context.Context) (*Result, error) {
	result := &Result{Delay: s.opts.Delay}
	for _, w := range work {
		row := Row{What: w.what}
		for _, way := range s.ways {
			took, err := way.median(ctx, w, s.opts.Rounds)
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", w.what, way.name, err)
			}
			_, _ = fmt.Fprintf(s.opts.Log, "distance: %s, %s: %s\n", w.what, way.name, took)
			row.Times = append(row.Times, took)
		}
		if centre, direct := row.Times[0], row.Times[1]; centre < 4*s.opts.Delay || direct < 2*s.opts.Delay {
			return nil, fmt.Errorf("%s: %s through the centre and %s directly, which is less than the hops take", w.what, centre, direct)
		}
		result.Rows = append(result.Rows, row)
	}
	return result, nil
}

// Print writes the table in Markdown.
func (r *Result) Print(out io.Writer) {
	_, _ = fmt.Fprintf(out, "| %s on each hop | through the centre | direct | ratio | direct, no hop |\n|---|---|---|---|---|\n",
		r.Delay)
	for _, row := range r.Rows {
		_, _ = fmt.Fprintf(out, "| %s | %s | %s | %.1f | %s |\n", row.What, millis(row.Times[0]), millis(row.Times[1]),
			row.Times[0].Seconds()/row.Times[1].Seconds(), millis(row.Times[2]))
	}
}

func millis(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
