package value

import (
	"math"
	"strconv"
	"testing"
	"time"
)

func zoneByName(name string) *time.Location {
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil
	}
	return loc
}

func TestTimestampRecording(t *testing.T) {
	for _, row := range recording(t, "timestamp") {
		expr := unquote(t, row[2])
		nowSec, _ := strconv.ParseInt(row[1], 10, 64)
		now := USec(nowSec) * USecPerSec
		got, err := ParseTimestamp(expr, now, location(t, row[0]), zoneByName)
		if row[3] == "!" {
			if err == nil {
				t.Errorf("%s %q: systemd refuses it, we read %d", row[0], expr, got)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s %q: %v, want %s", row[0], expr, err, row[3])
			continue
		}
		text := strconv.FormatUint(uint64(got/USecPerSec), 10)
		if got%USecPerSec != 0 {
			text += "." + string(appendPadded(nil, int64(got%USecPerSec), 6))
		}
		if text != row[3] {
			t.Errorf("%s %q: %s s, want %s", row[0], expr, text, row[3])
		}
		if text := FormatTimestamp(got, TimestampUTC, nil); text != row[4] && got != 0 {
			t.Errorf("%s %q: formatted %q, want %q", row[0], expr, text, row[4])
		}
		if text := FormatRelative(got, now); text != row[5] && got != 0 && got/USecPerHour != now/USecPerHour {
			// Hours may have changed between the clock read and the answer.
			if later := FormatRelative(got, now+2*USecPerSec); later != row[5] {
				t.Errorf("%s %q: relative %q, want %q", row[0], expr, text, row[5])
			}
		}
	}
}

func TestParseTimestampRelative(t *testing.T) {
	const now = 1795264055160680
	for expr, want := range map[string]USec{
		"now":         now,
		"+3h":         now + 3*USecPerHour,
		"-3h":         now - 3*USecPerHour,
		"2h ago":      now - 2*USecPerHour,
		"2h left":     now + 2*USecPerHour,
		"1s1s ago":    now - 2*USecPerSec,
		"+5 5":        now + 10*USecPerSec,
		"-60y":        0,
		"@infinity":   Infinity,
		"@1.5":        1500000,
		"2d 3h left":  now + 51*USecPerHour,
		"3months ago": now - 3*USecPerMonth,
	} {
		got, err := ParseTimestamp(expr, now, time.UTC, nil)
		if err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", expr, got, err, want)
		}
	}
}

func TestFormatRelative(t *testing.T) {
	const now = USec(1795264055160680)
	for _, test := range []struct {
		d    USec
		want string
	}{
		{0, "now"}, {1, "1us left"}, {1500, "1ms left"}, {999900, "999ms left"}, {1500000, "1s left"}, {60500000, "1min 0s left"},
		{299 * USecPerSec, "4min 59s left"}, {300 * USecPerSec, "5min left"}, {3600 * USecPerSec, "1h 0min left"}, {7199 * USecPerSec, "1h 59min left"},
		{6 * USecPerHour, "6h left"}, {24*USecPerHour + USecPerMin, "24h left"}, {25 * USecPerHour, "1 day 1h left"}, {48 * USecPerHour, "2 days left"},
		{7 * USecPerDay, "1 week 0 days left"}, {8 * USecPerDay, "1 week 1 day left"}, {29 * USecPerDay, "4 weeks 1 day left"},
		{USecPerMonth + USecPerDay, "1 month 1 day left"}, {USecPerYear, "1 year 0 months left"}, {2*USecPerYear + 2*USecPerMonth, "2 years 2 months left"},
	} {
		if got := FormatRelative(now+test.d, now); got != test.want {
			t.Errorf("%d: %q, want %q", test.d, got, test.want)
		}
	}
	if got := FormatRelative(now-5*USecPerSec, now); got != "5s ago" {
		t.Errorf("5s ago: %q", got)
	}
	if got := FormatRelative(0, now) + FormatRelative(Infinity, now); got != "" {
		t.Errorf("no time: %q", got)
	}
}

func TestFormatTimestamp(t *testing.T) {
	loc := location(t, "Europe/Berlin")
	const at = USec(1577869200123456)
	for style, want := range map[TimestampStyle]string{
		TimestampPretty: "Wed 2020-01-01 10:00:00 CET",
		TimestampUSec:   "Wed 2020-01-01 10:00:00.123456 CET",
		TimestampUTC:    "Wed 2020-01-01 09:00:00 UTC",
		TimestampUSUTC:  "Wed 2020-01-01 09:00:00.123456 UTC",
		TimestampUnix:   "@1577869200",
		TimestampDate:   "Wed 2020-01-01",
	} {
		if got := FormatTimestamp(at, style, loc); got != want {
			t.Errorf("%s: %q, want %q", style, got, want)
		}
		if parsed, err := ParseTimestampStyle(string(style)); err != nil || parsed != style {
			t.Errorf("%s: %q, %v", style, parsed, err)
		}
	}
	if got := FormatTimestamp(math.MaxUint64-1, TimestampPretty, loc); got != "--- XXXX-XX-XX XX:XX:XX" {
		t.Errorf("far future: %q", got)
	}
}
