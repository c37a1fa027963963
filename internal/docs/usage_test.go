package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/muster-init/muster/pkg/unit"
)

// usedElsewhere are directives that are read by another name than their own,
// with where.
var usedElsewhere = map[string]string{
	"Documentation":     "shown on the bus and by status",
	"StandardInputText": "StandardInputData",
	"BindReadOnlyPaths": "BindPaths",
	"TimeoutSec":        "TimeoutStartUSec and TimeoutStopUSec",
	"CPUAccounting":     "counting CPU time costs nothing and is always on",
}

// TestFullMeansUsed: the table can't claim an effect of a setting nobody reads.
func TestFullMeansUsed(t *testing.T) {
	source := programText(t)
	for _, r := range unit.Rows() {
		// Defaults of units reach them through unit.NewDefaults.
		inherited := r.In == unit.InManager && strings.HasPrefix(r.Name, "Default")
		if (r.Status != unit.Full && r.Status != unit.Partial) || r.Alias || usedElsewhere[r.Name] != "" || inherited {
			continue
		}
		used := false
		for _, c := range fieldNames(r) {
			used = used || regexp.MustCompile(regexp.QuoteMeta(c)).MatchString(source)
		}
		if !used {
			t.Errorf("[%s] %s= is %v, but nothing outside pkg/unit reads it", strings.Join(r.In.Names(), ","), r.Name, r.Status)
		}
	}
}

// fieldNames are how programs can name what a row sets.
func fieldNames(r *unit.Row) []string {
	name := r.Name
	if strings.HasPrefix(name, "Limit") {
		return []string{".Limits"}
	}
	for _, suffix := range []string{"Mode", "Quota", "Accounting"} {
		if dir, ok := strings.CutSuffix(name, "Directory"+suffix); ok && dir != "" {
			return []string{"." + dir + "Directory"}
		}
	}
	if _, ok := unit.DepTypeFromString(name); ok {
		return []string{"Dep" + name}
	}
	// Lists of which each row adds one kind of entry.
	for _, list := range []struct {
		in            unit.Sections
		prefix, field string
	}{{unit.InTimer, "On", ".Timers"}, {unit.InSocket, "Listen", ".Listen"}} {
		if r.In == list.in && strings.HasPrefix(name, list.prefix) {
			return []string{list.field}
		}
	}
	for _, prefix := range []string{"Condition", "Assert"} {
		if test, ok := strings.CutPrefix(name, prefix); ok {
			return []string{`"` + test + `"`}
		}
	}
	switch {
	case r.In == unit.InTimer && strings.HasPrefix(name, "On") && !strings.HasSuffix(name, "Change"):
		return []string{`"` + strings.TrimSuffix(strings.TrimPrefix(name, "On"), "Sec") + `"`} // TimerSpec.Base
	case r.In == unit.InPath && strings.Contains(r.Example, "/"):
		return []string{`"` + name + `"`} // PathSpec.Type
	}
	names := []string{"." + name}
	if base, ok := strings.CutSuffix(name, "Sec"); ok {
		names = append(names, "."+base+"USec")
	}
	if r.Prop != "" {
		names = append(names, "."+r.Prop)
	}
	return names
}

// programText is the source of everything but pkg/unit, without tests.
func programText(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, root := range []string{"../../pkg", "../../cmd"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && path == filepath.Join(root, "unit"):
				return filepath.SkipDir
			case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
				return nil
			}
			text, err := os.ReadFile(path)
			b.Write(text)
			return err
		})
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	return b.String()
}
