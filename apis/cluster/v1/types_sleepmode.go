package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SleepModeConfigName is the name of the one SleepModeConfig of a namespace.
const SleepModeConfigName = "config"

// Values of SleepModeConfigStatus.SleepType.
const (
	// SleepTypeInactivity is the sleep after a time without activity.
	SleepTypeInactivity = "inactivitySleep"

	// SleepTypeForced is the sleep that a person asked for; the next activity ends it.
	SleepTypeForced = "forcedSleep"

	// SleepTypeForcedDuration is the sleep that a person asked for with a duration, within which
	// activity does not end it.
	SleepTypeForcedDuration = "forcedDurationSleep"

	// SleepTypeScheduled is the sleep of a schedule.
	SleepTypeScheduled = "scheduledSleep"
)

// Types of the conditions of a SleepModeConfig.
const (
	// ConditionConfigured is false where an annotation cannot be read. The namespace is neither
	// put to sleep nor deleted then.
	ConditionConfigured = "Configured"

	// ConditionWorkloadsSettled is false where a workload could not be put to sleep or woken.
	ConditionWorkloadsSettled = "WorkloadsSettled"
)

// +genclient
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// SleepModeConfig says when a namespace sleeps, and whether it does. It is a view of annotations of
// the namespace. There is exactly one in every namespace, named "config"; creating it updates it.
type SleepModeConfig struct {
	metav1.TypeMeta `json:""`

	// Standard object's metadata. UID and resource version are the namespace's.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says when the namespace sleeps.
	// +optional
	Spec SleepModeConfigSpec `json:"spec,omitempty"`

	// status says whether it sleeps, since when and why.
	// +optional
	Status SleepModeConfigStatus `json:"status,omitempty"`
}

// SleepModeConfigSpec says when a namespace sleeps.
type SleepModeConfigSpec struct {
	// forceSleep puts the namespace to sleep now. Activity wakes it.
	// +optional
	ForceSleep bool `json:"forceSleep,omitempty"`

	// forceSleepDuration is for how many seconds from falling asleep nothing wakes the namespace
	// but a person who says so; 0: until a person does. It implies forceSleep. Requests that need a
	// running workload are refused meanwhile.
	// +optional
	ForceSleepDuration *int64 `json:"forceSleepDuration,omitempty"`

	// deleteAllPods has every pod deleted on falling asleep, those without a controller too.
	// +optional
	DeleteAllPods bool `json:"deleteAllPods,omitempty"`

	// deleteAfter is after how many seconds without activity the namespace is deleted; 0: never.
	// +optional
	DeleteAfter int64 `json:"deleteAfter,omitempty"`

	// sleepAfter is after how many seconds without activity the namespace sleeps; 0: never.
	// +optional
	SleepAfter int64 `json:"sleepAfter,omitempty"`

	// sleepSchedule is a cron expression of five fields, at whose times the namespace falls asleep.
	// +optional
	SleepSchedule string `json:"sleepSchedule,omitempty"`

	// wakeupSchedule is a cron expression of five fields, at whose times the namespace wakes.
	// +optional
	WakeupSchedule string `json:"wakeupSchedule,omitempty"`

	// timezone is the zone that schedules are meant in: a name of the IANA database, by default
	// UTC. What follows a "#" is ignored.
	// +optional
	Timezone string `json:"timezone,omitempty"`
}

// SleepModeConfigStatus says whether a namespace sleeps, since when and why.
type SleepModeConfigStatus struct {
	// lastActivity is when there last was activity, in Unix seconds.
	// +optional
	LastActivity int64 `json:"lastActivity,omitempty"`

	// lastActivityInfo is what that activity was.
	// +optional
	LastActivityInfo *LastActivityInfo `json:"lastActivityInfo,omitempty"`

	// sleepingSince is when the namespace fell asleep, in Unix seconds; 0: it is awake.
	// +optional
	SleepingSince int64 `json:"sleepingSince,omitempty"`

	// currentEpoch is the time slept in the 30 days that began last.
	// +optional
	CurrentEpoch *EpochInfo `json:"currentEpoch,omitempty"`

	// lastEpoch is the time slept in the 30 days before those.
	// +optional
	LastEpoch *EpochInfo `json:"lastEpoch,omitempty"`

	// sleptLastThirtyDays is the part of the last 30 days that the namespace slept, in per cent.
	// +optional
	SleptLastThirtyDays *float64 `json:"sleptLastThirtyDays,omitempty"`

	// sleptLastSevenDays is the part of the last 7 days that the namespace slept, in per cent.
	// +optional
	SleptLastSevenDays *float64 `json:"sleptLastSevenDays,omitempty"`

	// scheduledSleep is when sleepSchedule fires next, in Unix seconds.
	// +optional
	ScheduledSleep *int64 `json:"scheduledSleep,omitempty"`

	// scheduledWakeup is when wakeupSchedule fires next, in Unix seconds.
	// +optional
	ScheduledWakeup *int64 `json:"scheduledWakeup,omitempty"`

	// sleepType is why the namespace sleeps: "inactivitySleep", "forcedSleep",
	// "forcedDurationSleep" or "scheduledSleep".
	// +optional
	SleepType string `json:"sleepType,omitempty"`

	// conditions say what is wrong, if anything is. Known types are "Configured" and
	// "WorkloadsSettled".
	// +optional
	// +patchMergeKey=type
	// +patchStrategy=merge
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`
}

// EpochInfo is the time slept in an epoch, which lasts 30 days.
type EpochInfo struct {
	// start is when the epoch began, in Unix seconds.
	// +optional
	Start int64 `json:"start,omitempty"`

	// slept is the time slept in it, in milliseconds.
	// +optional
	Slept int64 `json:"slept,omitempty"`
}

// LastActivityInfo is a request that counted as activity.
type LastActivityInfo struct {
	// subject is the name of who made the request.
	// +optional
	Subject string `json:"subject,omitempty"`

	// host is the name under which the agent was reached.
	// +optional
	Host string `json:"host,omitempty"`

	// verb is the request's verb.
	// +optional
	Verb string `json:"verb,omitempty"`

	// apiGroup is the resource's group; empty: the core group.
	// +optional
	APIGroup string `json:"apiGroup,omitempty"`

	// resource is what was asked for.
	// +optional
	Resource string `json:"resource,omitempty"`

	// subresource is the part of it that was asked for.
	// +optional
	Subresource string `json:"subresource,omitempty"`

	// name is the name of the object.
	// +optional
	Name string `json:"name,omitempty"`

	// virtualCluster is the virtual cluster whose request it was.
	// +optional
	VirtualCluster string `json:"virtualCluster,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// SleepModeConfigList is a list of SleepModeConfig objects.
type SleepModeConfigList struct {
	metav1.TypeMeta `json:""`

	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the objects.
	Items []SleepModeConfig `json:"items"`
}
