package sleepmodeconfigs

import (
	"errors"

	"k8s.io/apimachinery/pkg/util/validation/field"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	"loft.sh/agent/pkg/agent/sleepmode/schedule"
)

var (
	errAnother = errors.New("it was read from another namespace of that name")
	errChanged = errors.New("the namespace has changed since it was read; read it again")
)

// longest bounds durations, in seconds: a hundred years.
const longest = 100 * 366 * 24 * 3600

// Validate returns every fault of a configuration's settings.
func Validate(config *clusterv1.SleepModeConfig) field.ErrorList {
	path, spec := field.NewPath("spec"), config.Spec
	errs := validateSeconds(path.Child("sleepAfter"), spec.SleepAfter)
	errs = append(errs, validateSeconds(path.Child("deleteAfter"), spec.DeleteAfter)...)
	if spec.ForceSleepDuration != nil {
		errs = append(errs, validateSeconds(path.Child("forceSleepDuration"), *spec.ForceSleepDuration)...)
	}
	if config.Status.LastActivity < 0 {
		errs = append(errs, field.Invalid(field.NewPath("status", "lastActivity"), config.Status.LastActivity, "must not be negative"))
	}
	zone, err := schedule.Zone(spec.Timezone)
	if err != nil {
		return append(errs, field.Invalid(path.Child("timezone"), spec.Timezone, err.Error()))
	}
	for _, s := range []struct{ name, expression string }{{"sleepSchedule", spec.SleepSchedule}, {"wakeupSchedule", spec.WakeupSchedule}} {
		if s.expression == "" {
			continue
		}
		if _, err := schedule.Parse(s.expression, zone); err != nil {
			errs = append(errs, field.Invalid(path.Child(s.name), s.expression, err.Error()))
		}
	}
	return errs
}

func validateSeconds(path *field.Path, seconds int64) field.ErrorList {
	if seconds < 0 || seconds > longest {
		return field.ErrorList{field.Invalid(path, seconds, "must be a number of seconds between 0 and 3162240000, a hundred years")}
	}
	return nil
}
