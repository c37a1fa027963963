// Package condition evaluates Condition…= and Assert…= settings (systemd.unit(5), "Conditions and Asserts").
//
// Every test reads the machine through a Facts value, below its Root, so that the same code serves the manager's workers, `musterctl analyze
// condition` and the tests. Tests that name a path may hang where the path does (NFS, FUSE): the manager never calls them on its loop; MayBlock
// tells which ones those are.
package condition

import (
	"fmt"
	"strings"

	"github.com/muster-init/muster/pkg/unit"
)

// Outcome of one condition as the Conditions property shows it.
const (
	NotTested int8 = 0
	Met       int8 = 1
	NotMet    int8 = -1
)

// test is one row: how the parameter is evaluated, and whether that may touch a path that hangs.
type test struct {
	run   func(f *Facts, param string) (bool, error)
	block bool
}

// tests is the one place where a condition is added. Keys are names without Condition or Assert in front.
var tests = map[string]test{
	"ACPower":                {testACPower, false},
	"Architecture":           {testArchitecture, false},
	"CPUFeature":             {testCPUFeature, false},
	"CPUPressure":            {pressure("cpu"), false},
	"CPUs":                   {testCPUs, false},
	"Capability":             {testCapability, false},
	"ControlGroupController": {testController, false},
	"Credential":             {testCredential, false},
	"DirectoryNotEmpty":      {testDirectoryNotEmpty, true},
	"Environment":            {testEnvironment, false},
	"FileIsExecutable":       {testFileIsExecutable, true},
	"FileNotEmpty":           {testFileNotEmpty, true},
	"Firmware":               {testFirmware, false},
	"FirstBoot":              {testFirstBoot, false},
	"Fraction":               {testFraction, true},
	"Group":                  {testGroup, true},
	"Host":                   {testHost, true},
	"IOPressure":             {pressure("io"), false},
	"KernelCommandLine":      {testKernelCommandLine, false},
	"KernelModuleLoaded":     {testKernelModuleLoaded, false},
	"KernelVersion":          {testKernelVersion, false},
	"MachineTag":             {testMachineTag, true},
	"Memory":                 {testMemory, false},
	"MemoryPressure":         {pressure("memory"), false},
	"NeedsUpdate":            {testNeedsUpdate, true},
	"Null":                   {testNull, false},
	"OSRelease":              {testOSRelease, true},
	"PathExists":             {testPathExists, true},
	"PathExistsGlob":         {testPathExistsGlob, true},
	"PathIsDirectory":        {testPathIsDirectory, true},
	"PathIsEncrypted":        {testPathIsEncrypted, true},
	"PathIsMountPoint":       {testPathIsMountPoint, true},
	"PathIsReadWrite":        {testPathIsReadWrite, true},
	"PathIsSocket":           {testPathIsSocket, true},
	"PathIsSymbolicLink":     {testPathIsSymbolicLink, true},
	"Security":               {testSecurity, false},
	"User":                   {testUser, true},
	"Version":                {testVersion, false},
	"Virtualization":         {testVirtualization, false},
}

// Kinds lists the names that can be tested, without Condition in front, in no order.
func Kinds() []string {
	out := make([]string, 0, len(tests))
	for k := range tests {
		out = append(out, k)
	}
	return out
}

// MayBlock reports whether testing any of the conditions can touch a foreign path and so must be done off the loop.
func MayBlock(list []unit.Condition) bool {
	for _, c := range list {
		if t, ok := tests[c.Kind()]; !ok || t.block {
			return true
		}
	}
	return false
}

// Test evaluates one condition with its negation. An error means that it could not be found out; the condition then counts as not met.
func Test(f *Facts, c unit.Condition) (bool, error) {
	t, ok := tests[c.Kind()]
	if !ok {
		return false, fmt.Errorf("%s: not a known condition", c.Type)
	}
	met, err := t.run(f, c.Param)
	if err != nil {
		return false, fmt.Errorf("%s=%s: %w", c.Type, c.Param, err)
	}
	return met != c.Negate, nil
}

// TestAll evaluates a list: all plain conditions and, if there are any with the | prefix, at least one of those must hold. Results has an outcome
// for each; failed is the text of the first one that decided against ("" if met).
func TestAll(f *Facts, list []unit.Condition) (met bool, results []int8, failed string) {
	results = make([]int8, len(list))
	met = true
	triggers, triggered := false, false
	firstTrigger := ""
	for i, c := range list {
		ok, err := Test(f, c)
		results[i] = NotMet
		if ok && err == nil {
			results[i] = Met
		}
		switch {
		case c.Trigger:
			triggers = true
			triggered = triggered || results[i] == Met
			if firstTrigger == "" {
				firstTrigger = Text(c)
			}
		case results[i] == NotMet && met:
			met, failed = false, Text(c)
		}
		if !met && !c.Trigger {
			break // what stands behind a plain condition that failed is not tested any more
		}
	}
	if met && triggers && !triggered {
		return false, results, firstTrigger
	}
	return met, results, failed
}

// Text is the condition as a message shows it: Name=[|][!]parameter.
func Text(c unit.Condition) string {
	var b strings.Builder
	b.WriteString(c.Type)
	b.WriteByte('=')
	if c.Trigger {
		b.WriteByte('|')
	}
	if c.Negate {
		b.WriteByte('!')
	}
	b.WriteString(c.Param)
	return b.String()
}
