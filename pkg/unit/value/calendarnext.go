package value

import "time"

// maxCalendarSec is past the last second of the year 2199.
const maxCalendarSec = 7258118400

// wall is a point in time as clocks on the wall show it.
type wall struct {
	year, month, day, hour, minute int
	usec                           int64 // of the minute
}

func wallOf(t time.Time) wall {
	return wall{t.Year(), int(t.Month()), t.Day(), t.Hour(), t.Minute(), int64(t.Second())*secUSec + int64(t.Nanosecond()/1000)}
}

func wallFromUTC(sec int64) wall { return wallOf(time.Unix(sec, 0).UTC()) }

// compare orders wall times of one zone; field is the first that differs, 0 for
// the year to 5 for the seconds.
func (w wall) compare(o wall) (order, field int) {
	a := [...]int64{int64(w.year), int64(w.month), int64(w.day), int64(w.hour), int64(w.minute), w.usec}
	b := [...]int64{int64(o.year), int64(o.month), int64(o.day), int64(o.hour), int64(o.minute), o.usec}
	for i := range a {
		if a[i] != b[i] {
			if a[i] < b[i] {
				return -1, i
			}
			return 1, i
		}
	}
	return 0, len(a)
}

// truncate sets everything after the field to its first value.
func (w *wall) truncate(field int) {
	if field < 1 {
		w.month = 1
	}
	if field < 2 {
		w.day = 1
	}
	if field < 3 {
		w.hour = 0
	}
	if field < 4 {
		w.minute = 0
	}
	if field < 5 {
		w.usec = 0
	}
}

// resolve turns wall time into µs since the epoch. Of two points with this wall
// time, as when clocks are set back, the one with the preferred offset, or else
// the first, is taken. Where clocks are set forward over it, exists is false and
// usec is what the wall time would be by the offset from before.
func (w wall) resolve(loc *time.Location, preferredOffset int) (usec int64, exists bool) {
	naive := time.Date(w.year, time.Month(w.month), w.day, w.hour, w.minute, 0, 0, time.UTC)
	base := naive.Unix()
	if loc == time.UTC {
		return base*secUSec + w.usec, true
	}
	// No place is further than 26 h from UTC, so these bracket the instant.
	before := offsetAt(base-26*3600, loc)
	after := offsetAt(base+26*3600, loc)
	best, found := int64(0), false
	for _, offset := range [...]int{before, after, offsetAt(base-int64(before), loc), offsetAt(base-int64(after), loc)} {
		sec := base - int64(offset)
		if offsetAt(sec+w.usec/secUSec, loc) != offset {
			continue
		}
		if offset == preferredOffset {
			return sec*secUSec + w.usec, true
		}
		if !found || sec < best {
			best, found = sec, true
		}
	}
	if found {
		return best*secUSec + w.usec, true
	}
	return (base-int64(before))*secUSec + w.usec, false
}

func offsetAt(sec int64, loc *time.Location) int {
	_, offset := time.Unix(sec, 0).In(loc).Zone()
	return offset
}

// Next is the first point in time after afterUSec that matches, in µs since the epoch;
// ok is false when there is none up to the year 2199.
//
// loc is the zone of the event: the caller loads c.Zone, or passes the local
// zone when that is empty; with c.UTC it does not matter. Wall times skipped
// when clocks are set forward don't match; those that come twice match the
// first time.
func (c *Calendar) Next(afterUSec USec, loc *time.Location) (usec USec, ok bool) {
	if c.UTC || loc == nil {
		loc = time.UTC
	}
	if afterUSec >= maxCalendarSec*USecPerSec {
		return 0, false
	}
	start := time.UnixMicro(int64(afterUSec) + 1).In(loc)
	_, offset := start.Zone()
	s := calendarSearch{Calendar: c, wall: wallOf(start), loc: loc, offset: offset}
	for !s.settle() {
		if s.wall.year > calendarYearMax {
			return 0, false
		}
	}
	if s.wall.year > calendarYearMax {
		return 0, false
	}
	found, _ := s.wall.resolve(loc, offset)
	if found <= int64(afterUSec) {
		// The wall time lies in an hour that comes twice, and by the other
		// offset it is still ahead.
		found = s.laterThan(int64(afterUSec), found)
	}
	if found <= int64(afterUSec) || found < 0 {
		return 0, false
	}
	return USec(found), true
}

// laterThan is the same wall time by whatever offset makes it come after after.
func (s *calendarSearch) laterThan(after, found int64) int64 {
	for hours := int64(-26); hours <= 26; hours++ {
		offset := offsetAt(found/secUSec+hours*3600, s.loc)
		if usec, _ := s.wall.resolve(s.loc, offset); usec > after {
			return usec
		}
	}
	return found
}

