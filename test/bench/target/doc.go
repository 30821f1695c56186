// Package target sets up what is measured: one real control plane with its agent, an nginx and a
// kubectl proxy in front of the same API server, objects to ask for, and one identity per way in.
// It also accounts: processor time and memory of each way's processes from the kernel, and what
// reached the API server from its audit log.
//
// What surprises: every way in is somebody else to the API server, so that its audit log tells them
// apart; all of them are cluster-admin, and one FlowSchema puts all of them into one priority level,
// where the defaults would treat service accounts and people differently. nginx passes the client's
// token on, kubectl proxy adds its own, the agent impersonates.
package target
