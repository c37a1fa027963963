package value

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// maxTimestampSec is the last second of the year 9999 everywhere on earth.
const maxTimestampSec = 253402214400

// ParseTimestamp reads a point in time (systemd.time(7), PARSING TIMESTAMPS) in
// µs since the epoch: a date, a time of today or both, with a weekday before
// and a zone behind if wanted; "now", "today", "yesterday", "tomorrow"; "+span",
// "-span", "span ago", "span left"; "@seconds".
//
// now is the present time, loc the local zone; zone gives the location of a
// time zone by name, nil for none, and may itself be nil. Dates that do not
// exist, such as February 30, run over into the next month.
func ParseTimestamp(s string, now USec, loc *time.Location, zone func(name string) *time.Location) (USec, error) {
	if usec, ok, err := parseRelativeTimestamp(s, now); ok {
		return usec, err
	}
	p := timestampParser{whole: s, text: s, now: now, loc: loc}
	if !p.cutZone(zone) {
		return 0, p.invalid()
	}
	sec, fraction, err := p.parse()
	if err != nil {
		return 0, err
	}
	if sec < 0 || sec > maxTimestampSec {
		return 0, outOfRange("timestamp", s)
	}
	return USec(sec)*USecPerSec + USec(fraction), nil
}

// parseRelativeTimestamp reads the forms that count from now or the epoch; ok is
// false for all others.
func parseRelativeTimestamp(s string, now USec) (usec USec, ok bool, err error) {
	var span string
	before := false
	switch {
	case s == "now":
		return now, true, nil
	case strings.HasPrefix(s, "@"):
		usec, err = ParseSec(s[1:], USecPerSec)
		return usec, true, err
	case strings.HasPrefix(s, "+"):
		span = s[1:]
	case strings.HasPrefix(s, "-"):
		span, before = s[1:], true
	case strings.HasSuffix(s, " ago"):
		span, before = strings.TrimSuffix(s, " ago"), true
	case strings.HasSuffix(s, " left"):
		span = strings.TrimSuffix(s, " left")
	default:
		return 0, false, nil
	}
	if usec, err = ParseSec(span, USecPerSec); err != nil {
		return 0, true, err
	}
	switch {
	case usec == Infinity || !before && now > math.MaxUint64-usec:
		return 0, true, outOfRange("timestamp", s)
	case !before:
		return now + usec, true, nil
	case usec > now:
		return 0, true, nil
	}
	return now - usec, true, nil
}

type timestampParser struct {
	whole string
	text  string // what is left of it
	now   USec
	loc   *time.Location
}

func (p *timestampParser) invalid() error { return invalid("timestamp", p.whole) }

// cutZone takes the zone off the end: Z, UTC, an offset, a local abbreviation
// or a name. False means an offset that cannot be.
func (p *timestampParser) cutZone(zone func(string) *time.Location) bool {
	if rest, ok := strings.CutSuffix(p.text, "Z"); ok {
		p.text, p.loc = strings.TrimSuffix(rest, " "), time.UTC
		return true
	}
	if n := len(p.text) - len("+hh:mm"); n > 0 && looksLikeOffset(p.text[n:]) {
		p.loc = parseZoneOffset(p.text[n:])
		p.text = strings.TrimSuffix(p.text[:n], " ")
		return p.loc != nil
	}
	i := strings.LastIndexByte(p.text, ' ')
	if i < 0 {
		return true
	}
	if loc := p.namedZone(p.text[i+1:], zone); loc != nil {
		p.text, p.loc = p.text[:i], loc
	}
	return true
}

func looksLikeOffset(s string) bool {
	return (s[0] == '+' || s[0] == '-') && s[3] == ':' && countDigits(s[1:]) == 2 && countDigits(s[4:]) == 2
}

