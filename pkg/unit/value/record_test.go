package value

import (
	"flag"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The recordings in testdata are what systemd-analyze of the systemd named in
// their first line answered. They are made anew, on a machine that has it, by
//
//	go test ./pkg/unit/value -run TestRecord -record systemd-analyze
//
// from the expressions of the generators below; the seed is fixed.
var record = flag.String("record", "", "ask this systemd-analyze again and rewrite testdata")

func flagRecordUnit() *string {
	return flag.String("record-unit", "", "ask this systemd --test again and rewrite testdata")
}

func TestRecord(t *testing.T) {
	if *record == "" {
		return
	}
	r := rand.New(rand.NewSource(252))
	recordTimespans(t, r)
	recordCalendars(t, r)
	recordTimestamps(t, r)
}

func recordFile(t *testing.T, name, header string, lines []string) {
	t.Helper()
	version, err := exec.Command(*record, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(version), "\n")
	name = fmt.Sprintf("%s-%s.tsv", name, strings.Fields(first)[1])
	text := "# " + first + "; made by TestRecord -record\n# " + header + "\n" + strings.Join(lines, "\n") + "\n"
	if name == "timestamp-252.tsv" {
		return // 257 reads more, and it is 257 we follow
	}
	if err := os.WriteFile(filepath.Join("testdata", name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// analyze is the "key: value" lines of one run; nil when systemd-analyze
// refused the expression.
func analyze(zone string, args ...string) [][2]string {
	cmd := exec.Command(*record, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TZ=" + zone}
	out, err := cmd.Output()
	if err != nil {
		return nil
	}
	var fields [][2]string
	for line := range strings.SplitSeq(string(out), "\n") {
		if k, v, ok := strings.Cut(line, ": "); ok {
			fields = append(fields, [2]string{strings.TrimSpace(k), v})
		}
	}
	return fields
}

func recordTimespans(t *testing.T, r *rand.Rand) {
	var lines []string
	for _, expr := range timespanExpressions(r) {
		usec, human := "!", ""
		for _, f := range analyze("UTC", "timespan", "--", expr) {
			switch f[0] {
			case "μs":
				usec = f[1]
			case "Human":
				human = f[1]
			}
		}
		lines = append(lines, strconv.Quote(expr)+"\t"+usec+"\t"+human)
	}
	recordFile(t, "timespan", "expression, µs or ! if refused, normal form", lines)
}

func timespanExpressions(r *rand.Rand) []string {
	list := []string{
		"", " ", "0", "00", "5", " 5 ", "\t7\n", "infinity", " infinity ", "infinityx", "Infinity", "infinite", "3.", ".5", ".", "..5", "1..5", "1.5.5", "1 2", "5s3", "+5", "+ 5", "++5", "+.5",
		"-0", "-5", "- 5", "5 -3", "0x10", "1e3", "1h,2min", "5S", "5sec", "5secs", "5secx", "5 seconds", "5second s", "3mon", "3mons", "1.0000001s", "1.9999999s", "0.0000009s",
		"9223372036854775807", "9223372036854775807us", "9223372036854775808us", "18446744073709551615us", "18446744073709551614us", "9223372036854775807us 9223372036854775807us",
		"9223372036854775807us 9223372036854775807us 1us", "584542y", "584541y", "584542.5y", "9223372036854775808", "18446744073709s", "18446744073710s", "1s1s1s", "1s  1s", "1 s", "1\ns", "1min1s500ms3us", "5ns", "5nsec",
		"1µs", "1μs", "1 µ", "1.5 2h", "1y 2month 3w 4d 5h 6min 7s 8ms 9us", "1month 1w", "4w 3d", "60s", "59.9s", "61.5s", "3600.5", "86399.999999", "1.5ms", "1.5us", "0.5us", "1.23456789h", "0.1y", "0.33month", ".1.1", "1 .5", "1. 5", "1s.5", "1s .5s",
		"1 hour 2 hr 3 h", "1d1", "1M1m1ms1min", "2 weeks 3 days", "infinity 5", "5 infinity",
		"5+3", "5 +3", "5s+3", "5s +3", "5s.5", "1.5 .5", "1.5.5s", "1.5+5", "1.5s+5", "5ss", "584541.999999999999y", "18446744073708.9999999s", "18446744073708.999999s 0.7s", "18446744073709551613us", "5. 5",
	}
	units := []string{"", "seconds", "second", "sec", "s", "minutes", "minute", "min", "months", "month", "M", "msec", "ms", "m", "hours", "hour", "hr", "h", "days", "day", "d", "weeks", "week", "w", "years", "year", "y", "usec", "us", "μs", "µs", "x", "H", "mi"}
	for range 900 {
		var b strings.Builder
		for range 1 + r.Intn(4) {
			switch r.Intn(4) {
			case 0:
				fmt.Fprintf(&b, "%d.%0*d", r.Intn(100), 1+r.Intn(8), r.Intn(1000))
			case 1:
				fmt.Fprintf(&b, "%d", r.Int63n(1<<uint(1+r.Intn(62))))
			default:
				fmt.Fprintf(&b, "%d", r.Intn(120))
			}
			b.WriteString(strings.Repeat(" ", r.Intn(2)))
			n := len(units)
			if r.Intn(10) > 0 {
				n -= 3
			}
			b.WriteString(units[r.Intn(n)])
			b.WriteString(strings.Repeat(" ", r.Intn(2)))
		}
		list = append(list, b.String())
	}
	return list
}

// recordTimestamps leaves out what depends on the very microsecond.
func recordTimestamps(t *testing.T, r *rand.Rand) {
	var lines []string
	for i, expr := range timestampExpressions(r) {
		zone := recordZones[i%3]
		now := time.Now().Unix()
		usec, normal, relative := "!", "", ""
		for _, f := range analyze(zone, "timestamp", "--", expr) {
			switch f[0] {
			case "UNIX seconds":
				usec = strings.TrimPrefix(f[1], "@")
			case "Normalized form", "(in UTC)":
				normal = f[1]
			case "From now":
				relative = f[1]
			}
		}
		lines = append(lines, strings.Join([]string{zone, strconv.FormatInt(now, 10), strconv.Quote(expr), usec, normal, relative}, "\t"))
	}
	recordFile(t, "timestamp", "zone, now in s, expression, result in s or ! if refused, in UTC, relative to now", lines)
}

func timestampExpressions(r *rand.Rand) []string {
	list := strings.Split("today|yesterday|tomorrow|now UTC|today UTC|tomorrow UTC|yesterday Asia/Tokyo|+3h UTC|ago| ago|@123|@123.5|@-1|@|@1y|@123 UTC|@0|@1|2020-01-01|20-01-01|69-1-1|68-1-1|70-1-2|99-1-1|1-1-1|2020-1-1 1:2|2020-1-1 1:2:3|2020-1-1 1:2:3.5|2020-1-1 1:2:3.1234567|2020-1-1 1:2.5|10:00|10:00:05|10:00:05.25|10|"+
		"Wed 2020-01-01|Thu 2020-01-01|wednesday 2020-01-01|Wed, 2020-01-01|Wed  2020-01-01|Wed2020-01-01|Wed|2020-01-01 UTC|2020-01-01 utc|2020-01-01 10:00 Asia/Tokyo|2020-01-01 10:00 CET|2020-07-01 10:00 CET|2020-07-01 10:00 CEST|2020-07-01 10:00 EST|2020-07-01 10:00 EDT|2024-02-30|2024-02-31 12:00|2024-13-01|2024-01-32|2020-01-01 24:00|2020-01-01 23:60|2020-01-01 23:59:60|2020-01-01 23:59:61|2020-01-01 23:59:62|| | 2020-01-01|2020-01-01 |2020-01-01  10:00|2020-01-0110:00|2020- 1-1|"+
		"2020-01-01T10:00|2020-01-01T10:00Z|2020-01-01T10:00:00.5Z|2020-01-01T10:00:00+05:30|2020-01-01T10:00:00+0530|2020-01-01T10:00:00+05|2020-01-01 10:00:00 +05|2020-01-01 10:00:00 +05:30|2020-01-01 10:00:00 +5|2020-01-01 10:00 -0330|2020-01-01T10:00 UTC|Wed 2020-01-01T10:00|2020-01-01Z|todayZ|nowZ|10:00Z|1900-01-01|1969-12-31 UTC|1970-01-01 UTC|1970-01-01 00:00:01 UTC|9999-12-30|9999-12-31 12:00 UTC|10000-01-01|TODAY|2026-03-29 02:30|2026-10-25 02:30|2026-10-25 02:30 CET|2026-10-25 02:30 CEST|2026-03-08 02:30|2026-11-01 01:30|2026-11-01 01:30 EDT|2026-11-01 01:30 EST|"+
		"-5 ago|infinity|+infinity|-infinity|+|-|noon|2020-01-01 10:00:00 ago|1395716396|2020-01-01 10:00+02:00|2020-01-01 10:00:00+02:00|2020-01-01T10|2020-01-01 10:00:00.|2020-01-01 10:00:00. UTC|12:30 +02|2020-01-01 +02:00|now +02:00|Wed 2020-01-01 10:00:00 +14:00|2020-01-01 10:00:00 +24:00|2020-01-01 10:00:00 +14:60|2020-01-01+02:00|today+02:00|10:00-02:00|2020-01-01 10:00Z UTC|todayUTC|+3hZ|2h agoZ|2h ago UTC|@123Z|T10:00|2020-01-45:30|2020-01-01TT10:00|2020-01-01T 10:00|2020-01-01 T10:00|2020-01-01 10:00 z|2020-01-01 10:00 UTC+2|2020-01-01 10:00  UTC|2020-01-01 10:00 +0200 UTC|2020-01-01 10:00 Etc/GMT-2|2020-01-01 10:00 -00:00|2020-01-01T10:00:00.123456789+05:30|2020-01-01 10:00:00 +99:00|2020-01-01 10:00:00 +2400|2020-01-01 10:00:00 +2500|2020-01-01 10:00:00 +1261|2020-01-01T10:00:00-05:3|2020-01-01T10:00:00+25:00|2020-01-01 10:00 Z|1:00|0:0:0|24:00|2020-1-1T1:2:3|today 10:00|2020-01-01 10:00 EET|  10:00|20-13-1|2013-1-1 1|"+
		"2020-01-4 5:30|2020-01-9 1:1|2020-01-91:1|2020-01-311:1|2020-01-3111:1|2020-2-1|2020-20-1|2020-01-01 911:1|91:1|2020-01-01 1:61|2020-1-1 1:6:7|2020-1-1 1:1:99|12020-1-1|020-1-1|2020-001-1|2020-01-01 1 : 2|2020-01-01 1: 2|2020 -1-1|2020-1-1 1:2 :3|2020-01-011:1|2020-01-01 10:00 America/New_York|2020-07-01 10:00 America/New_York|2020-01-01 America/Nowhere|now |@12 ", "|")
	for range 300 {
		s := fmt.Sprintf("%d-%02d-%d", 1971+r.Intn(130), 1+r.Intn(12), 1+r.Intn(31))
		if r.Intn(4) == 0 {
			s = s[2:]
		}
		switch r.Intn(4) {
		case 0:
			s += fmt.Sprintf(" %d:%02d", r.Intn(24), r.Intn(60))
		case 1:
			s += fmt.Sprintf(" %02d:%d:%02d", r.Intn(24), r.Intn(60), r.Intn(60))
		case 2:
			s += fmt.Sprintf("T%02d:%02d:%02d.%d", r.Intn(24), r.Intn(60), r.Intn(60), r.Intn(1e6))
		}
		list = append(list, s+[...]string{"", "", " UTC", "Z", " Asia/Tokyo", "+01:45"}[r.Intn(6)])
	}
	return list
}

var recordZones = []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Kathmandu", "Africa/Casablanca", "Pacific/Apia", "Asia/Tehran"}

func recordCalendars(t *testing.T, r *rand.Rand) {
	var lines []string
	for i, expr := range calendarExpressions(r) {
		zone := "UTC"
		if i%2 == 1 {
			zone = recordZones[r.Intn(len(recordZones))]
		}
		base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Unix() + r.Int63n(3*366*86400)
		if r.Intn(3) == 0 {
			base = transitionNear(t, zone, base) - 3*3600 + r.Int63n(6*3600)
		}
		lines = append(lines, recordCalendar(expr, zone, base))
	}
	recordFile(t, "calendar", "zone, base in s, expression, normal form or ! if refused, up to four elapses in s; loop if systemd gives up", lines)
}

func recordCalendar(expr, zone string, base int64) string {
	fields := analyze(zone, "calendar", fmt.Sprintf("--base-time=@%d", base), "--iterations=4", "--", expr)
	normal := "!"
	var next []string
	if fields == nil {
		// Some events systemd reads, but then gives up on: "Infinite loop in …".
		for _, f := range analyze(zone, "calendar", "--base-time=@0", "--", expr) {
			if f[0] == "Normalized form" {
				normal, next = f[1], []string{"loop"}
			}
		}
	}
	utc := func(text string) string {
		at, err := time.Parse("Mon 2006-01-02 15:04:05 MST", text)
		if err != nil {
			return "?" + text
		}
		return strconv.FormatInt(at.Unix(), 10)
	}
	for _, f := range fields {
		switch {
		case f[0] == "Normalized form":
			normal = f[1]
		case f[0] == "Next elapse" && f[1] == "never":
			next = append(next, "never")
		case f[0] == "(in UTC)":
			next[len(next)-1] = utc(f[1])
		case f[0] == "Next elapse" || strings.HasPrefix(f[0], "Iter"):
			next = append(next, utc(f[1]))
		}
	}
	return strings.Join(append([]string{zone, strconv.FormatInt(base, 10), strconv.Quote(expr), normal}, next...), "\t")
}

// transitionNear is the first change of the zone's offset after base, or base.
func transitionNear(t *testing.T, zone string, base int64) int64 {
	loc := location(t, zone)
	for sec := base; sec < base+400*86400; sec += 3600 {
		if offsetAt(sec, loc) != offsetAt(sec+3600, loc) {
			return sec + 3600
		}
	}
	return base
}

func location(t *testing.T, zone string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func calendarExpressions(r *rand.Rand) []string {
	list := strings.Split("Mon,Fri *-*-* 10:00|Mon..Wed,Sat|monday|Mond|hourly|HOURLY|annually|yearly|anually|quarterly|semiannually|biannually|semi-annually|bi-annually|minutely|weekly|monthly|daily|"+
		"*-*-1/5|*-*-1..10/3|*-*-1,3,5..7|*:*:0/7.5|*:*:*|*:*:1.5|*:*:1.1234567|12:30:15.25|2020-2-3|20-2-3|70-2-3|69-2-3|*-*-*|*|*:*|1:2|*-*~1|*-02~1/2|*-*~7..1|*-*-5..1|10..12:00|10/2:00|10,14:00/15|"+
		"Mon *-*-1..7 18:00|2003-03-05 05:40 UTC|2003-03-05 05:40 Europe/Berlin|daily UTC|daily Asia/Tokyo|Mon UTC| daily|daily |Mon  12:00|12:00:00 |12:00:61|24:00|12:60|1969-1-1|1970-1-1|2199-12-31|2200-1-1|*-13-1|*-1-32|"+
		"@0|@-1|@1.5|@|@x|@99999999999|Mon,,Tue|Mon..Mon|Mon,Mon|Mon..Sun|Sun..Mon|mon..fri,sat|12:0/0|12:5/70|12:5..6/70|*-1/3-01|2020,2022-01-01|2020..2022-01-01|2020/2-01-01|5..5:00|1,1,1:00|3,1,2:00|| |01:00 foo|*-02-30|*-02-30..31|"+
		"12:00:00/0.1|12:00:00.5..10/2|Wed, 17:48|Wed,Thu, 17:48|Wed,-Thu|Thu..Sat,Mon|0..59/5:0|*-*-* 08..20/2:00|*:*:1..3|*:*:1..3/1|*:*:0/1|1..3/1:00|0/1:00|*-*~07..03|*-*~07/2|*-*~07/7|*-*~07/6|*:*:1.|*:*:.5|*:*:1.5..3|*:*:1,*|*,1:00|1:00,|1:00/|1/:00|+1:00|001:00|0x1:00|"+
		"*:*:59.9999999|*:*:1.9999999|2-3-4|100-1-1|10000-1-1|*-*-*~1|*~1|5~1|2020-5~1|Mon,*-*-1|Mon..Fri,Sun *-*-1|monDAY..friday|Mon,Tue..Thu,Sat 1:00|12:00 mon|Mon 1|1-1|1-1 |1-1  1:00|2020-1-1  1:00 UTC|2020-1-1 1:00  UTC|1:00 utc|weekly Europe/London|hourly  UTC|UTC|1:00 Etc/GMT+5|1:00 Zulu|1:00 ../x|"+
		"*-*-1..3/5|1..23/7:00|*:*:00..59/15.5|*:*:50..55.5/2|2026-*-1/10|0..23:00|*:0..59|1,2,3,4:00|1,2..5,3:00|1..3,2..4:0|*-1..12-1|5,3/2,3:00|3/2,3,3..5,3/4:00|Mon 2026-1-1..7 *:*:*|@1395716396.5|@1395716396 12:00|Mon @1395716396|@1893456000|Tue @1893456000|"+
		"Mon-Fri|Mon-Fri,Sun|Mon-|Mon..|Mon..Fri..Sun|Mon.Fri|*-*-31|*-02-29|Mon *-02-29|Fri *-*-13|Mon *-*~7/1|*-*~31|*-02~29|*-*~1,3|*-*~1..3|*-*~1..5/2|*-*~1..6/2|*-*~28/3|2026..2030-*-1/15 0/6:30:15|*-*-* *:0/15:0|*-4,6,9,11~1 23:59:59|2:30|2:15,35,45|0:0|0:30|1:59:59|*:0,30|2..3:0/10|*-3,10-* 2:30|Sun *-3~7/1 2:30|Sun *-10~7/1 2:30|*:59:59.999999|*:*:0/0.25|12:0:1/1|2026-6-31|2100-2-29|*-*-*T10:00|2026-01-01T10:00|*:*/2|*/2:0|*-*/2-1|9999-1-1|*-*-01 00:00:00 Europe/Berlin|"+
		"*-*-* 02:30 Europe/Berlin|*-*-* 00:30 America/Santiago|*-*-* 0:0:0 America/Santiago|*-*-* 2:15 Australia/Lord_Howe", "|")
	for range 1400 {
		list = append(list, calendarExpression(r))
	}
	return list
}

func calendarComponent(r *rand.Rand, min, max int, seconds bool) string {
	v := func() string {
		s := strconv.Itoa(min + r.Intn(max-min+1))
		if len(s) == 1 && r.Intn(2) == 0 {
			s = "0" + s
		}
		if seconds && r.Intn(8) == 0 {
			s += "." + strconv.Itoa(r.Intn(1000))
		}
		return s
	}
	from := v()
	if r.Intn(6) > 0 && max > min+1 {
		middle := max
		max = min + (max-min)/2
		from = v()
		min, max = max, middle
	}
	switch r.Intn(6) {
	case 0:
		return from + ".." + v()
	case 1:
		return from + "/" + strconv.Itoa(1+r.Intn(max-min))
	case 2:
		return from + ".." + v() + "/" + strconv.Itoa(1+r.Intn(max-min))
	}
	return from
}

func calendarChain(r *rand.Rand, min, max int, seconds bool) string {
	if r.Intn(3) == 0 {
		return "*"
	}
	parts := make([]string, 1+r.Intn(1+r.Intn(3)))
	for i := range parts {
		parts[i] = calendarComponent(r, min, max, seconds)
	}
	return strings.Join(parts, ",")
}

// calendarExpression is a random event, usually a valid one.
func calendarExpression(r *rand.Rand) string {
	chain := func(min, max int, seconds bool) string { return calendarChain(r, min, max, seconds) }
	days := []string{"Mon", "tue", "Wednesday", "THU", "Fri", "saturday", "Sun"}
	var words []string
	if r.Intn(4) == 0 {
		parts := make([]string, 1+r.Intn(3))
		for i := range parts {
			parts[i] = days[r.Intn(7)]
			if r.Intn(3) == 0 {
				parts[i] += ".." + days[r.Intn(7)]
			}
		}
		words = append(words, strings.Join(parts, ","))
	}
	if r.Intn(2) == 0 {
		sep := "-"
		if r.Intn(4) == 0 {
			sep = "~"
		}
		year := "*"
		if r.Intn(5) == 0 {
			year = chain(2024, 2032, false)
		}
		words = append(words, year+"-"+chain(1, 12, false)+sep+chain(1, 29+r.Intn(3), false))
	}
	if r.Intn(4) > 0 || len(words) == 0 {
		s := chain(0, 23, false) + ":" + chain(0, 59, false)
		if r.Intn(2) == 0 {
			s += ":" + chain(0, 59, true)
		}
		words = append(words, s)
	}
	switch r.Intn(12) {
	case 0:
		words = append(words, "UTC")
	case 1:
		words = append(words, recordZones[1+r.Intn(len(recordZones)-1)])
	}
	return strings.Join(words, " ")
}

// recording is the lines of all recordings of that name, split at tabs.
func recording(t *testing.T, name string) [][]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", name+"-*.tsv"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d recordings, %v", name, len(files), err)
	}
	var rows [][]string
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			if !strings.HasPrefix(line, "#") {
				rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
			}
		}
	}
	if len(rows) < 100 {
		t.Fatalf("%s: only %d rows", name, len(rows))
	}
	return rows
}

func unquote(t *testing.T, s string) string {
	t.Helper()
	out, err := strconv.Unquote(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return out
}
