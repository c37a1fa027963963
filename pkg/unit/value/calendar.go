package value

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Calendar is a calendar event (systemd.time(7), CALENDAR EVENTS): the points
// in time whose weekday, date and time of day all match. An empty list of
// components matches anything.
//
// Invariants of what ParseCalendar returns: components are sorted and without
// duplicates, within their ranges, and normal: a Stop is one the Repeat reaches.
type Calendar struct {
	Weekdays   uint8       `json:"weekdays,omitempty"` // bit 0 is Monday; 0 is any day
	EndOfMonth bool        `json:"end_of_month,omitempty"`
	UTC        bool        `json:"utc,omitempty"`
	Zone       string      `json:"zone,omitempty"` // time zone by name; empty with UTC unset is local time
	Year       []Component `json:"year,omitempty"`
	Month      []Component `json:"month,omitempty"`
	Day        []Component `json:"day,omitempty"` // counted from the last, 1, back when EndOfMonth
	Hour       []Component `json:"hour,omitempty"`
	Minute     []Component `json:"minute,omitempty"`
	Second     []Component `json:"second,omitempty"` // in µs
}

// Component is one part of a list such as "1,5..9,10/2".
type Component struct {
	Start  int64 `json:"start"`
	Stop   int64 `json:"stop"`             // the last value, -1 for none given
	Repeat int64 `json:"repeat,omitempty"` // step, 0 for Start alone
}

const (
	calendarYearMin       = 1970
	calendarYearMax       = 2199
	calendarComponentsMax = 240
	calendarTextMax       = 4096
	secUSec               = int64(USecPerSec)
)

var weekdayNames = [...]string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}

const allWeekdays = 1<<7 - 1

// What the words stand for. Zero fields are written out, as in full
// specifications.
var calendarWords = map[string]string{
	"minutely":      "*-*-* *:*:0",
	"hourly":        "*-*-* *:0:0",
	"daily":         "*-*-* 0:0:0",
	"monthly":       "*-*-1 0:0:0",
	"weekly":        "Mon *-*-* 0:0:0",
	"annually":      "*-1-1 0:0:0",
	"yearly":        "*-1-1 0:0:0",
	"anually":       "*-1-1 0:0:0",
	"quarterly":     "*-1,4,7,10-1 0:0:0",
	"biannually":    "*-1,7-1 0:0:0",
	"bi-annually":   "*-1,7-1 0:0:0",
	"semiannually":  "*-1,7-1 0:0:0",
	"semi-annually": "*-1,7-1 0:0:0",
}

// ParseCalendar reads a calendar event. A last word that looks like the name of a time zone
// is taken for one; whoever has zone data must check Zone.
func ParseCalendar(s string) (*Calendar, error) {
	return ParseCalendarZone(s, zoneNameIsPlausible)
}

// ParseCalendarZone is ParseCalendar with a test that says which names are time
// zones.
func ParseCalendarZone(s string, zoneIsValid func(name string) bool) (*Calendar, error) {
	if len(s) > calendarTextMax {
		return nil, invalidf("calendar event", s, "too long")
	}
	c := &Calendar{}
	text := s
	if n := len(s) - len(" UTC"); n >= 0 && strings.EqualFold(s[n:], " UTC") {
		c.UTC, text = true, s[:n]
	} else if i := strings.LastIndexByte(s, ' '); i >= 0 && zoneIsValid(s[i+1:]) {
		c.Zone, text = s[i+1:], s[:i]
	}
	if text == "" {
		return nil, invalid("calendar event", s)
	}
	if long, ok := calendarWords[strings.ToLower(text)]; ok {
		text = long
	}
	p := calendarParser{whole: s, rest: text, calendar: c}
	if err := p.parse(); err != nil {
		return nil, err
	}
	c.normalize()
	if !c.valid() {
		return nil, invalid("calendar event", s)
	}
	return c, nil
}

// zoneNameIsPlausible takes names such as "Europe/Berlin", but no weekdays.
func zoneNameIsPlausible(name string) bool {
	if name == "" || name[0]|0x20 < 'a' || name[0]|0x20 > 'z' || len(name) > filenameMax {
		return false
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'z') && strings.IndexByte("/_+-", c) < 0 {
			return false
		}
	}
	if strings.Contains(name, "//") || strings.HasSuffix(name, "/") {
		return false
	}
	_, n := matchWeekday(name)
	return n != len(name)
}

type calendarParser struct {
	whole    string
	rest     string
	calendar *Calendar
}

