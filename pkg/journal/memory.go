package journal

import (
	"cmp"
	"container/heap"
	"slices"
	"strings"
)

// MemoryLimits bound a Memory. Zero fields take the default.
type MemoryLimits struct {
	// UnitLines and UnitBytes are the most that is kept of one unit.
	// Defaults 1000 lines and 64 KiB.
	UnitLines int
	UnitBytes int
	// TotalBytes is the most that is kept of all units. Default 2 MiB.
	TotalBytes int
	// LineBytes is the longest text of one record; the rest is cut. Default
	// 4 KiB.
	LineBytes int
}

func (l *MemoryLimits) setDefaults() {
	def := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	def(&l.UnitLines, 1000)
	def(&l.UnitBytes, 64<<10)
	def(&l.TotalBytes, 2<<20)
	def(&l.LineBytes, 4<<10)
}

// recordOverhead is charged per record besides its text: the Record itself.
const recordOverhead = 80

// Record is one line that is kept.
type Record struct {
	// Seq grows by one per line of any unit, from 1. It is set by Append.
	Seq uint64
	// RealtimeUSec and MonotonicUSec say when the line came in.
	RealtimeUSec, MonotonicUSec uint64
	Unit                        string
	Identifier                  string
	PID                         int32
	Priority                    uint8
	// Manager: the manager says this about the unit, not the unit itself.
	Manager bool
	Text    string
}

// Memory keeps the last lines of every unit, for systems without journald.
// When all together is too much, the unit with the most gives up its oldest
// lines: a unit that floods takes nothing from one that said why it failed.
//
// It belongs to one goroutine; it does no input or output and has no clock.
type Memory struct {
	limits MemoryLimits
	seq    uint64
	bytes  int
	lost   uint64
	gone   uint64 // highest Seq given up by units that have no log any more
	units  map[string]*unitLog
	heap   unitHeap
}

// unitLog holds a unit's records, oldest first from head on.
type unitLog struct {
	name    string
	records []Record
	head    int
	bytes   int
	evicted uint64 // Seq of the last record that was given up
	index   int    // in the heap
}

// NewMemory makes an empty Memory.
func NewMemory(limits MemoryLimits) *Memory {
	limits.setDefaults()
	return &Memory{limits: limits, units: map[string]*unitLog{}}
}

// Append adds r and returns its Seq. Text longer than LineBytes is cut.
func (m *Memory) Append(r Record) uint64 {
	m.seq++
	r.Seq = m.seq
	if len(r.Text) > m.limits.LineBytes {
		// Clone: a part of a string keeps all of it.
		r.Text = strings.Clone(clipTo(r.Text, m.limits.LineBytes))
	}
	u := m.units[r.Unit]
	if u == nil {
		u = &unitLog{name: strings.Clone(r.Unit)}
		m.units[u.name] = u
		heap.Push(&m.heap, u)
	}
	r.Unit = u.name
	u.records = append(u.records, r)
	m.grow(u, cost(&r))
	for u.len() > 1 && (u.len() > m.limits.UnitLines || u.bytes > m.limits.UnitBytes) {
		m.evict(u)
	}
	for m.bytes > m.limits.TotalBytes {
		biggest := m.heap[0]
		if m.evict(biggest); biggest.len() == 0 {
			m.remove(biggest)
		}
	}
	return r.Seq
}

// remove drops a unit's log; that records of it were given up is remembered.
func (m *Memory) remove(u *unitLog) {
	m.gone = max(m.gone, u.evicted)
	m.bytes -= u.bytes
	heap.Remove(&m.heap, u.index)
	delete(m.units, u.name)
}

func cost(r *Record) int { return len(r.Text) + len(r.Identifier) + recordOverhead }

func (u *unitLog) len() int { return len(u.records) - u.head }

// grow books n more (or fewer) bytes on u.
func (m *Memory) grow(u *unitLog, n int) {
	u.bytes += n
	m.bytes += n
	heap.Fix(&m.heap, u.index)
}