// calendarSearch moves wall forward to the next match.
type calendarSearch struct {
	*Calendar
	wall   wall
	loc    *time.Location
	offset int
}

// settle makes one pass from the year down. It ends early, and returns false,
// when a field has no further value and the one above was stepped, or when the
// time it came to does not exist.
func (s *calendarSearch) settle() bool {
	w := &s.wall
	if !s.field(0, s.Year, &w.year, calendarYearMax) {
		w.year = calendarYearMax + 1
		return true
	}
	if !s.field(1, s.Month, &w.month, 12) {
		w.year++
		w.truncate(0)
		return false
	}
	if !s.dayField() {
		w.month++
		w.truncate(1)
		if w.month > 12 {
			w.year++
			w.truncate(0)
		}
		return false
	}
	if !s.exists() {
		return false
	}
	if !s.field(3, s.Hour, &w.hour, 23) {
		s.nextDay()
		return false
	}
	if !s.exists() {
		return false
	}
	if !s.field(4, s.Minute, &w.minute, 59) {
		w.hour++
		w.truncate(3)
		if w.hour > 23 {
			s.nextDay()
		}
		return false
	}
	usec, ok := nextInChain(s.Second, w.usec, 60*secUSec-1)
	if !ok {
		w.minute++
		w.truncate(4)
		if w.minute > 59 {
			w.hour++
			w.truncate(3)
			if w.hour > 23 {
				s.nextDay()
			}
		}
		return false
	}
	w.usec = usec
	return s.exists()
}

func (s *calendarSearch) nextDay() {
	w := &s.wall
	w.day++
	w.truncate(2)
	if w.day > daysInMonth(w.year, w.month) {
		w.month++
		w.truncate(1)
	}
	if w.month > 12 {
		w.year++
		w.truncate(0)
	}
}

// field moves one field to its next matching value; when that is a new one, the
// fields below start over.
func (s *calendarSearch) field(index int, chain []Component, v *int, limit int64) bool {
	next, ok := nextInChain(chain, int64(*v), limit)
	if !ok {
		return false
	}
	if next != int64(*v) {
		*v = int(next)
		s.wall.truncate(index)
	}
	return true
}

// dayField moves to the next day of this month that matches day and weekday.
func (s *calendarSearch) dayField() bool {
	w := &s.wall
	last := daysInMonth(w.year, w.month)
	chain := s.Day
	if s.EndOfMonth {
		chain = fromMonthEnd(chain, int64(last))
	}
	for day := w.day; day <= last; day++ {
		next, ok := nextInChain(chain, int64(day), int64(last))
		if !ok {
			return false
		}
		day = int(next)
		if s.weekdayMatches(w.year, w.month, day) {
			if day != w.day {
				w.day = day
				w.truncate(2)
			}
			return true
		}
	}
	return false
}

func (s *calendarSearch) weekdayMatches(year, month, day int) bool {
	if s.Weekdays == 0 {
		return true
	}
	weekday := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Weekday() // Sunday is 0
	return s.Weekdays>>((weekday+6)%7)&1 != 0
}

// exists says whether the wall time is one the zone has. If not, it is moved to
// where the clocks go on, with the fields below the first changed one reset.
func (s *calendarSearch) exists() bool {
	usec, ok := s.wall.resolve(s.loc, s.offset)
	if ok {
		return true
	}
	moved := wallOf(time.UnixMicro(usec).In(s.loc))
	order, field := moved.compare(s.wall)
	if order <= 0 {
		s.wall.minute++ // never back; the next pass carries it over
		s.wall.truncate(4)
		return false
	}
	moved.truncate(field)
	s.wall = moved
	return false
}

// fromMonthEnd turns counts from the last day into days. A step goes on to the
// end of the month.
func fromMonthEnd(chain []Component, last int64) []Component {
	days := make([]Component, 0, len(chain))
	for _, c := range chain {
		d := Component{Start: last + 1 - c.Start, Stop: -1, Repeat: c.Repeat}
		if c.Stop >= 0 {
			d.Start, d.Stop = last+1-c.Stop, last+1-c.Start
		}
		days = append(days, d)
	}
	return days
}

// nextInChain is the smallest matching value from v to limit.
func nextInChain(chain []Component, v, limit int64) (int64, bool) {
	if len(chain) == 0 {
		return v, v <= limit
	}
	best, found := limit+1, false
	for _, c := range chain {
		if next, ok := c.next(v); ok && next < best {
			best, found = next, true
		}
	}
	return best, found
}

func (c Component) next(v int64) (int64, bool) {
	switch {
	case v <= c.Start:
		v = c.Start
	case c.Repeat > 0:
		v = c.Start + (v-c.Start+c.Repeat-1)/c.Repeat*c.Repeat
	case c.Stop < 0:
		return 0, false
	}
	return v, c.Stop < 0 || v <= c.Stop
}

func daysInMonth(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}
