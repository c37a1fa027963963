package journal

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func only(unit string) func(string) bool { return func(u string) bool { return u == unit } }

func texts(records []Record) string {
	var out []string
	for _, r := range records {
		out = append(out, r.Text)
	}
	return strings.Join(out, " ")
}

func TestMemoryTail(t *testing.T) {
	m := NewMemory(MemoryLimits{UnitLines: 3})
	for i, u := range []string{"a", "b", "a", "a", "b", "a", "a"} {
		if seq := m.Append(Record{Unit: u, Text: fmt.Sprint(u, i)}); seq != uint64(i+1) {
			t.Errorf("seq %d", seq)
		}
	}
	for _, c := range []struct {
		match func(string) bool
		n     int
		want  string
	}{
		{nil, -1, "b1 a3 b4 a5 a6"}, {nil, 2, "a5 a6"}, {only("a"), -1, "a3 a5 a6"}, {only("a"), 2, "a5 a6"}, {only("b"), 10, "b1 b4"},
		{only("c"), -1, ""}, {nil, 0, ""},
	} {
		if got := texts(m.Tail(c.match, c.n)); got != c.want {
			t.Errorf("tail %d: %q, want %q", c.n, got, c.want)
		}
	}
	if u := m.Units(); !slices.Equal(u, []string{"a", "b"}) || m.Last() != 7 || m.Lost() != 2 {
		t.Errorf("%v, last %d, lost %d", u, m.Last(), m.Lost())
	}
	m.Forget("a")
	m.Forget("a")
	if got := texts(m.Tail(nil, -1)); got != "b1 b4" || m.Lost() != 5 {
		t.Errorf("%q, lost %d", got, m.Lost())
	}
}

func TestMemoryFollow(t *testing.T) {
	m := NewMemory(MemoryLimits{UnitLines: 4})
	add := func(u string, n int) {
		for range n {
			m.Append(Record{Unit: u, Text: fmt.Sprint(u, m.Last()+1)})
		}
	}
	all, a := Cursor{}, Cursor{Match: only("a")}
	check := func(c *Cursor, limit int, want string, wantLost bool) {
		t.Helper()
		got, lost := m.Follow(c, limit)
		if texts(got) != want || lost != wantLost {
			t.Errorf("%q lost %v, want %q lost %v", texts(got), lost, want, wantLost)
		}
	}
	check(&all, 10, "", false)
	add("a", 2)
	add("b", 1)
	add("a", 1)
	check(&a, 2, "a1 a2", false)
	check(&a, 2, "a4", false)
	check(&a, 2, "", false)
	check(&all, 0, "a1 a2 b3 a4", false)
	add("b", 1)
	check(&a, 2, "", false)
	check(&all, 1, "b5", false)
	add("a", 10)
	check(&a, 3, "a12 a13 a14", true)
	check(&a, 3, "a15", false)
	if a.After != 15 {
		t.Errorf("cursor at %d", a.After)
	}
	m.Forget("a")
	check(&all, 0, "", true)
	check(&all, 0, "", false)
}

func TestMemoryFloodTakesNothingFromOthers(t *testing.T) {
	m := NewMemory(MemoryLimits{UnitBytes: 1 << 20, UnitLines: 1 << 20, TotalBytes: 100_000})
	m.Append(Record{Unit: "quiet", Text: "why I failed"})
	for i := range 10_000 {
		m.Append(Record{Unit: fmt.Sprint("loud", i%3), Text: strings.Repeat("x", 500)})
	}
	if got := texts(m.Tail(only("quiet"), -1)); got != "why I failed" {
		t.Errorf("%q", got)
	}
	if m.Bytes() > 100_000 || m.Bytes() < 90_000 {
		t.Errorf("%d bytes", m.Bytes())
	}
}

func TestMemoryCutsLongLines(t *testing.T) {
	m := NewMemory(MemoryLimits{LineBytes: 11})
	m.Append(Record{Unit: "a", Text: strings.Repeat("é", 100)})
	if got := texts(m.Tail(nil, -1)); got != strings.Repeat("é", 5) {
		t.Errorf("%q", got)
	}
}

// TestMemoryModel compares with the simplest thing that can work: a list.
func TestMemoryModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := MemoryLimits{
			UnitLines:  rapid.IntRange(1, 8).Draw(t, "lines"),
			UnitBytes:  rapid.IntRange(1, 600).Draw(t, "bytes"),
			TotalBytes: rapid.IntRange(1, 1200).Draw(t, "total"),
			LineBytes:  100,
		}
		m := NewMemory(limits)
		var model []Record
		c := Cursor{}
		var read []uint64
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			unit := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "unit")
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				m.Forget(unit)
				model = slices.DeleteFunc(model, func(r Record) bool { return r.Unit == unit })
			case 1:
				got, _ := m.Follow(&c, rapid.IntRange(0, 3).Draw(t, "limit"))
				for _, r := range got {
					read = append(read, r.Seq)
				}
			default:
				r := Record{Unit: unit, Text: strings.Repeat("t", rapid.IntRange(0, 150).Draw(t, "len"))}
				r.Seq = m.Append(r)
				r.Text = r.Text[:min(len(r.Text), limits.LineBytes)]
				model = appendModel(limits, model, r)
			}
			if got := m.Tail(nil, -1); !slices.Equal(got, model) {
				t.Fatalf("%v\nwant %v", got, model)
			}
			sum := 0
			for _, r := range model {
				sum += cost(&r)
			}
			if m.Bytes() != sum || sum > limits.TotalBytes || uint64(len(model))+m.Lost() != m.Last() {
				t.Fatalf("%d bytes, counted %d; %d kept, %d lost of %d", m.Bytes(), sum, len(model), m.Lost(), m.Last())
			}
		}
		if !slices.IsSorted(read) || len(slices.Compact(slices.Clone(read))) != len(read) {
			t.Fatalf("followed %v", read)
		}
	})
}

func appendModel(l MemoryLimits, model []Record, r Record) []Record {
	model = append(model, r)
	count := func(unit string) (n, bytes int) {
		for _, x := range model {
			if x.Unit == unit {
				n, bytes = n+1, bytes+cost(&x)
			}
		}
		return n, bytes
	}
	evict := func(unit string) {
		i := slices.IndexFunc(model, func(x Record) bool { return x.Unit == unit })
		model = slices.Delete(model, i, i+1)
	}
	for {
		n, bytes := count(r.Unit)
		if n <= 1 || n <= l.UnitLines && bytes <= l.UnitBytes {
			break
		}
		evict(r.Unit)
	}
	for {
		total, biggest, most := 0, "", 0
		for _, u := range []string{"a", "b", "c", "d"} {
			_, bytes := count(u)
			if total += bytes; bytes > most {
				biggest, most = u, bytes
			}
		}
		if total <= l.TotalBytes {
			return model
		}
		evict(biggest)
	}
}

func BenchmarkMemoryAppend(b *testing.B) {
	m := NewMemory(MemoryLimits{})
	units := make([]string, 200)
	for i := range units {
		units[i] = fmt.Sprint("unit", i, ".service")
	}
	text := strings.Repeat("x", 80)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		m.Append(Record{Unit: units[i%200], Text: text})
		i++
	}
}
