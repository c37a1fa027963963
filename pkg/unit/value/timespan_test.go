package value

import (
	"strconv"
	"testing"
)

func TestTimespanRecording(t *testing.T) {
	for _, row := range recording(t, "timespan") {
		expr := unquote(t, row[0])
		got, err := ParseSec(expr, USecPerSec)
		if row[1] == "!" {
			if err == nil {
				t.Errorf("%q: systemd refuses it, we read %d", expr, got)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v, want %s", expr, err, row[1])
			continue
		}
		if text := strconv.FormatUint(uint64(got), 10); text != row[1] {
			t.Errorf("%q: %s µs, want %s", expr, text, row[1])
		}
		if text := got.String(); text != row[2] {
			t.Errorf("%q: formatted %q, want %q", expr, text, row[2])
		}
	}
}