// evict gives up the oldest record of u.
func (m *Memory) evict(u *unitLog) {
	r := &u.records[u.head]
	u.evicted = r.Seq
	n := cost(r)
	*r = Record{}
	u.head++
	m.lost++
	if u.head > 16 && u.head > len(u.records)/2 {
		kept := copy(u.records, u.records[u.head:])
		clear(u.records[kept:])
		u.records, u.head = u.records[:kept], 0
	}
	m.grow(u, -n)
}

// Forget drops everything of a unit, when it is unloaded.
func (m *Memory) Forget(unit string) {
	u := m.units[unit]
	if u == nil {
		return
	}
	if n := u.len(); n > 0 {
		m.lost += uint64(n)
		u.evicted = u.records[len(u.records)-1].Seq
	}
	m.remove(u)
}

// Last is the Seq of the newest record ever appended, 0 for none. A follower
// compares it with its cursor.
func (m *Memory) Last() uint64 { return m.seq }

// Bytes is what is kept, as the limits count it.
func (m *Memory) Bytes() int { return m.bytes }

// Lost is the number of records given up so far.
func (m *Memory) Lost() uint64 { return m.lost }

// Units are the names of units that have records, sorted.
func (m *Memory) Units() []string {
	names := make([]string, 0, len(m.units))
	for n, u := range m.units {
		if u.len() > 0 {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

// Tail is the last n records of the units that match accepts, oldest first.
// A nil match accepts all. n < 0 means all there are.
func (m *Memory) Tail(match func(unit string) bool, n int) []Record {
	var out []Record
	for name, u := range m.units {
		if match != nil && !match(name) {
			continue
		}
		from := u.head
		if n >= 0 {
			from = max(from, len(u.records)-n)
		}
		out = append(out, u.records[from:]...)
	}
	sortRecords(out)
	if n >= 0 && len(out) > n {
		out = slices.Clone(out[len(out)-n:])
	}
	return out
}

// Cursor is the place a follower has read to.
type Cursor struct {
	// After is the Seq of the last record that was read. It can be kept, and
	// a Cursor made from it again.
	After uint64
	// Match selects units; nil all. A unit is the name, not a pattern.
	Match func(unit string) bool
}

// Follow returns up to limit records (0: all) after c, oldest first, and moves
// c. lost is true where records between were given up before they were read;
// for a cursor with Match only while the unit has others.
func (m *Memory) Follow(c *Cursor, limit int) (records []Record, lost bool) {
	if c.After >= m.seq {
		return nil, false
	}
	lost = c.Match == nil && m.gone > c.After
	for name, u := range m.units {
		if c.Match != nil && !c.Match(name) {
			continue
		}
		lost = lost || u.evicted > c.After
		kept := u.records[u.head:]
		i, _ := slices.BinarySearchFunc(kept, c.After+1, func(r Record, seq uint64) int { return cmp.Compare(r.Seq, seq) })
		kept = kept[i:]
		if limit > 0 && len(kept) > limit {
			kept = kept[:limit]
		}
		records = append(records, kept...)
	}
	sortRecords(records)
	if limit > 0 && len(records) > limit {
		records = slices.Clone(records[:limit])
	}
	if limit > 0 && len(records) == limit {
		c.After = records[limit-1].Seq
	} else {
		c.After = m.seq
	}
	return records, lost
}

func sortRecords(r []Record) {
	slices.SortFunc(r, func(a, b Record) int { return cmp.Compare(a.Seq, b.Seq) })
}

// unitHeap has the unit with the most bytes on top; among equals the first by
// name, so that the order does not depend on chance.
type unitHeap []*unitLog

func (h unitHeap) Len() int { return len(h) }

func (h unitHeap) Less(i, j int) bool {
	if h[i].bytes != h[j].bytes {
		return h[i].bytes > h[j].bytes
	}
	return h[i].name < h[j].name
}

func (h unitHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *unitHeap) Push(x any) {
	u := x.(*unitLog)
	u.index = len(*h)
	*h = append(*h, u)
}

func (h *unitHeap) Pop() any {
	old := *h
	u := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return u
}
