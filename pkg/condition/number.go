package condition

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/cgroup"
	"github.com/muster-init/muster/pkg/unit/value"
)

// operators in the order in which they are looked for: the longer first.
var operators = []string{"!$=", "$=", "<=", ">=", "!=", "<>", "==", "=", "<", ">"}

func splitOperator(s string) (op, rest string) {
	for _, o := range operators {
		if r, ok := strings.CutPrefix(s, o); ok {
			return o, strings.TrimSpace(r)
		}
	}
	return "", s
}

func ordered(op string, cmp int) bool {
	switch op {
	case "<":
		return cmp < 0
	case "<=":
		return cmp <= 0
	case "=", "==":
		return cmp == 0
	case "!=", "<>":
		return cmp != 0
	case ">=":
		return cmp >= 0
	}
	return cmp > 0
}

func order[T uint64 | int](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func testCPUs(_ *Facts, p string) (bool, error) {
	op, rest := splitOperator(strings.TrimSpace(p))
	if op == "" {
		op = ">="
	}
	want, err := strconv.ParseUint(rest, 10, 32)
	if err != nil {
		return false, fmt.Errorf("%q is not a number of CPUs", rest)
	}
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return false, err
	}
	return ordered(op, order(uint64(set.Count()), want)), nil
}

func testMemory(f *Facts, p string) (bool, error) {
	op, rest := splitOperator(strings.TrimSpace(p))
	if op == "" {
		op = ">="
	}
	want, err := value.ParseSize(rest, 1024)
	if err != nil {
		return false, err
	}
	have, err := f.memory()
	return ordered(op, order(have, want)), err
}

// memory is the physical memory in bytes, or the limit of the manager's own cgroup where that is lower.
func (f *Facts) memory() (uint64, error) {
	info, err := f.read("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	var total uint64
	for _, line := range strings.Split(info, "\n") {
		if v, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			n, _ := parseUint(strings.TrimSuffix(strings.TrimSpace(v), "kB"))
			total = n * 1024
		}
	}
	if f.CgroupRoot != "" {
		if data, err := os.ReadFile(filepath.Join(f.CgroupRoot, "memory.max")); err == nil {
			if n, ok := parseUint(string(data)); ok && n < total {
				total = n
			}
		}
	}
	return total, nil
}

func testKernelVersion(f *Facts, p string) (bool, error) { return versions(f.kernel(), p) }

// testVersion has the form "[kernel|systemd|glibc] expressions"; without a word the kernel is meant.
func testVersion(f *Facts, p string) (bool, error) {
	word, rest, _ := strings.Cut(strings.TrimSpace(p), " ")
	switch word {
	case "systemd":
		return versions(f.Version, rest)
	case "kernel":
		return versions(f.kernel(), rest)
	case "glibc":
		return false, errors.New("this program is static: there is no glibc to compare with")
	}
	return versions(f.kernel(), p)
}

// versions holds if every expression of the list does. An expression is an operator and a version, or a glob.
func versions(have, list string) (bool, error) {
	fields := strings.Fields(list)
	if len(fields) == 0 {
		return false, errors.New("no version given")
	}
	for i := 0; i < len(fields); i++ {
		expr := fields[i]
		if op, rest := splitOperator(expr); op != "" && rest == "" && i+1 < len(fields) {
			i++
			expr += fields[i]
		}
		ok, err := compareExpression(have, expr)
		if err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

// compareExpression evaluates "OP value" on a string: =, != as text for = $= !$= with globs, the rest in version order.
func compareExpression(have, expr string) (bool, error) {
	op, want := splitOperator(expr)
	want = unquote(want)
	switch op {
	case "", "$=":
		return path.Match(want, have)
	case "!$=":
		ok, err := path.Match(want, have)
		return !ok, err
	case "=":
		if strings.ContainsAny(want, "*?[") {
			return path.Match(want, have)
		}
		return have == want, nil
	case "!=":
		if strings.ContainsAny(want, "*?[") {
			ok, err := path.Match(want, have)
			return !ok, err
		}
		return have != want, nil
	}
	return ordered(op, value.CompareVersions(have, want)), nil
}

func testOSRelease(f *Facts, p string) (bool, error) {
	fields, err := f.osRelease()
	if err != nil {
		return false, err
	}
	words, err := value.SplitWords(p, " \t", value.WordUnquote)
	if err != nil {
		return false, err
	}
	if len(words) == 0 {
		return false, errors.New("no expression given")
	}
	for _, w := range words {
		i := strings.IndexAny(w, "=<>!$")
		if i <= 0 {
			return false, fmt.Errorf("%q has no operator", w)
		}
		ok, err := compareExpression(fields[strings.TrimSpace(w[:i])], w[i:])
		if err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

// pressure reads the pressure stall information of the system, or of a slice ("slice: percent/span").
func pressure(resource string) func(*Facts, string) (bool, error) {
	return func(f *Facts, p string) (bool, error) {
		file, rest := f.path("/proc/pressure/"+resource), p
		if slice, r, ok := strings.Cut(p, ":"); ok {
			dir, err := cgroup.SlicePath(strings.TrimSpace(slice))
			if err != nil {
				return false, err
			}
			file, rest = filepath.Join(f.CgroupRoot, dir, resource+".pressure"), r
		}
		percent, span, _ := strings.Cut(strings.TrimSpace(rest), "/")
		limit, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(percent), "%"), 64)
		if err != nil {
			return false, fmt.Errorf("%q is not a percentage", percent)
		}
		window := map[string]string{"10sec": "avg10", "1min": "avg60", "5min": "avg300", "": "avg300"}[strings.TrimSpace(span)]
		if window == "" {
			return false, fmt.Errorf("%q is not 10sec, 1min or 5min", span)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return true, nil // no pressure information: the condition is taken as met
		}
		kind := "some"
		for _, line := range strings.Split(string(data), "\n") {
			if !strings.HasPrefix(line, kind) {
				continue
			}
			for _, field := range strings.Fields(line) {
				if v, ok := strings.CutPrefix(field, window+"="); ok {
					have, err := strconv.ParseFloat(v, 64)
					return have <= limit, err
				}
			}
		}
		return true, nil
	}
}

// testFraction puts a machine into a stable percentile by its machine ID and a tag.
func testFraction(f *Facts, p string) (bool, error) {
	fields := strings.Fields(p)
	if len(fields) == 0 || len(fields) > 2 {
		return false, errors.New("expected an optional tag and a percentage")
	}
	limit, err := strconv.ParseFloat(strings.TrimSuffix(fields[len(fields)-1], "%"), 64)
	if err != nil {
		return false, fmt.Errorf("%q is not a percentage", fields[len(fields)-1])
	}
	id, err := f.read("/etc/machine-id")
	if err != nil {
		return false, err
	}
	mac := hmac.New(sha256.New, []byte(id))
	if len(fields) == 2 {
		mac.Write([]byte(fields[0]))
	}
	share := float64(binary.BigEndian.Uint64(mac.Sum(nil))>>11) / (1 << 53) * 100
	return share < limit, nil
}

func testMachineTag(f *Facts, p string) (bool, error) {
	data, err := f.read("/etc/machine-info")
	if err != nil {
		return false, nil
	}
	for _, line := range strings.Split(data, "\n") {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "TAGS="); ok {
			for _, tag := range strings.FieldsFunc(unquote(v), func(r rune) bool { return r == ' ' || r == ':' }) {
				if ok, err := path.Match(p, tag); ok || err != nil {
					return ok, err
				}
			}
		}
	}
	return false, nil
}
