// Package console speaks with the person at the terminal: lines of words, questions, progress.
//
// Words go to the error stream, so that standard output holds data alone and can be piped. Colour,
// questions and moving progress need a terminal; without one there is a line per change, and a
// question is an error. NO_COLOR (no-color.org) turns colour off.
package console

import (
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/term"
)

// Console is where a command reads and writes.
type Console struct {
	In       io.Reader
	Out, Err io.Writer

	// Interactive says that a person can be asked: input and words are a terminal's.
	Interactive bool
	// Colour says that words may be coloured.
	Colour bool
	// readSecret reads a line without showing it.
	readSecret func() ([]byte, error)

	mu       sync.Mutex
	progress bool // a line of moving progress is on the screen
}

// Standard is the console of the process.
func Standard() *Console {
	in, words := int(os.Stdin.Fd()), int(os.Stderr.Fd())
	terminal := term.IsTerminal(words)
	return &Console{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		Interactive: terminal && term.IsTerminal(in),
		Colour:      terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
		readSecret:  func() ([]byte, error) { return term.ReadPassword(in) },
	}
}

// ANSI colours (ECMA-48, select graphic rendition).
const (
	cyan   = "36"
	green  = "32"
	yellow = "33"
	red    = "31"
)

// Infof says what is going on.
func (c *Console) Infof(format string, args ...any) { c.line(cyan, "[info]", "  ", format, args) }

// Donef says that something is done.
func (c *Console) Donef(format string, args ...any) { c.line(green, "[done]", "√ ", format, args) }

// Warnf says that something is not as it should be, and that the command goes on.
func (c *Console) Warnf(format string, args ...any) { c.line(yellow, "[warn]", "  ", format, args) }

// Errorf says why the command ends.
func (c *Console) Errorf(format string, args ...any) { c.line(red, "[error]", " ", format, args) }

func (c *Console) line(colour, tag, gap, format string, args []any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clear()
	if c.Colour {
		tag = "\x1b[" + colour + "m" + tag + "\x1b[0m"
	}
	_, _ = fmt.Fprintf(c.Err, "%s %s%s\n", tag, gap, fmt.Sprintf(format, args...))
}

// clear takes the line of moving progress off the screen.
func (c *Console) clear() {
	if c.progress {
		_, _ = fmt.Fprint(c.Err, "\r\x1b[K")
		c.progress = false
	}
}
