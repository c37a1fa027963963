package value

import (
	"math/rand"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func anyCalendar() *rapid.Generator[*Calendar] {
	return rapid.Map(rapid.Int64(), func(seed int64) *Calendar {
		r := rand.New(rand.NewSource(seed))
		for {
			if c, err := ParseCalendar(calendarExpression(r)); err == nil && c.Zone == "" {
				return c
			}
		}
	})
}

func TestRoundTripCalendar(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyCalendar().Draw(t, "calendar")
		same(t, c, c.String(), ParseCalendar)
	})
}

func (c *Calendar) matches(usec USec, loc *time.Location) bool {
	if c.UTC {
		loc = time.UTC
	}
	at := time.UnixMicro(int64(usec)).In(loc)
	w := wallOf(at)
	in := func(chain []Component, v int64) bool {
		next, ok := nextInChain(chain, v, v)
		return ok && next == v
	}
	day := c.Day
	if c.EndOfMonth {
		day = fromMonthEnd(day, int64(daysInMonth(w.year, w.month)))
	}
	return (c.Weekdays == 0 || c.Weekdays>>((at.Weekday()+6)%7)&1 == 1) && in(c.Year, int64(w.year)) && in(c.Month, int64(w.month)) &&
		in(day, int64(w.day)) && in(c.Hour, int64(w.hour)) && in(c.Minute, int64(w.minute)) && in(c.Second, w.usec)
}

// TestCalendarNext checks that the next elapse matches, comes after, and that
// nothing in between does.
func TestCalendarNext(t *testing.T) {
	zones := []*time.Location{time.UTC, location(t, "Europe/Berlin"), location(t, "Australia/Lord_Howe"), location(t, "America/Santiago"), location(t, "Africa/Casablanca")}
	rapid.Check(t, func(t *rapid.T) {
		c := anyCalendar().Draw(t, "calendar")
		loc := rapid.SampledFrom(zones).Draw(t, "zone")
		after := USec(rapid.Uint64Range(1767225600, 1924992000).Draw(t, "after")) * USecPerSec
		next, ok := c.Next(after, loc)
		if !ok {
			next = after + 1000*USecPerHour
		} else if next <= after || !c.matches(next, loc) {
			t.Fatalf("%s after %d: %d does not match", c, after, next)
		}
		between := after + 1 + USec(rapid.Uint64Range(0, uint64(next-after-1)).Draw(t, "between"))
		between -= between % USecPerSec
		// An hour that comes twice matches the first time only.
		if between > after && between < next && c.matches(between, loc) && !wallOf(time.UnixMicro(int64(between)).In(loc)).twice(loc) {
			t.Fatalf("%s after %d: %d matches before %d", c, after, between, next)
		}
	})
}

func (w wall) twice(loc *time.Location) bool {
	usec, _ := w.resolve(loc, 1<<30)
	for minutes := int64(30); minutes <= 180; minutes += 30 {
		if order, _ := wallOf(time.UnixMicro(usec + minutes*60*secUSec).In(loc)).compare(w); order <= 0 {
			return true
		}
	}
	return false
}

func TestCalendarBounds(t *testing.T) {
	for _, after := range []USec{0, Infinity, maxCalendarSec * USecPerSec, maxCalendarSec*USecPerSec - 1} {
		c, err := ParseCalendar("*-*-* *:*:*")
		if err != nil {
			t.Fatal(err)
		}
		next, ok := c.Next(after, time.UTC)
		if ok != (after == 0) || ok && next != USecPerSec {
			t.Errorf("after %d: %d, %v", after, next, ok)
		}
	}
}

func BenchmarkCalendarNext(b *testing.B) {
	c, err := ParseCalendar("Mon..Fri *-*-1..7 12:30:15")
	if err != nil {
		b.Fatal(err)
	}
	loc, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, ok := c.Next(1767225600*USecPerSec, loc); !ok {
			b.Fatal("never")
		}
	}
}