func (p *calendarParser) invalid() error { return invalid("calendar event", p.whole) }

func (p *calendarParser) parse() error {
	if err := p.weekdays(); err != nil {
		return err
	}
	if strings.HasPrefix(p.rest, "@") {
		return p.epoch()
	}
	if err := p.date(); err != nil {
		return err
	}
	return p.timeOfDay()
}

// matchWeekday is the index, from 0 for Monday, and length of the day name s
// starts with; length 0 for none.
func matchWeekday(s string) (day, length int) {
	for i, name := range weekdayNames {
		for _, n := range [...]int{len(name), 3} {
			if len(s) >= n && strings.EqualFold(s[:n], name[:n]) {
				return i, n
			}
		}
	}
	return 0, 0
}

// weekdays reads a list like "Mon..Wed,Fri" up to a blank; nothing when the
// text starts otherwise.
func (p *calendarParser) weekdays() error {
	first := -1 // of an open range
	for {
		day, n := matchWeekday(p.rest)
		if n == 0 {
			if p.calendar.Weekdays == 0 && first < 0 {
				return nil
			}
			return p.invalid()
		}
		p.rest = p.rest[n:]
		if first > day {
			return p.invalid()
		}
		if first < 0 {
			first = day
		}
		for d := first; d <= day; d++ {
			p.calendar.Weekdays |= 1 << d
		}
		inRange := first != day
		switch {
		case p.rest == "":
			return nil
		case p.rest[0] == ' ':
			p.rest = strings.TrimLeft(p.rest, " ")
			return nil
		case p.rest[0] == ',':
			p.rest = p.rest[1:]
			if p.rest == "" || p.rest[0] == ' ' {
				p.rest = strings.TrimLeft(p.rest, " ")
				return nil
			}
			first = -1
		case !inRange && strings.HasPrefix(p.rest, ".."):
			p.rest, first = p.rest[2:], day
		case !inRange && p.rest[0] == '-':
			p.rest, first = p.rest[1:], day
		default:
			return p.invalid()
		}
	}
}

// epoch reads "@" and seconds since 1970, which end the text.
func (p *calendarParser) epoch() error {
	digits := p.rest[1:]
	if countDigits(digits) != len(digits) || digits == "" {
		return p.invalid()
	}
	sec, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || sec > maxCalendarSec {
		return outOfRange("calendar event", p.whole)
	}
	w := wallFromUTC(sec)
	c := p.calendar
	c.UTC, c.Zone = true, ""
	c.Year, c.Month, c.Day = single(int64(w.year)), single(int64(w.month)), single(int64(w.day))
	c.Hour, c.Minute, c.Second = single(int64(w.hour)), single(int64(w.minute)), single(w.usec)
	return nil
}

func single(v int64) []Component { return []Component{{Start: v, Stop: -1}} }

// date reads year-month-day, month-day, or with "~" before the day; nothing if
// what stands there is a time.
func (p *calendarParser) date() error {
	start := p.rest
	if p.rest == "" {
		return nil
	}
	var parts [3][]Component
	for i := range parts {
		chain, err := p.chain(false)
		if err != nil {
			return err
		}
		parts[i] = chain
		next := byte(0)
		if p.rest != "" {
			next = p.rest[0]
		}
		switch {
		case i == 0 && (next == ':' || next == 0):
			p.rest = start
			return nil
		case (next == 0 || next == ' ') && i > 0:
			p.rest = strings.TrimLeft(p.rest, " ")
			c := p.calendar
			if i == 1 {
				c.Month, c.Day = parts[0], parts[1]
			} else {
				c.Year, c.Month, c.Day = parts[0], parts[1], parts[2]
			}
			return nil
		case next == '-' && i < 2 && !p.calendar.EndOfMonth:
		case next == '~' && i < 2 && !p.calendar.EndOfMonth:
			p.calendar.EndOfMonth = true
		default:
			return p.invalid()
		}
		p.rest = p.rest[1:]
	}
	return p.invalid()
}

// timeOfDay reads hour:minute or hour:minute:second; midnight when nothing is
// left.
func (p *calendarParser) timeOfDay() error {
	c := p.calendar
	if p.rest == "" {
		c.Hour, c.Minute, c.Second = single(0), single(0), single(0)
		return nil
	}
	var err error
	if c.Hour, err = p.chain(false); err != nil {
		return err
	}
	if !strings.HasPrefix(p.rest, ":") {
		return p.invalid()
	}
	p.rest = p.rest[1:]
	if c.Minute, err = p.chain(false); err != nil {
		return err
	}
	if p.rest == "" {
		c.Second = single(0)
		return nil
	}
	if p.rest[0] != ':' {
		return p.invalid()
	}
	p.rest = p.rest[1:]
	if c.Second, err = p.chain(true); err != nil {
		return err
	}
	if p.rest != "" {
		return p.invalid()
	}
	return nil
}

