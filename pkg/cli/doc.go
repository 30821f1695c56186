// Package cli is the command line: a file for each verb, and packages for what verbs share.
//
//	failure     errors with exit codes, and names that look alike
//	console     words, questions and progress; output: objects as kubectl prints them
//	session     the login on disk: config.json, secrets, locks
//	centre      the manager as a client sees it, and its refusals in words
//	probe       asks a direct endpoint before a kubeconfig points at it
//	kubeconfig  writes contexts, and nothing else, into the files of $KUBECONFIG
//	credential  the token for a request of kubectl, which calls "loft token" in every process
//
// What surprises:
//
//   - Data goes to standard output and words to standard error, always.
//   - A command that fails has written nothing: what is asked of a manager or an endpoint is asked
//     before a file is touched.
//   - "loft token" runs once per kubectl. All that it needs while its token is fresh is one small
//     file; nothing may be added to its way, nor to any package's init.
package cli
