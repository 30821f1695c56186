package controlplane

import (
	"fmt"
	"io"
	"os"
	"strings"
)

const (
	// tailLines is how much of a log goes into an error.
	tailLines = 20
	// tailBytes bounds how much of a log is read for that.
	tailBytes = 64 << 10
)

// Tail returns up to n last lines that this run of the program wrote to its log, or
// the reason why the log cannot be read.
func (p *Process) Tail(n int) string {
	text, err := readEnd(p.cfg.LogFile, p.logStart)
	if err != nil {
		return err.Error()
	}
	return lastLines(text, n)
}

// Written returns everything that this run of the program wrote to its log.
func (p *Process) Written() (string, error) {
	text, err := os.ReadFile(p.cfg.LogFile)
	if err != nil {
		return "", fmt.Errorf("log of %s: %w", p.cfg.Name, err)
	}
	return string(text[min(p.logStart, int64(len(text))):]), nil
}

// readEnd reads at most tailBytes from the end of a file, nothing before offset start.
func readEnd(path string, start int64) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	from := max(start, info.Size()-tailBytes)
	text, err := io.ReadAll(io.NewSectionReader(file, from, tailBytes))
	return string(text), err
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