func (p *timestampParser) namedZone(name string, zone func(string) *time.Location) *time.Location {
	if name == "UTC" {
		return time.UTC
	}
	if loc := parseZoneOffset(name); loc != nil {
		return loc
	}
	if name == "" || isDigit(name[0]) {
		return nil
	}
	if loc := p.abbreviation(p.loc, name); loc != nil {
		return loc
	}
	if zone == nil {
		return nil
	}
	loc := zone(name)
	if loc == nil {
		return nil
	}
	// CET is a zone with summer time and at the same time the name of its
	// winter half, which is what is meant.
	if half := p.abbreviation(loc, name); half != nil {
		return half
	}
	return loc
}

// parseZoneOffset reads +hh, +hhmm or +hh:mm, at most 24 hours.
func parseZoneOffset(s string) *time.Location {
	if len(s) != 3 && len(s) != 5 && len(s) != 6 || s[0] != '+' && s[0] != '-' {
		return nil
	}
	digits := s[1:]
	if len(s) == 6 {
		if s[3] != ':' {
			return nil
		}
		digits = s[1:3] + s[4:]
	}
	if countDigits(digits) != len(digits) {
		return nil
	}
	hours, minutes := int(digits[0]-'0')*10+int(digits[1]-'0'), 0
	if len(digits) == 4 {
		minutes = int(digits[2]-'0')*10 + int(digits[3]-'0')
	}
	sec := hours*3600 + minutes*60
	if minutes > 59 || sec > 24*3600 {
		return nil
	}
	if s[0] == '-' {
		sec = -sec
	}
	return time.FixedZone("", sec)
}

// abbreviation is the zone as it is while it has this short name, such as CEST,
// within half a year of now.
func (p *timestampParser) abbreviation(loc *time.Location, name string) *time.Location {
	sec := int64(p.now / USecPerSec)
	if sec > maxTimestampSec {
		return nil
	}
	for days := int64(-182); days <= 182; days += 14 {
		short, offset := time.Unix(sec+days*86400, 0).In(loc).Zone()
		if short == name {
			return time.FixedZone(short, offset)
		}
	}
	return nil
}

// parse reads what is left when the zone is cut off. fraction is in µs.
func (p *timestampParser) parse() (sec, fraction int64, err error) {
	nowSec := int64(min(p.now/USecPerSec, maxTimestampSec))
	now := time.Unix(nowSec, 0).In(p.loc)
	offset := offsetAt(nowSec, p.loc)
	w := wall{year: now.Year(), month: int(now.Month()), day: now.Day()}
	switch p.text {
	case "today":
		return w.unix(p.loc, offset), 0, nil
	case "yesterday":
		w.day--
		return w.unix(p.loc, offset), 0, nil
	case "tomorrow":
		w.day++
		return w.unix(p.loc, offset), 0, nil
	}
	weekday := -1
	if day, n := matchWeekday(p.text); n > 0 {
		if len(p.text) == n || p.text[n] != ' ' {
			return 0, 0, p.invalid()
		}
		weekday, p.text = day, p.text[n+1:]
	}
	for _, layout := range timestampLayouts {
		read, rest, ok := layout.read(w, p.text)
		if !ok {
			continue
		}
		if layout.seconds && strings.HasPrefix(rest, ".") {
			n := countDigits(rest[1:])
			if n == 0 || len(rest) != n+1 {
				continue
			}
			fraction, rest = fractionUSec(rest[1:]), ""
		}
		if rest != "" {
			continue
		}
		sec = read.unix(p.loc, offset)
		if got := (int(time.Unix(sec, 0).In(p.loc).Weekday()) + 6) % 7; weekday >= 0 && got != weekday {
			return 0, 0, invalidf("timestamp", p.whole, "not a "+weekdayNames[weekday])
		}
		return sec, fraction, nil
	}
	return 0, 0, p.invalid()
}

