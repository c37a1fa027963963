package execplan

import (
	"strconv"
	"strings"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/execplan/seccomp"
	"github.com/muster-init/muster/pkg/unit"
)

// filtersMax bounds a FilterCache. A machine has few distinct settings: most packages say @system-service.
const filtersMax = 64

// FilterCache remembers the programs of system call filters by what they were made from, because making one takes a millisecond and a hundred units
// ask for the same. The zero value is ready; a nil cache remembers nothing.
type FilterCache struct {
	code map[string][]plan.Insn
}

// Clear forgets everything.
func (c *FilterCache) Clear() { clear(c.code) }

// get gives the program for a key, which make makes if it isn't known. The program is shared: nobody changes it.
func (c *FilterCache) get(key string, make func() ([]seccomp.Insn, error)) ([]plan.Insn, error) {
	if c != nil {
		if code, ok := c.code[key]; ok {
			return code, nil
		}
	}
	program, err := make()
	if err != nil {
		return nil, err
	}
	code := convert(program)
	if c == nil {
		return code, nil
	}
	if c.code == nil || len(c.code) >= filtersMax {
		c.code = map[string][]plan.Insn{}
	}
	c.code[key] = code
	return code, nil
}

func convert(program []seccomp.Insn) []plan.Insn {
	code := make([]plan.Insn, len(program))
	for i, in := range program {
		code[i] = plan.Insn(in)
	}
	return code
}

// filterInput is what the program of a list setting depends on.
func filterInput(f unit.FilterList, number int32) string {
	return strconv.FormatBool(f.Allow) + " " + strconv.Itoa(int(number)) + " " + strings.Join(f.Names, " ")
}
