// Package workload puts what runs in a namespace to sleep, and gives everything back on waking.
//
// In the order the code runs: steps.go lists the steps of both; scale.go takes and gives replicas;
// pause.go pauses what would scale or start something by itself; pods.go keeps new pods out and
// deletes those that are left. Annotations of each object remember what it had.
//
// What surprises:
//   - Each step may run again, after a crash or a failure, and finds what is done already. What an
//     object had is written down before anything is taken, once, under the condition that the object
//     is still that one; a second pass never overwrites it.
//   - Sleep doesn't come back to an object that somebody scaled up meanwhile, and waking leaves it as it
//     is: what a person set is newer than what was remembered.
//   - One object that fails is named in the result, and the others go on.
//   - PodDisruptionBudgets don't hold it up: they are about evictions, and nothing here evicts.
package workload
