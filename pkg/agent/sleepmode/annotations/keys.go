// Package annotations reads and writes sleep mode's annotations: those of a namespace, which are
// settings and state at once, and those of workloads, which remember what sleep took from them.
//
// What surprises:
//   - A value that cannot be read is an error that names its key, and whoever reads the namespace does
//     nothing to it: no typing error puts anything to sleep, and none deletes anything.
//   - The settings' keys are people's; the state's are the agent's, but last-activity may be set by hand,
//     which is how a namespace is woken with kubectl alone.
//   - The keys without a mention in their docstring are those of the published interface. Ours are
//     additions: PhaseKey, ForcedSinceKey, DeleteAtKey, ConditionsKey and what stands on workloads.
package annotations

import "strings"

// Prefix begins every key.
const Prefix = "sleepmode.loft.sh/"

// Settings, on namespaces.
const (
	SleepAfterKey     = Prefix + "sleep-after"
	DeleteAfterKey    = Prefix + "delete-after"
	ForceKey          = Prefix + "force"
	ForceDurationKey  = Prefix + "force-duration"
	DeleteAllPodsKey  = Prefix + "delete-all-pods"
	SleepScheduleKey  = Prefix + "sleep-schedule"
	WakeupScheduleKey = Prefix + "wakeup-schedule"
	TimezoneKey       = Prefix + "timezone"
)

// What doesn't count as activity, on namespaces.
const (
	IgnoreAllKey               = Prefix + "ignore-all"
	IgnoreGroupsKey            = Prefix + "ignore-groups"
	IgnoreResourcesKey         = Prefix + "ignore-resources"
	IgnoreVerbsKey             = Prefix + "ignore-verbs"
	IgnoreResourceVerbsKey     = Prefix + "ignore-resource-verbs"
	IgnoreResourceNamesKey     = Prefix + "ignore-resource-names"
	IgnoreVirtualClustersKey   = Prefix + "ignore-vclusters"
	IgnoreActiveConnectionsKey = Prefix + "ignore-active-connections"
	// IgnoreActiveConnectionsOldKey is how the documentation of 2.x spells the key above.
	IgnoreActiveConnectionsOldKey = Prefix + "ignore-active-conntections"
	IgnoreUserAgentsKey           = Prefix + "ignore-user-agents"
)

// State, on namespaces.
const (
	LastActivityKey      = Prefix + "last-activity"
	LastActivityInfoKey  = Prefix + "last-activity-info"
	SleepingSinceKey     = Prefix + "sleeping-since"
	SleepTypeKey         = Prefix + "sleep-type"
	ScheduledSleepKey    = Prefix + "scheduled-sleep"
	ScheduledWakeupKey   = Prefix + "scheduled-wakeup"
	CurrentEpochStartKey = Prefix + "current-epoch-start"
	CurrentEpochSleptKey = Prefix + "current-epoch-slept"
	LastEpochStartKey    = Prefix + "last-epoch-start"
	LastEpochSleptKey    = Prefix + "last-epoch-slept"

	// PhaseKey says how far the last change got; see Phase.
	PhaseKey = Prefix + "phase"
	// ForcedSinceKey is when a forced sleep began, in Unix seconds: later than sleeping-since where
	// the namespace slept already.
	ForcedSinceKey = Prefix + "forced-since"
	// DeleteAtKey warns: the Unix seconds at which delete-after will have passed. It is there from a
	// day before on.
	DeleteAtKey = Prefix + "delete-at"
	// ConditionsKey holds the conditions of the SleepModeConfig, as JSON.
	ConditionsKey = Prefix + "conditions"
)

// On workloads.
const (
	// ExcludeKey "true" on a workload or pod: it is never put to sleep.
	ExcludeKey = Prefix + "exclude"
	// ReplicasKey is the count that a workload had before it was scaled to 0.
	ReplicasKey = Prefix + "replicas"
	// SuspendedKey "true": sleep suspended this CronJob, which ran before.
	SuspendedKey = Prefix + "suspended"
	// BehaviorKey is the behavior of a HorizontalPodAutoscaler before it was paused, as JSON.
	BehaviorKey = Prefix + "behavior"
	// PausedKey is the value that KEDA's own pause annotation had on a ScaledObject before sleep set it;
	// "-": it had none.
	PausedKey = Prefix + "paused"
)

// Owner, on namespaces as labels.
const (
	// UserKey names the user whom a namespace belongs to, as a label.
	UserKey = "loft.sh/user"
	// TeamKey names the team that a namespace belongs to, as a label.
	TeamKey = "loft.sh/team"
)

// Phase is how far the last change of a namespace got. It is written before the first workload is
// touched and after the last one, so that whoever finds it after a crash knows what to finish.
type Phase string

// Phases.
const (
	Awake         Phase = ""
	FallingAsleep Phase = "FallingAsleep"
	Asleep        Phase = "Asleep"
	Waking        Phase = "Waking"
)

// Excluded says whether a workload or pod with these annotations is never put to sleep.
func Excluded(annotations map[string]string) bool { return annotations[ExcludeKey] == "true" }

// Configured says whether a namespace has any annotation of sleep mode's: all others are left alone.
func Configured(annotations map[string]string) bool {
	for key := range annotations {
		if strings.HasPrefix(key, Prefix) {
			return true
		}
	}
	return false
}

// Owned says whether a namespace with these labels is a space: belongs to somebody.
func Owned(labels map[string]string) bool { return labels[UserKey] != "" || labels[TeamKey] != "" }

// Person is how activity calls a user: people without the prefix of their names.
func Person(user string) string { return strings.TrimPrefix(user, "loft:user:") }
