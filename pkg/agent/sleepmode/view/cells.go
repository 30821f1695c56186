package view

import (
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
)

// Cells are what tables show of sleep, as kubectl shows ages.
type Cells struct {
	// Sleeping is since when, and why; LastActivity when and whose; NextChange in how long what.
	Sleeping, LastActivity, NextChange string
}

// none is what kubectl prints for nothing.
const none = "<none>"

// CellsOf returns the cells of a configuration at a time.
func CellsOf(config *clusterv1.SleepModeConfig, now time.Time) Cells {
	if config == nil {
		return Cells{Sleeping: none, LastActivity: none, NextChange: none}
	}
	status := config.Status
	cells := Cells{Sleeping: none, LastActivity: none, NextChange: nextChange(config, now)}
	if status.SleepingSince != 0 {
		cells.Sleeping = ago(now, status.SleepingSince) + " (" + status.SleepType + ")"
	}
	if status.LastActivity != 0 {
		cells.LastActivity = ago(now, status.LastActivity)
		if info := status.LastActivityInfo; info != nil && info.Subject != "" {
			cells.LastActivity += " (" + info.Subject + ")"
		}
	}
	return cells
}

func ago(now time.Time, unix int64) string {
	return duration.HumanDuration(max(0, now.Sub(time.Unix(unix, 0))))
}

// nextChange says what happens next without anybody's doing.
func nextChange(config *clusterv1.SleepModeConfig, now time.Time) string {
	status, spec := config.Status, config.Spec
	next, what := time.Time{}, ""
	consider := func(unix int64, change string) {
		if at := time.Unix(unix, 0); what == "" || at.Before(next) {
			next, what = at, change
		}
	}
	if status.SleepingSince != 0 {
		if status.ScheduledWakeup != nil {
			consider(*status.ScheduledWakeup, "wakes")
		}
	} else {
		if status.ScheduledSleep != nil {
			consider(*status.ScheduledSleep, "sleeps")
		}
		if spec.SleepAfter > 0 && status.LastActivity > 0 {
			consider(status.LastActivity+spec.SleepAfter, "sleeps")
		}
	}
	if spec.DeleteAfter > 0 && status.LastActivity > 0 {
		consider(status.LastActivity+spec.DeleteAfter, "is deleted")
	}
	if what == "" {
		return none
	}
	return what + " in " + duration.HumanDuration(max(0, next.Sub(now)))
}
