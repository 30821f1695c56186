package annotations

import (
	"encoding/json"
	"fmt"
	"strconv"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
)

// Change is what is to become of annotations, by key; nil: it is removed.
type Change map[string]*string

// Set writes a value.
func (c Change) Set(key, value string) { c[key] = &value }

// Remove removes a key.
func (c Change) Remove(key string) { c[key] = nil }

// SetNumber writes a number, and removes the key where it is 0.
func (c Change) SetNumber(key string, n int64) {
	if n == 0 {
		c.Remove(key)
		return
	}
	c.Set(key, strconv.FormatInt(n, 10))
}

// setOptional writes a number, 0 too, and removes the key where there is none.
func (c Change) setOptional(key string, n *int64) {
	if n == nil {
		c.Remove(key)
		return
	}
	c.Set(key, strconv.FormatInt(*n, 10))
}

// setText writes a text, and removes the key where it is empty.
func (c Change) setText(key, text string) {
	if text == "" {
		c.Remove(key)
		return
	}
	c.Set(key, text)
}

func (c Change) setFlag(key string, on bool) {
	if !on {
		c.Remove(key)
		return
	}
	c.Set(key, "true")
}

func (c Change) setJSON(key string, value any, empty bool) {
	if empty {
		c.Remove(key)
		return
	}
	data, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", value, err)) // strings and numbers alone: cannot fail
	}
	c.Set(key, string(data))
}

// SetSpec writes all settings.
func (c Change) SetSpec(spec clusterv1.SleepModeConfigSpec) {
	c.setFlag(ForceKey, spec.ForceSleep)
	c.setOptional(ForceDurationKey, spec.ForceSleepDuration)
	c.setFlag(DeleteAllPodsKey, spec.DeleteAllPods)
	c.SetNumber(DeleteAfterKey, spec.DeleteAfter)
	c.SetNumber(SleepAfterKey, spec.SleepAfter)
	c.setText(SleepScheduleKey, spec.SleepSchedule)
	c.setText(WakeupScheduleKey, spec.WakeupSchedule)
	c.setText(TimezoneKey, spec.Timezone)
}

// SetActivity writes when activity was last seen, in Unix seconds, and what it was.
func (c Change) SetActivity(last int64, info *clusterv1.LastActivityInfo) {
	c.SetNumber(LastActivityKey, last)
	c.setJSON(LastActivityInfoKey, info, info == nil)
}

// SetState writes what the controller owns: everything but the settings and the activity.
func (c Change) SetState(n Namespace) {
	c.SetNumber(SleepingSinceKey, n.Status.SleepingSince)
	c.setText(SleepTypeKey, n.Status.SleepType)
	c.setText(PhaseKey, string(n.Phase))
	c.SetNumber(ForcedSinceKey, n.ForcedSince)
	c.SetNumber(DeleteAtKey, n.DeleteAt)
	c.setOptional(ScheduledSleepKey, n.Status.ScheduledSleep)
	c.setOptional(ScheduledWakeupKey, n.Status.ScheduledWakeup)
	c.setEpoch(CurrentEpochStartKey, CurrentEpochSleptKey, n.Status.CurrentEpoch)
	c.setEpoch(LastEpochStartKey, LastEpochSleptKey, n.Status.LastEpoch)
	c.setJSON(ConditionsKey, n.Status.Conditions, len(n.Status.Conditions) == 0)
}

func (c Change) setEpoch(startKey, sleptKey string, epoch *clusterv1.EpochInfo) {
	if epoch == nil {
		c.Remove(startKey)
		c.Remove(sleptKey)
		return
	}
	c.Set(startKey, strconv.FormatInt(epoch.Start, 10))
	c.Set(sleptKey, strconv.FormatInt(epoch.Slept, 10))
}

// Against drops from c what annotations say already; the rest is what must be written.
func (c Change) Against(annotations map[string]string) Change {
	for key, value := range c {
		current, found := annotations[key]
		if value == nil && !found || value != nil && found && current == *value {
			delete(c, key)
		}
	}
	return c
}

// Apply returns annotations with c done to them; annotations stay as they are.
func (c Change) Apply(annotations map[string]string) map[string]string {
	changed := make(map[string]string, len(annotations)+len(c))
	for key, value := range annotations {
		changed[key] = value
	}
	for key, value := range c {
		if value == nil {
			delete(changed, key)
		} else {
			changed[key] = *value
		}
	}
	return changed
}

// Patch is c as a JSON merge patch of an object. Where resourceVersion is not empty, it applies to
// that version of the object alone.
func (c Change) Patch(resourceVersion string) []byte {
	metadata := map[string]any{"annotations": c}
	if resourceVersion != "" {
		metadata["resourceVersion"] = resourceVersion
	}
	data, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		panic(fmt.Sprintf("encode patch: %v", err)) // strings alone: cannot fail
	}
	return data
}
