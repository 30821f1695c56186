package span

import (
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	tests := []struct {
		text    string
		want    time.Duration
		wantErr bool
	}{
		{text: "30m", want: 30 * time.Minute},
		{text: "8h", want: 8 * time.Hour},
		{text: "7d", want: 7 * 24 * time.Hour},
		{text: "1w2d3h4m5s", want: 9*24*time.Hour + 3*time.Hour + 4*time.Minute + 5*time.Second},
		{text: "3600", want: time.Hour},
		{text: "0", want: 0},
		{text: " 5m ", want: 5 * time.Minute},
		{text: "", wantErr: true},
		{text: "-5m", wantErr: true},
		{text: "-5", wantErr: true},
		{text: "5", want: 5 * time.Second},
		{text: "5x", wantErr: true},
		{text: "h", wantErr: true},
		{text: "1.5h", wantErr: true},
		{text: "5m3", wantErr: true},
		{text: "99999999999w", wantErr: true},
		{text: "9999999999999999999999", wantErr: true},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			got, err := Parse(tt.text)
			if (err != nil) != tt.wantErr || got != tt.want {
				t.Errorf("got %s, %v, want %s, error: %t", got, err, tt.want, tt.wantErr)
			}
		})
	}
}