// unix is the wall time in seconds since the epoch; where it does not exist it
// is read with the offset from before.
func (w wall) unix(loc *time.Location, preferredOffset int) int64 {
	t := time.Date(w.year, time.Month(w.month), w.day, w.hour, w.minute, int(w.usec/secUSec), 0, time.UTC)
	usec, _ := wallOf(t).resolve(loc, preferredOffset)
	return usec / secUSec
}

// timestampLayout is one way to write date and time, tried in turn. They are
// read as strptime() reads them: numbers may have fewer digits and blanks
// before them, and the blank between date and time may be missing.
type timestampLayout struct {
	shortYear, date, time, seconds bool
}

var timestampLayouts = [...]timestampLayout{
	{shortYear: true, date: true, time: true, seconds: true},
	{date: true, time: true, seconds: true},
	{shortYear: true, date: true, time: true},
	{date: true, time: true},
	{shortYear: true, date: true},
	{date: true},
	{time: true, seconds: true},
	{time: true},
}

func (l timestampLayout) read(w wall, s string) (wall, string, bool) {
	r := fieldReader{rest: s, ok: true}
	if l.date {
		if l.shortYear {
			w.year = int(fullYear(int64(r.number(0, 99, 2)))) // "69" is 1969 to strptime
			if w.year == 2069 {
				w.year = 1969
			}
		} else {
			w.year = r.number(0, 9999, 4)
		}
		r.literal('-')
		w.month = r.number(1, 12, 2)
		r.literal('-')
		w.day = r.number(1, 31, 2)
	}
	if l.date && l.time {
		r.between(!l.shortYear)
	}
	if l.time {
		w.hour = r.number(0, 23, 2)
		r.literal(':')
		w.minute = r.number(0, 59, 2)
	}
	if l.seconds {
		r.literal(':')
		w.usec = int64(r.number(0, 61, 2)) * secUSec
	}
	return w, r.rest, r.ok
}

type fieldReader struct {
	rest string
	ok   bool
}

// number reads up to digits digits, but stops where another would exceed to.
func (r *fieldReader) number(from, to, digits int) int {
	r.rest = strings.TrimLeft(r.rest, " ")
	v, n := 0, 0
	for n < len(r.rest) && n < digits && isDigit(r.rest[n]) && (n == 0 || v*10 <= to) {
		v = v*10 + int(r.rest[n]-'0')
		n++
	}
	r.ok = r.ok && n > 0 && v >= from && v <= to
	r.rest = r.rest[n:]
	return v
}

func (r *fieldReader) literal(c byte) {
	if r.rest == "" || r.rest[0] != c {
		r.ok = false
		return
	}
	r.rest = r.rest[1:]
}

// between passes what stands between date and time; T only after full years.
func (r *fieldReader) between(allowT bool) {
	if after, ok := strings.CutPrefix(r.rest, "T"); ok && allowT {
		r.rest = after
		return
	}
	r.rest = strings.TrimLeft(r.rest, " \t\n\v\f\r")
}

// TimestampStyle says how FormatTimestamp writes.
type TimestampStyle string

// Styles, as --timestamp= of systemctl has them, and the date alone.
const (
	TimestampPretty TimestampStyle = "pretty" // Wed 2020-01-01 10:00:00 CET
	TimestampUSec   TimestampStyle = "us"     // with µs
	TimestampUTC    TimestampStyle = "utc"
	TimestampUSUTC  TimestampStyle = "us+utc"
	TimestampUnix   TimestampStyle = "unix" // @1577872800
	TimestampDate   TimestampStyle = "date" // Wed 2020-01-01
)

// ParseTimestampStyle reads a style by name; µs may be written with its letter.
func ParseTimestampStyle(s string) (TimestampStyle, error) {
	switch s {
	case "μs", "µs":
		return TimestampUSec, nil
	case "μs+utc", "µs+utc":
		return TimestampUSUTC, nil
	}
	switch style := TimestampStyle(s); style {
	case TimestampPretty, TimestampUSec, TimestampUTC, TimestampUSUTC, TimestampUnix, TimestampDate:
		return style, nil
	}
	return "", invalid("timestamp style", s)
}

