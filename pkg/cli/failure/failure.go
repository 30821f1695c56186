// Package failure holds the errors that end a command: what a person reads, what to do about it, and
// the exit code that a script reads.
//
// An error that carries no code ends with CodeFailed, so code need only say what is special.
package failure

import (
	"context"
	"errors"
	"fmt"
)

// Exit codes of the command line. They are documented in every command's help, and never change.
const (
	// CodeFailed is for what has no code of its own.
	CodeFailed = 1
	// CodeUsage says that the command was not given as it must be.
	CodeUsage = 2
	// CodeNotLoggedIn says that there is no session, or that the manager refused its key.
	CodeNotLoggedIn = 3
	// CodeTimedOut says that something waited for did not happen in time.
	CodeTimedOut = 4
)

// Error is an error with an exit code.
type Error struct {
	code int
	err  error
}

// Error is the message that a person reads.
func (e *Error) Error() string { return e.err.Error() }

// Unwrap returns what lies beneath.
func (e *Error) Unwrap() error { return e.err }

// Usagef is the fault of whoever typed the command.
func Usagef(format string, args ...any) error {
	return &Error{CodeUsage, fmt.Errorf(format, args...)}
}

// NotLoggedInf says that the command needs a session that it does not have.
func NotLoggedInf(format string, args ...any) error {
	return &Error{CodeNotLoggedIn, fmt.Errorf(format, args...)}
}

// TimedOutf says that something did not happen in time.
func TimedOutf(format string, args ...any) error {
	return &Error{CodeTimedOut, fmt.Errorf(format, args...)}
}

// Code is the exit code for err.
func Code(err error) int {
	var coded *Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &coded):
		return coded.code
	case errors.Is(err, context.DeadlineExceeded):
		return CodeTimedOut
	default:
		return CodeFailed
	}
}