// chain reads "*" or a list of components.
func (p *calendarParser) chain(seconds bool) ([]Component, error) {
	if strings.HasPrefix(p.rest, "*") {
		p.rest = p.rest[1:]
		if seconds {
			return []Component{{Start: 0, Stop: -1, Repeat: secUSec}}, nil
		}
		return nil, nil
	}
	var list []Component
	for {
		c, err := p.component(seconds)
		if err != nil {
			return nil, err
		}
		if list = append(list, c); len(list) > calendarComponentsMax {
			return nil, invalidf("calendar event", p.whole, "too many components")
		}
		if !strings.HasPrefix(p.rest, ",") {
			return list, nil
		}
		p.rest = p.rest[1:]
	}
}

func (p *calendarParser) component(seconds bool) (Component, error) {
	c := Component{Stop: -1}
	var err error
	if c.Start, err = p.number(seconds); err != nil {
		return c, err
	}
	if strings.HasPrefix(p.rest, "..") {
		p.rest = p.rest[2:]
		if c.Stop, err = p.number(seconds); err != nil {
			return c, err
		}
		c.Repeat = 1
		if seconds {
			c.Repeat = secUSec
		}
	}
	if strings.HasPrefix(p.rest, "/") {
		p.rest = p.rest[1:]
		if c.Repeat, err = p.number(seconds); err != nil {
			return c, err
		}
		if c.Repeat == 0 {
			return c, outOfRange("calendar event", p.whole)
		}
	}
	if p.rest != "" && strings.IndexByte(" ,-~:", p.rest[0]) < 0 {
		return c, p.invalid()
	}
	return c, nil
}

// number reads digits; as seconds also a fraction, rounded to µs.
func (p *calendarParser) number(seconds bool) (int64, error) {
	n := countDigits(p.rest)
	if n == 0 {
		return 0, p.invalid()
	}
	v, err := strconv.ParseInt(p.rest[:n], 10, 31)
	if err != nil {
		return 0, outOfRange("calendar event", p.whole)
	}
	p.rest = p.rest[n:]
	if !seconds {
		return v, nil
	}
	v *= secUSec
	if !strings.HasPrefix(p.rest, ".") || strings.HasPrefix(p.rest, "..") {
		return v, nil
	}
	n = countDigits(p.rest[1:])
	if n == 0 {
		return 0, p.invalid()
	}
	v += fractionUSec(p.rest[1 : 1+n])
	p.rest = p.rest[1+n:]
	return v, nil
}

// fractionUSec is the digits after a point in µs, rounded half up.
func fractionUSec(digits string) int64 {
	v, scale := int64(0), secUSec/10
	for i := 0; i < len(digits) && i < 6; i++ {
		v += int64(digits[i]-'0') * scale
		scale /= 10
	}
	if len(digits) > 6 && digits[6] >= '5' {
		v++
	}
	return v
}

func (c *Calendar) normalize() {
	if c.Weekdays == allWeekdays {
		c.Weekdays = 0
	}
	if len(c.Day) == 0 {
		c.EndOfMonth = false
	}
	for i := range c.Year {
		c.Year[i].Start = fullYear(c.Year[i].Start)
		c.Year[i].Stop = fullYear(c.Year[i].Stop)
	}
	for _, chain := range [...]*[]Component{&c.Year, &c.Month, &c.Day, &c.Hour, &c.Minute, &c.Second} {
		normalizeChain(chain)
	}
}

// fullYear adds the century to years of two digits.
func fullYear(year int64) int64 {
	switch {
	case year >= 0 && year < 70:
		return year + 2000
	case year >= 70 && year < 100:
		return year + 1900
	}
	return year
}

func normalizeChain(chain *[]Component) {
	for i := range *chain {
		c := &(*chain)[i]
		if c.Stop >= c.Start && c.Repeat > 0 {
			c.Stop -= (c.Stop - c.Start) % c.Repeat
		}
		if c.Stop == c.Start {
			c.Stop, c.Repeat = -1, 0
		}
	}
	slices.SortFunc(*chain, func(a, b Component) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Stop, b.Stop), cmp.Compare(a.Repeat, b.Repeat))
	})
	*chain = slices.Compact(*chain)
}

