package annotations

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
)

// maxSeconds bounds durations and times: a thousand years, so that no sum overflows.
const maxSeconds = 1000 * 366 * 24 * 3600

// maxTime bounds Unix seconds: the year 9999.
const maxTime = 253402300799

// Error is an annotation that cannot be read.
type Error struct {
	// Key is the whole key.
	Key string
	// Reason says what is wrong with the value, which it may quote.
	Reason string
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("annotation %s: %s", e.Key, e.Reason) }

// Namespace is what the annotations of a namespace say.
type Namespace struct {
	Spec   clusterv1.SleepModeConfigSpec
	Status clusterv1.SleepModeConfigStatus
	// Phase is how far the last change got.
	Phase Phase
	// ForcedSince is when a forced sleep began and DeleteAt when the namespace may be deleted, in Unix
	// seconds; 0: not set.
	ForcedSince, DeleteAt int64
	// Force says whether the namespace is to sleep whatever its activity: force is "true", or
	// force-duration is there and force is not "false".
	Force bool
}

// ReadNamespace reads the annotations of a namespace. It returns what could be read, and an *Error in
// err for each that could not: nothing must be done to the namespace then.
func ReadNamespace(from map[string]string) (Namespace, error) {
	r := reader{from: from}
	n := Namespace{
		Spec: clusterv1.SleepModeConfigSpec{
			ForceSleep:         r.flag(ForceKey),
			ForceSleepDuration: r.optional(ForceDurationKey, maxSeconds),
			DeleteAllPods:      r.flag(DeleteAllPodsKey),
			DeleteAfter:        r.number(DeleteAfterKey, maxSeconds),
			SleepAfter:         r.number(SleepAfterKey, maxSeconds),
			SleepSchedule:      from[SleepScheduleKey],
			WakeupSchedule:     from[WakeupScheduleKey],
			Timezone:           from[TimezoneKey],
		},
		Status: clusterv1.SleepModeConfigStatus{
			LastActivity:    r.number(LastActivityKey, maxTime),
			SleepingSince:   r.number(SleepingSinceKey, maxTime),
			SleepType:       from[SleepTypeKey],
			ScheduledSleep:  r.optional(ScheduledSleepKey, maxTime),
			ScheduledWakeup: r.optional(ScheduledWakeupKey, maxTime),
			CurrentEpoch:    r.epoch(CurrentEpochStartKey, CurrentEpochSleptKey),
			LastEpoch:       r.epoch(LastEpochStartKey, LastEpochSleptKey),
		},
		Phase:       r.phase(),
		ForcedSince: r.number(ForcedSinceKey, maxTime),
		DeleteAt:    r.number(DeleteAtKey, maxTime),
	}
	n.Force = n.Spec.ForceSleep || n.Spec.ForceSleepDuration != nil && from[ForceKey] != "false"
	readJSON(&r, LastActivityInfoKey, &n.Status.LastActivityInfo)
	readJSON(&r, ConditionsKey, &n.Status.Conditions)
	if n.Phase != Awake && n.Status.SleepingSince == 0 {
		// The time is gone, the workloads' counts are not: give them back.
		n.Phase = Waking
	}
	if n.Phase == Awake && n.Status.SleepingSince != 0 {
		// Whoever wrote the time may have scaled nothing or all.
		n.Phase = FallingAsleep
	}
	return n, errors.Join(r.errs...)
}

// Errors returns each *Error in an error of ReadNamespace.
func Errors(err error) []*Error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	var found []*Error
	for _, e := range joined.Unwrap() {
		var annotation *Error
		if errors.As(e, &annotation) {
			found = append(found, annotation)
		}
	}
	return found
}

// Replicas returns the count that a workload had before it was scaled; false: it wasn't.
func Replicas(from map[string]string) (replicas int32, found bool, err error) {
	value, found := from[ReplicasKey]
	if !found {
		return 0, false, nil
	}
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil || n < 1 {
		return 0, true, &Error{ReplicasKey, fmt.Sprintf("%q is no count above 0", value)}
	}
	return int32(n), true, nil
}

// reader reads values and collects what is wrong with them.
type reader struct {
	from map[string]string
	errs []error
}

func (r *reader) fail(key, format string, args ...any) {
	r.errs = append(r.errs, &Error{key, fmt.Sprintf(format, args...)})
}

// flag is "true", "false" or absent.
func (r *reader) flag(key string) bool {
	switch value := r.from[key]; value {
	case "true":
		return true
	case "false", "":
	default:
		r.fail(key, `%q is neither "true" nor "false"`, value)
	}
	return false
}

// optional is a whole number that is not negative, or absent.
func (r *reader) optional(key string, limit int64) *int64 {
	value, found := r.from[key]
	if !found || value == "" {
		return nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		r.fail(key, "%q is no whole number", value)
		return nil
	}
	if n < 0 || n > limit {
		r.fail(key, "%d is not between 0 and %d", n, limit)
		return nil
	}
	return &n
}

func (r *reader) number(key string, limit int64) int64 {
	if n := r.optional(key, limit); n != nil {
		return *n
	}
	return 0
}

func (r *reader) epoch(startKey, sleptKey string) *clusterv1.EpochInfo {
	start := r.optional(startKey, maxTime)
	slept := r.number(sleptKey, maxSeconds*1000)
	if start == nil {
		return nil
	}
	return &clusterv1.EpochInfo{Start: *start, Slept: slept}
}

func (r *reader) phase() Phase {
	switch phase := Phase(r.from[PhaseKey]); phase {
	case Awake, FallingAsleep, Asleep, Waking:
		return phase
	default:
		r.fail(PhaseKey, "%q is no phase", string(phase))
		return Awake
	}
}

// readJSON decodes a value that the agent wrote. It is for people to read, so a broken one is left
// out and costs nothing else.
func readJSON[T any](r *reader, key string, into *T) {
	value := r.from[key]
	if value == "" {
		return
	}
	var decoded T
	if json.Unmarshal([]byte(value), &decoded) == nil {
		*into = decoded
	}
}
