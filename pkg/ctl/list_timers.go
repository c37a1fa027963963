package ctl

import (
	"math"
	"sort"
	"strings"

	"github.com/muster-init/muster/pkg/unit/value"
)

// timerEntry is a timer with when it elapses next and did last, in µs since the epoch, 0 for never.
type timerEntry struct {
	name       string
	next, last value.USec
	passed     uint64 // monotonic
	props      properties
}

func timerTable(s *systemctl, units []unitProps) (*table, int) {
	var list []timerEntry
	for _, u := range units {
		p := u.props
		e := timerEntry{name: u.name, props: p, last: value.USec(p.number("LastTriggerUSec")), passed: p.number("LastTriggerUSecMonotonic")}
		e.next = s.nextElapse(p.number("NextElapseUSecRealtime"), p.number("NextElapseUSecMonotonic"))
		if e.last == math.MaxUint64 {
			e.last = 0
		}
		list = append(list, e)
	}
	sort.SliceStable(list, func(i, j int) bool {
		a, b := list[i].next, list[j].next
		if a != b {
			return b == 0 || a != 0 && a < b
		}
		return list[i].name < list[j].name
	})
	t := newTable("NEXT", "LEFT", "LAST", "PASSED", "UNIT", "ACTIVATES")
	t.columns[1].right, t.columns[3].right = true, true
	for _, e := range list {
		t.row(s.timeCell(e.next), s.leftCell(e.next), s.timeCell(e.last), s.agoCell(e), textCell(e.name), triggersCell(e.props))
	}
	return t, len(list)
}

func (s *systemctl) timeCell(t value.USec) cell {
	return cell{text: value.FormatTimestamp(t, timerStyle(s.o.timestamp), s.Location), empty: "-", json: uint64(t)}
}

// timerStyle: tables know of time zones only.
func timerStyle(style value.TimestampStyle) value.TimestampStyle {
	switch style {
	case value.TimestampUTC:
		return style
	case value.TimestampUSUTC:
		return value.TimestampUTC
	}
	return value.TimestampPretty
}

func (s *systemctl) leftCell(t value.USec) cell {
	return cell{text: strings.TrimSuffix(value.FormatRelative(t, s.now()), " left"), empty: "-", json: uint64(t)}
}

func (s *systemctl) agoCell(e timerEntry) cell {
	return cell{text: value.FormatRelative(e.last, s.now()), empty: "-", json: e.passed}
}
