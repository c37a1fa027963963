package ctl

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
)

// absentVerbs are verbs of systemd-analyze(1) that musterctl doesn't have, with the reason. They fail with it.
//
// DEVIATION: `analyze malloc, inspect-elf, dlopen-metadata, image-policy, pcrs, srk, chid` are refused with the reason: they are about glibc's allocator, the ELF notes
// of packages, partition policies and TPM state, which other tools show.
var absentVerbs = map[string]string{
	"malloc":          "it shows the state of glibc's allocator, which muster doesn't use",
	"inspect-elf":     "it prints the package notes of programs: use 'readelf --notes'",
	"dlopen-metadata": "it prints notes of programs about optional libraries: use 'readelf --notes'",
	"image-policy":    "policies for the partitions of disk images are checked when an image is mounted",
	"pcrs":            "muster measures nothing into a TPM: use 'tpm2_pcrread'",
	"srk":             "muster has no storage root key: use 'tpm2_readpublic'",
	"chid":            "hardware ids are for boot loaders: use 'fwupdtool hwids'",
}

func absentVerb(name string) func(a *analyze, args []string) int {
	return func(a *analyze, _ []string) int {
		a.errorf("Verb '%s' is not supported: %s.", name, absentVerbs[name])
		return exitFailure
	}
}

// analyzeSMBIOS11 is smbios11: the strings that a virtual machine's host has passed in.
func analyzeSMBIOS11(a *analyze, _ []string) int {
	tables, err := filepath.Glob(a.path("/sys/firmware/dmi/entries/11-*/raw"))
	if err != nil {
		tables = nil
	}
	var list []string
	for _, t := range tables {
		raw, err := os.ReadFile(t)
		if err != nil {
			a.errorf("Failed to read SMBIOS Type #11 string: %s", errnoText(err))
			return exitFailure
		}
		list = append(list, smbiosStrings(raw)...)
	}
	if strings.HasPrefix(a.o.output, "json") {
		a.printf("%s\n", formatJSON(jsonObject{{"strings", list}}, a.o.output == "json-pretty"))
		return 0
	}
	for _, s := range list {
		a.printf("%s\n", s)
	}
	if len(list) == 0 && !a.o.quiet {
		a.notef("No SMBIOS Type #11 strings passed.")
	}
	return 0
}

// smbiosStrings gives the strings behind a table's formatted part, whose length is its second byte: each ends in a zero, the last in two.
func smbiosStrings(raw []byte) []string {
	if len(raw) < 5 || int(raw[1]) > len(raw) {
		return nil
	}
	var list []string
	for _, s := range bytes.Split(raw[raw[1]:], []byte{0}) {
		if len(s) == 0 {
			break
		}
		list = append(list, string(s))
	}
	return list
}

// analyzeTPM2 is has-tpm2: what there is of a TPM. The exit status has a bit for each part that is missing.
//
// DEVIATION: `analyze has-tpm2` says -libraries: muster uses no TPM library.
func analyzeTPM2(a *analyze, _ []string) int {
	exists := func(pattern string) bool {
		list, err := filepath.Glob(a.path(pattern))
		return err == nil && len(list) > 0
	}
	parts := []struct {
		name string
		has  bool
		bit  int
	}{
		{"firmware", exists("/sys/firmware/acpi/tables/TPM2"), 1}, {"driver", exists("/sys/class/tpmrm/*"), 2}, {"system", false, 4},
		{"subsystem", exists("/sys/class/tpmrm"), 8}, {"libraries", false, 16},
	}
	status, word := 0, "partial"
	for _, p := range parts {
		if !p.has {
			status |= p.bit
		}
	}
	if status == 31 {
		word = "no"
	}
	if a.o.quiet {
		return status
	}
	a.printf("%s\n", a.in(colorBrightYellow, word))
	for _, p := range parts {
		sign, c := "-", colorGrey
		if p.has {
			sign, c = "+", colorGreen
		}
		a.printf("%s\n", a.in(c, sign+p.name))
	}
	return status
}
