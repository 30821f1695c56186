// Package conformance runs specs of the Kubernetes e2e suite twice against one cluster: directly
// with the API server, and through the direct endpoint as a cluster-admin person with a direct
// endpoint token. What differs is what the endpoint does not do as the API server would.
//
// The suite is compiled from Go modules on first use, which takes about ten minutes. It runs in
// several processes side by side, each with a list of its own; specs marked [Serial] run alone,
// after the others. Nobody is system:masters in the second pass.
//
// What surprises: the nodes are simulated ones, so pods are Running as soon as they are bound but
// run no image: what looks into a container cannot pass, and a spec that waits for it times out
// after minutes. So specs.txt names those that pass directly, and no others are run.
package conformance
