package value

import (
	"strconv"
	"testing"
)

func TestCalendarRecording(t *testing.T) {
	for _, row := range recording(t, "calendar") {
		expr := unquote(t, row[2])
		c, err := ParseCalendar(expr)
		if row[3] == "!" {
			// Of zones only the look is known here, and of lists from the end of
			// the month more is read, see chainIsValid.
			if err == nil && c.Zone == "" && !(c.EndOfMonth && len(c.Day) > 1) {
				t.Errorf("%q: systemd refuses it, we read %s", expr, c)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v, want %s", expr, err, row[3])
			continue
		}
		if c.String() != row[3] {
			t.Errorf("%q: formatted %q, want %q", expr, c, row[3])
		}
		zone := row[0]
		if c.Zone != "" {
			zone = c.Zone
		}
		loc := location(t, zone)
		base, _ := strconv.ParseInt(row[1], 10, 64)
		after := USec(base) * USecPerSec
		for i, want := range row[4:] {
			if want == "loop" {
				break
			}
			next, ok := c.Next(after, loc)
			got := "never"
			if ok {
				got = strconv.FormatUint(uint64(next/USecPerSec), 10)
			}
			if got != want {
				t.Errorf("%s %s %q: elapse %d is %s, want %s", row[0], row[1], expr, i, got, want)
				break
			}
			after = next
		}
	}
}
