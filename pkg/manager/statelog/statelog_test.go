package statelog

import (
	"errors"
	"fmt"
	"io"
	"math/rand"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type memory struct{ data []byte }

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if need := int(off) + len(p); need > len(m.data) {
		m.data = append(m.data, make([]byte, need-len(m.data))...)
	}
	return copy(m.data[off:], p), nil
}

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(m.data)) {
		return 0, io.EOF
	}
	n := copy(p, m.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m *memory) Truncate(size int64) error {
	if int64(len(m.data)) > size {
		m.data = m.data[:size]
	}
	return nil
}

func (m *memory) clone() *memory { return &memory{append([]byte(nil), m.data...)} }

func reopen(t *testing.T, a, b *memory) (*Log, map[string]string) {
	t.Helper()
	l, recs, _, err := Open(a, b)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for k, v := range recs {
		got[k] = string(v)
	}
	return l, got
}

func TestRecordsSurvive(t *testing.T) {
	a, b := &memory{}, &memory{}
	l, err := Create(a, b)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	rng := rand.New(rand.NewSource(1))
	for i := 0; i < 20000; i++ {
		key := fmt.Sprintf("unit/%d.service", rng.Intn(200))
		if rng.Intn(10) == 0 {
			_ = l.Delete(key)
			delete(want, key)
		} else {
			v := fmt.Sprintf("%d %0*d", i, rng.Intn(300)+1, i)
			if err := l.Put(key, []byte(v)); err != nil {
				t.Fatal(err)
			}
			want[key] = v
		}
		if rng.Intn(3) == 0 {
			if err := l.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if rng.Intn(500) == 0 {
			if err := l.Flush(); err != nil {
				t.Fatal(err)
			}
			var got map[string]string
			l, got = reopen(t, a, b)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("after %d: %s", i, diff)
			}
		}
	}
	if l.Size() > 4<<20 {
		t.Fatalf("the log grew to %d bytes: it was never compacted", l.Size())
	}
	if l.generation < 2 {
		t.Fatal("no compaction took place")
	}
}

// TestTornAtAnyByte cuts or flips the log at every byte behind a known state: that state or a later one is always found.
func TestTornAtAnyByte(t *testing.T) {
	a, b := &memory{}, &memory{}
	l, _ := Create(a, b)
	_ = l.Put("one", []byte("1"))
	_ = l.Flush()
	safe := len(a.data)
	_ = l.Put("two", []byte("22"))
	_ = l.Put("one", []byte("new"))
	_ = l.Flush()
	for cut := safe; cut < len(a.data); cut++ {
		short := a.clone()
		short.data = short.data[:cut]
		_, got := reopen(t, short, b.clone())
		if got["one"] != "1" {
			t.Fatalf("cut at %d: %v", cut, got)
		}
		flipped := a.clone()
		flipped.data[cut] ^= 0x5a
		l2, got := reopen(t, flipped, b.clone())
		if got["one"] != "1" && got["one"] != "new" {
			t.Fatalf("flipped at %d: %v", cut, got)
		}
		_ = l2.Put("three", []byte("3"))
		if err := l2.Flush(); err != nil {
			t.Fatal(err)
		}
		if _, got := reopen(t, flipped, b.clone()); got["three"] != "3" {
			t.Fatalf("flipped at %d: record written after it is lost: %v", cut, got)
		}
	}
}

func TestNoState(t *testing.T) {
	if _, _, _, err := Open(&memory{}, &memory{}); err == nil {
		t.Fatal("two empty files gave a state")
	}
}

func FuzzOpen(f *testing.F) {
	a, b := &memory{}, &memory{}
	l, _ := Create(a, b)
	_ = l.Put("k", []byte("v"))
	_ = l.Flush()
	f.Add(a.data, []byte{})
	f.Fuzz(func(t *testing.T, x, y []byte) {
		l, _, _, err := Open(&memory{x}, &memory{y})
		if err != nil {
			return
		}
		if err := l.Put("key", []byte("value")); err != nil {
			t.Fatal(err)
		}
		if err := l.Flush(); err != nil {
			t.Fatal(err)
		}
	})
}

// full is a file on a full file system.
type full struct{ memory }

func (f *full) WriteAt(p []byte, off int64) (int, error) { return 0, errors.New("no space left") }

func TestCopy(t *testing.T) {
	l, err := Create(&memory{}, &memory{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{}
	for i := range 50 {
		key := fmt.Sprintf("unit/%d", i%20)
		want[key] = fmt.Appendf(nil, "value %d", i)
		if err := l.Put(key, want[key]); err != nil {
			t.Fatal(err)
		}
	}
	delete(want, "unit/3")
	if err := errors.Join(l.Delete("unit/3"), l.Flush()); err != nil {
		t.Fatal(err)
	}
	var to memory
	if err := l.Copy(&to); err != nil {
		t.Fatal(err)
	}
	got, torn, err := Read(&to)
	if err != nil || torn != 0 {
		t.Fatalf("%d bytes torn, %v", torn, err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if _, torn, err := Read(&memory{to.data[:len(to.data)-3]}); err != nil || torn == 0 {
		t.Errorf("a short copy: %d bytes torn, %v", torn, err)
	}
	if _, _, err := Read(&memory{}); err == nil {
		t.Error("an empty copy was read")
	}
	to.data[4]++ // another version; the checksum of the header goes with it
	if _, _, err := Read(&to); err == nil {
		t.Error("a copy of another version was read")
	}
	if err := l.Copy(&full{}); err == nil {
		t.Error("a copy was made without space")
	}
}
