package execplan

import (
	"errors"
	"fmt"
	"testing"

	"github.com/muster-init/muster/pkg/execplan/seccomp"
	"github.com/muster-init/muster/pkg/unit"
)

func TestFilterCache(t *testing.T) {
	var c FilterCache
	made := 0
	program := func() ([]seccomp.Insn, error) { made++; return make([]seccomp.Insn, made), nil }
	first, _ := c.get("a", program)
	again, _ := c.get("a", program)
	if made != 1 || &first[0] != &again[0] {
		t.Errorf("made %d times", made)
	}
	if other, _ := c.get("b", program); len(other) != 2 {
		t.Errorf("another key has the program of the first: %v", other)
	}
	if _, err := c.get("bad", func() ([]seccomp.Insn, error) { return nil, errors.New("no such call") }); err == nil {
		t.Error("an error is lost")
	}
	for i := range 10 * filtersMax {
		if _, err := c.get(fmt.Sprint(i), program); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.code) > filtersMax {
		t.Errorf("%d programs are kept", len(c.code))
	}
	if code, err := (*FilterCache)(nil).get("a", program); err != nil || len(code) == 0 {
		t.Errorf("no cache: %v, %v", code, err)
	}
}

func TestFilterInput(t *testing.T) {
	base := unit.FilterList{Set: true, Allow: true, Names: []string{"read", "write"}}
	seen := map[string]bool{filterInput(base, 0): true}
	for _, other := range []struct {
		list   unit.FilterList
		number int32
	}{
		{unit.FilterList{Set: true, Names: base.Names}, 0},
		{unit.FilterList{Set: true, Allow: true, Names: []string{"read"}}, 0},
		{unit.FilterList{Set: true, Allow: true, Names: []string{"write", "read"}}, 0},
		{base, 1},
	} {
		in := filterInput(other.list, other.number)
		if seen[in] {
			t.Errorf("%v %d looks like another", other.list, other.number)
		}
		seen[in] = true
	}
}