// FormatTimestamp writes a point in time in µs since the epoch. 0 and Infinity
// stand for none and give the empty string.
func FormatTimestamp(t USec, style TimestampStyle, loc *time.Location) string {
	if t == 0 || t == Infinity {
		return ""
	}
	sec, usec := int64(t/USecPerSec), int64(t%USecPerSec)
	if style == TimestampUnix {
		return "@" + strconv.FormatInt(sec, 10)
	}
	if style == TimestampUTC || style == TimestampUSUTC || loc == nil {
		loc = time.UTC
	}
	if sec >= maxTimestampSec {
		return impossibleTimestamp(style)
	}
	at := time.Unix(sec, usec*1000).In(loc)
	switch style {
	case TimestampDate:
		return at.Format("Mon 2006-01-02")
	case TimestampUSec, TimestampUSUTC:
		return at.Format("Mon 2006-01-02 15:04:05.000000 MST")
	}
	return at.Format("Mon 2006-01-02 15:04:05 MST")
}

func impossibleTimestamp(style TimestampStyle) string {
	switch style {
	case TimestampDate:
		return "--- XXXX-XX-XX"
	case TimestampUSec:
		return "--- XXXX-XX-XX XX:XX:XX.XXXXXX"
	case TimestampUTC:
		return "--- XXXX-XX-XX XX:XX:XX UTC"
	case TimestampUSUTC:
		return "--- XXXX-XX-XX XX:XX:XX.XXXXXX UTC"
	}
	return "--- XXXX-XX-XX XX:XX:XX"
}

// FormatRelative writes how long before or after now t is, "3min 5s ago" or
// "2 days left", in one or two units; "now" when they are equal. 0 and Infinity
// give the empty string.
func FormatRelative(t, now USec) string {
	if t == 0 || t == Infinity {
		return ""
	}
	suffix, d := " ago", now-t
	if t > now {
		suffix, d = " left", t-now
	}
	switch {
	case d >= USecPerYear:
		return countUnit(d/USecPerYear, "year") + " " + countUnit(d%USecPerYear/USecPerMonth, "month") + suffix
	case d >= USecPerMonth:
		return countUnit(d/USecPerMonth, "month") + " " + countUnit(d%USecPerMonth/USecPerDay, "day") + suffix
	case d >= USecPerWeek:
		return countUnit(d/USecPerWeek, "week") + " " + countUnit(d%USecPerWeek/USecPerDay, "day") + suffix
	case d >= 2*USecPerDay:
		return countUnit(d/USecPerDay, "day") + suffix
	case d >= 25*USecPerHour:
		return "1 day " + countShort(d-USecPerDay, USecPerHour, "h") + suffix
	case d >= 6*USecPerHour:
		return countShort(d, USecPerHour, "h") + suffix
	case d >= USecPerHour:
		return countShort(d, USecPerHour, "h") + " " + countShort(d%USecPerHour, USecPerMin, "min") + suffix
	case d >= 5*USecPerMin:
		return countShort(d, USecPerMin, "min") + suffix
	case d >= USecPerMin:
		return countShort(d, USecPerMin, "min") + " " + countShort(d%USecPerMin, USecPerSec, "s") + suffix
	case d >= USecPerSec:
		return countShort(d, USecPerSec, "s") + suffix
	case d >= USecPerMSec:
		return countShort(d, USecPerMSec, "ms") + suffix
	case d > 0:
		return countShort(d, 1, "us") + suffix
	}
	return "now"
}

func countUnit(n USec, name string) string {
	if n != 1 {
		name += "s"
	}
	return strconv.FormatUint(uint64(n), 10) + " " + name
}

func countShort(d, unit USec, name string) string {
	return strconv.FormatUint(uint64(d/unit), 10) + name
}
