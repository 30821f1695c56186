package console

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// ErrNotInteractive says that there is nobody to ask.
var ErrNotInteractive = errors.New("there is no terminal to ask at")

// Choose asks which of choices is meant, and returns its index.
func (c *Console) Choose(question string, choices []string) (int, error) {
	if !c.Interactive {
		return 0, ErrNotInteractive
	}
	_, _ = fmt.Fprintln(c.Err, question)
	for i, choice := range choices {
		_, _ = fmt.Fprintf(c.Err, "  %d) %s\n", i+1, choice)
	}
	in := bufio.NewReader(c.In)
	for {
		_, _ = fmt.Fprintf(c.Err, "Number (1-%d): ", len(choices))
		line, err := in.ReadString('\n')
		n, parseErr := strconv.Atoi(strings.TrimSpace(line))
		if parseErr == nil && n >= 1 && n <= len(choices) {
			return n - 1, nil
		}
		if err != nil {
			return 0, fmt.Errorf("read the answer: %w", err)
		}
	}
}

// Secret asks for a secret, which is not shown while it is typed.
func (c *Console) Secret(question string) (string, error) {
	if !c.Interactive || c.readSecret == nil {
		return "", ErrNotInteractive
	}
	_, _ = fmt.Fprintf(c.Err, "%s: ", question)
	secret, err := c.readSecret()
	_, _ = fmt.Fprintln(c.Err)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the answer: %w", err)
	}
	return strings.TrimSpace(string(secret)), nil
}
