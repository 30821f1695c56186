// Package span reads lengths of time as people write them: 30m, 8h, 7d, 1w2d, or plain seconds.
package span

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// units are longer than time.ParseDuration knows them, and no shorter than a second.
var units = map[byte]time.Duration{
	's': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour,
}

// Parse reads a length of time.
func Parse(text string) (time.Duration, error) {
	invalid := fmt.Errorf("%q is no length of time: write it as 30m, 8h, 7d or in seconds", text)
	rest := strings.TrimSpace(text)
	if rest == "" {
		return 0, invalid
	}
	if seconds, err := strconv.ParseInt(rest, 10, 64); err == nil {
		rest = strconv.FormatInt(seconds, 10) + "s"
	}
	var total time.Duration
	for rest != "" {
		end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if end <= 0 {
			return 0, invalid
		}
		number, err := strconv.ParseInt(rest[:end], 10, 64)
		unit, known := units[rest[end]]
		if err != nil || !known {
			return 0, invalid
		}
		if number > int64(math.MaxInt64-total)/int64(unit) {
			return 0, fmt.Errorf("%q is too long", text)
		}
		total += time.Duration(number) * unit
		rest = rest[end+1:]
	}
	return total, nil
}

// Value is a flag's value (pflag.Value). Set says whether the flag was given.
type Value struct {
	Duration time.Duration
	Given    bool
}

// Set reads the flag.
func (v *Value) Set(text string) error {
	d, err := Parse(text)
	if err == nil {
		v.Duration, v.Given = d, true
	}
	return err
}

// String is the flag's value in Go's spelling; empty: it was not given.
func (v *Value) String() string {
	if !v.Given {
		return ""
	}
	return v.Duration.String()
}

// Type is what help calls the value.
func (*Value) Type() string { return "duration" }

// Seconds is the length in seconds.
func (v *Value) Seconds() int64 { return int64(v.Duration / time.Second) }
