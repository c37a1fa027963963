package manager

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"strings"

	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/manager/statelog"
)

// Prove is what a shadow of the next image does: it takes the state on descriptor 3 over in its own memory, and says on standard output whether this
// program could go on with it. It changes nothing and starts nothing. It returns the exit status.
func Prove(o Options) (status int) {
	defer func() {
		if r := recover(); r != nil {
			fmt.Printf("panic: %v\n", r)
			status = 3
		}
	}()
	if err := planted("prove"); err != nil {
		fmt.Println(err)
		return 1
	}
	units, jobs, err := prove(o)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Printf("%s units=%d jobs=%d\n", proofWord, units, jobs)
	return 0
}

func prove(o Options) (units, jobs int, err error) {
	debug.SetGCPercent(restorePercent)
	records, torn, err := statelog.Read(rawFile(proofStateFD))
	if err != nil {
		return 0, 0, err
	}
	if torn > 0 {
		return 0, 0, fmt.Errorf("the copy of the state is torn, %d bytes are left over", torn)
	}
	m := newManager(o)
	m.log.target = "null"
	m.console.path = ""
	if err := m.learnFacts(); err != nil {
		return 0, 0, err
	}
	if err := m.readConfiguration(); err != nil {
		return 0, 0, err
	}
	if err := m.proveShell(records); err != nil {
		return 0, 0, err
	}
	m.clocks = &clocks{m: m, zones: newZones()}
	m.makeEngine()
	if err := m.eng.Restore(records); err != nil {
		return 0, 0, err
	}
	if err := compare(m.eng, records); err != nil {
		return 0, 0, err
	}
	units, jobs = m.eng.Len()
	return units, jobs, nil
}

// proveShell reads the shell's own records and takes them out of records, without touching what they are about.
func (m *Manager) proveShell(records map[string][]byte) error {
	var s shellState
	if err := json.Unmarshal(records[keyShell], &s); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	var h handleState
	if err := json.Unmarshal(records[keyHandles], &h); err != nil {
		return fmt.Errorf("state: fd table: %w", err)
	}
	for key := range records {
		if strings.HasPrefix(key, keyShellPrefix) {
			delete(records, key)
		}
	}
	return nil
}

// compare wants every record to come out of the engine as it went in. Fields that this program adds are its own business; what the last image wrote has
// to be there. A unit whose name leads to another unit now is the fault of its file, and no reason to refuse the program.
func compare(e *engine.Engine, records map[string][]byte) error {
	var errs []error
	for key, was := range records {
		is := e.Record(key)
		if bytes.Equal(was, is) {
			continue
		}
		if name, ok := strings.CutPrefix(key, engine.UnitKey("")); ok {
			if u := e.Unit(name); u == nil || u.Name() != name {
				continue
			}
		}
		var a, b any
		if err := json.Unmarshal(was, &a); err != nil {
			errs = append(errs, fmt.Errorf("record %s: %w", key, err))
			continue
		}
		if is == nil || json.Unmarshal(is, &b) != nil {
			errs = append(errs, fmt.Errorf("record %s can't be taken over", key))
			continue
		}
		if at := missing(a, b, ""); at != "" {
			errs = append(errs, fmt.Errorf("record %s: %s would be lost", key, at))
		}
		if len(errs) > 3 {
			break
		}
	}
	return errors.Join(errs...)
}

// missing finds what of was isn't in is: the path of the first field, "" if there is none. Empty values count as absent ones.
func missing(was, is any, path string) string {
	switch a := was.(type) {
	case map[string]any:
		b, ok := is.(map[string]any)
		if !ok && len(a) > 0 {
			return path
		}
		for name, x := range a {
			if at := missing(x, b[name], path+"."+name); at != "" {
				return at
			}
		}
		return ""
	case []any:
		b, _ := is.([]any)
		if len(a) != len(b) {
			return path
		}
		for i := range a {
			if at := missing(a[i], b[i], fmt.Sprintf("%s[%d]", path, i)); at != "" {
				return at
			}
		}
		return ""
	}
	if was == nil || reflect.ValueOf(was).IsZero() {
		return ""
	}
	if was != is {
		return path
	}
	return ""
}