func (c *Calendar) valid() bool {
	return chainIsValid(c.Year, calendarYearMin, calendarYearMax, false) &&
		chainIsValid(c.Month, 1, 12, false) &&
		chainIsValid(c.Day, 1, 31, c.EndOfMonth) &&
		chainIsValid(c.Hour, 0, 23, false) &&
		chainIsValid(c.Minute, 0, 59, false) &&
		chainIsValid(c.Second, 0, 60*secUSec-1, false)
}

// chainIsValid wants values within the range, and of a step without end the
// second value too: "55/10" of minutes is a mistake. From the end of the month
// steps lead to smaller counts.
//
// DEVIATION: systemd lowers the 28 by three with every further component of a
// list, so it refuses "~11..18,26"; here each may be up to 28.
func chainIsValid(chain []Component, from, to int64, fromEnd bool) bool {
	if fromEnd {
		to -= 3 // so that there is such a day in every month
	}
	for _, c := range chain {
		switch {
		case c.Start < from || c.Start > to:
			return false
		case c.Stop >= 0:
			if c.Stop < c.Start || c.Stop > to {
				return false
			}
		case c.Repeat > 0 && fromEnd:
			if c.Start-c.Repeat < from {
				return false
			}
		case c.Repeat > 0:
			if c.Repeat > to-from || c.Start+c.Repeat > to {
				return false
			}
		}
	}
	return true
}

// String writes the normal form.
func (c *Calendar) String() string {
	var b []byte
	if c.Weekdays != 0 && c.Weekdays != allWeekdays {
		b = append(appendWeekdays(b, c.Weekdays), ' ')
	}
	b = append(appendChain(b, c.Year, 4), '-')
	b = appendChain(b, c.Month, 2)
	if c.EndOfMonth {
		b = append(b, '~')
	} else {
		b = append(b, '-')
	}
	b = append(appendChain(b, c.Day, 2), ' ')
	b = append(appendChain(b, c.Hour, 2), ':')
	b = append(appendChain(b, c.Minute, 2), ':')
	b = appendSeconds(b, c.Second)
	switch {
	case c.UTC:
		b = append(b, " UTC"...)
	case c.Zone != "":
		b = append(append(b, ' '), c.Zone...)
	}
	return string(b)
}

// appendWeekdays writes runs of three and more days as ranges.
func appendWeekdays(b []byte, days uint8) []byte {
	first := true
	for d := 0; d < 7; d++ {
		if days>>d&1 == 0 {
			continue
		}
		end := d
		for end < 6 && days>>(end+1)&1 != 0 {
			end++
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, weekdayNames[d][:3]...)
		switch {
		case end == d+1:
			b = append(append(b, ','), weekdayNames[end][:3]...)
		case end > d:
			b = append(append(b, ".."...), weekdayNames[end][:3]...)
		}
		d = end
	}
	return b
}

func appendChain(b []byte, chain []Component, width int) []byte {
	if len(chain) == 0 {
		return append(b, '*')
	}
	for i, c := range chain {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendPadded(b, c.Start, width)
		if c.Stop >= 0 {
			b = appendPadded(append(b, ".."...), c.Stop, width)
		}
		if c.Repeat > 0 && (c.Stop < 0 || c.Repeat != 1) {
			b = strconv.AppendInt(append(b, '/'), c.Repeat, 10)
		}
	}
	return b
}

func appendSeconds(b []byte, chain []Component) []byte {
	if len(chain) == 0 || len(chain) == 1 && chain[0] == (Component{Start: 0, Stop: -1, Repeat: secUSec}) {
		return append(b, '*')
	}
	for i, c := range chain {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendFraction(appendPadded(b, c.Start/secUSec, 2), c.Start)
		if c.Stop >= 0 {
			b = appendFraction(appendPadded(append(b, ".."...), c.Stop/secUSec, 2), c.Stop)
		}
		if c.Repeat > 0 && (c.Stop < 0 || c.Repeat != secUSec) {
			b = appendFraction(strconv.AppendInt(append(b, '/'), c.Repeat/secUSec, 10), c.Repeat)
		}
	}
	return b
}

func appendFraction(b []byte, usec int64) []byte {
	if usec %= secUSec; usec != 0 {
		b = appendPadded(append(b, '.'), usec, 6)
	}
	return b
}

func appendPadded(b []byte, v int64, width int) []byte {
	s := strconv.FormatInt(v, 10)
	for n := len(s); n < width; n++ {
		b = append(b, '0')
	}
	return append(b, s...)
}
