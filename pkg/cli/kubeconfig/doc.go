// Package kubeconfig writes contexts into the files of $KUBECONFIG, and nothing else in them.
//
// A context, its cluster and its user bear one name and are written together: an [Entry]. Files without
// a change are not written. In the others our stanzas are replaced and every other line stays as it
// is, if clientcmd then reads from it just what it should (splice.go). Where that cannot be done, as
// in a file of JSON, clientcmd encodes the whole file: it keeps every stanza and extension, but
// neither comments, nor the order of stanzas, nor members that Kubernetes does not define.
//
// What surprises:
//
//   - kubectl merges files with the first that says something winning. So the place to write is the
//     one that has the name already, and a file that is read-only and says something else, earlier,
//     makes the change impossible: that is an error, not a change that has no effect.
//   - The lock of clientcmd (FILE.lock) does not wait and outlives a killed process, so it is waited
//     for but never taken; between ourselves a lock of the operating system counts. kubectl config
//     writes in place and without our lock: a file that changed since it was read is read again, and
//     a moment of microseconds before the replacement remains.
//   - A symbolic link stays one; what it points at is replaced.
package kubeconfig
