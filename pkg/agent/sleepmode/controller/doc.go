// Package controller puts namespaces to sleep, wakes and deletes them, as package decision says.
//
// In the order the code runs: controller.go has the queue; reconcile.go goes through one namespace;
// act.go does what was decided; conditions.go says what is wrong; elect.go has one replica do it at a
// time.
//
// What surprises:
//   - What is about to be done is written to the namespace before the first workload is touched, and
//     that it is done after the last one. A controller that takes over finishes what it finds.
//   - Waking goes on until everything is back; a new sleep begins only then, so that no count is read
//     of something that is still waking.
//   - The namespaces of the cluster itself and the agent's own are never touched.
package controller
