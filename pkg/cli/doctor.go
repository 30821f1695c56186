package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	managementv1 "loft.sh/agent/apis/management/v1"
	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/cli/doctor"
	"loft.sh/agent/pkg/cli/failure"
)

const doctorExample = `  # Examine the way to the manager, and to every cluster with a direct endpoint
  loft doctor

  # One cluster, quickly, as data
  loft doctor --cluster eu --idle 0 -o json`

type doctorOptions struct {
	cluster, namespace, format string
	idle                       time.Duration
}

func newDoctor(e *env) *cobra.Command {
	var o doctorOptions
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find out what is wrong with the way to a cluster",
		Long: `Examines the way to the manager and to direct endpoints: names, certificates, clocks, health, tokens,
permission, streams, idle connections and speed. Each line is ok, a warning or failed, and says what
to do. Nothing is changed anywhere. It ends with 1 if anything failed.`,
		Example: doctorExample,
		Args:    exactly(0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runDoctor(cmd.Context(), e, o) },
	}
	o.addFlags(cmd.Flags())
	if err := cmd.RegisterFlagCompletionFunc("cluster", completeClusters(e)); err != nil {
		panic(err) // the flag is not there
	}
	return cmd
}

func (o *doctorOptions) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.cluster, "cluster", "", "Cluster to examine. Default: every cluster with a direct endpoint.")
	fs.StringVarP(&o.namespace, "namespace", "n", "", "Namespace where streams are tried. Default: where it takes the rights to watch all namespaces.")
	fs.DurationVar(&o.idle, "idle", 65*time.Second, "How long a silent connection is kept open, to find short time-outs of proxies; 0 leaves it out.")
	fs.StringVarP(&o.format, "output", "o", "", "Format: json. Default: a line for each finding.")
}

func runDoctor(ctx context.Context, e *env, o doctorOptions) error {
	if o.format != "" && o.format != "json" {
		return failure.Usagef("--output: %q is not json", o.format)
	}
	if o.idle < 0 {
		return failure.Usagef("--idle: %s is less than nothing", o.idle)
	}
	v, err := e.visit()
	if err != nil {
		return err
	}
	w := &reportWriter{env: e, lines: o.format == ""}
	doctor.Manager(ctx, v.client, w.tell)
	if !w.report.Failed() {
		if err := v.examineClusters(ctx, o, w); err != nil {
			return err
		}
	}
	if o.format == "json" {
		data, err := json.MarshalIndent(w.report, "", "  ")
		if err == nil {
			_, err = fmt.Fprintln(e.Out, string(data))
		}
		if err != nil {
			return err
		}
	}
	if w.report.Failed() {
		return errors.New("something is wrong: see the lines that say failed")
	}
	return ctx.Err()
}

func (v *visit) examineClusters(ctx context.Context, o doctorOptions, w *reportWriter) error {
	clusters, err := v.examined(ctx, o.cluster)
	if err != nil {
		return err
	}
	e := &doctor.Examination{Login: v.login, Client: v.client, Namespace: o.namespace, Idle: o.idle}
	if len(clusters) > 0 && o.idle > 0 {
		v.Infof("A silent connection is kept open for %s to each cluster; --idle 0 leaves that out", o.idle)
	}
	// Clusters are examined at once, since each may idle for a minute, and told of one by one.
	findings := make([][]doctor.Finding, len(clusters))
	var wait sync.WaitGroup
	for i := range clusters {
		wait.Go(func() {
			e.Cluster(ctx, &clusters[i], func(f doctor.Finding) {
				if len(clusters) == 1 {
					w.tell(f)
					return
				}
				findings[i] = append(findings[i], f)
			})
		})
	}
	wait.Wait()
	for _, of := range findings {
		for _, f := range of {
			w.tell(f)
		}
	}
	return nil
}

// examined are the clusters to look at.
func (v *visit) examined(ctx context.Context, name string) ([]managementv1.Cluster, error) {
	if name != "" {
		cluster, err := v.client.Cluster(ctx, name, v)
		if err != nil {
			return nil, err
		}
		return []managementv1.Cluster{*cluster}, nil
	}
	all, err := v.client.Clusters(ctx)
	if err != nil {
		return nil, err
	}
	var with []managementv1.Cluster
	for _, cluster := range all.Items {
		if cluster.Annotations[storagev1.AnnotationDirectEndpoint] != "" {
			with = append(with, cluster)
		}
	}
	if len(with) == 0 {
		v.Infof("No cluster that you may use has a direct endpoint")
	}
	return with, nil
}

// reportWriter prints findings as they come, and keeps them.
type reportWriter struct {
	*env
	lines  bool
	report doctor.Report
}

func (w *reportWriter) tell(f doctor.Finding) {
	w.report.Findings = append(w.report.Findings, f)
	if !w.lines {
		return
	}
	advice := ""
	if f.Advice != "" {
		advice = "; " + f.Advice
	}
	_, _ = fmt.Fprintf(w.Out, "%-8s %s %s: %s%s\n", f.Status, f.Subject, f.Check, oneLine(f.Message), advice)
}
