package generators

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/muster-init/muster/pkg/unit/value"
)

// A testCase is one run of one generator. Files of testdata hold many of them, each from a line `case NAME` on:
//
//	case bind                      a name, unique in the file
//	generator NAME                 of the program (the base name; default: the file's name as systemd-NAME-generator)
//	cmdline TEXT                   the kernel command line
//	env KEY=VALUE                  an environment variable (container…= and SYSTEMD_GETTY_AUTO= are those of PID 1)
//	container NAME                 it runs in a container of that manager
//	file PATH [MODE]               a file below the root; its lines follow, each after a tab
//	link PATH TARGET · dir PATH · tty PATH
//	want                           the result as real systemd gave it, each line after a tab
type testCase struct {
	name, generator, cmdline string
	env                      []string
	entries                  []entry
	container                string // its manager; "" is a machine
	want                     []string
}

// entry is something that exists when the generator runs.
type entry struct {
	kind, path, arg string // arg: mode of a file, target of a link
	lines           []string
}

func (e entry) content() string {
	text := strings.Join(e.lines, "\n")
	if len(e.lines) > 0 {
		text += "\n"
	}
	return text
}

func readCases(path string) ([]*testCase, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var list []*testCase
	var c *testCase
	var lines *[]string
	base := strings.TrimSuffix(filepath.Base(path), ".cases")
	for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		if rest, ok := strings.CutPrefix(line, "\t"); ok && lines != nil {
			*lines = append(*lines, rest)
			continue
		}
		lines = nil
		word, rest, _ := strings.Cut(line, " ")
		if word == "" || strings.HasPrefix(word, "#") {
			continue
		}
		if word == "case" {
			c = &testCase{name: rest, generator: "systemd-" + base + "-generator"}
			list = append(list, c)
			continue
		}
		if c == nil {
			return nil, fmt.Errorf("%s:%d: stands before the first case", path, i+1)
		}
		switch word {
		case "generator":
			c.generator = rest
		case "cmdline":
			c.cmdline = rest
		case "env":
			c.env = append(c.env, rest)
		case "file", "link", "dir", "tty":
			name, arg, _ := strings.Cut(rest, " ")
			c.entries = append(c.entries, entry{kind: word, path: name, arg: arg})
			lines = &c.entries[len(c.entries)-1].lines
		case "container":
			c.container = rest
			c.entries = append(c.entries, entry{kind: "file", path: "run/systemd/container", lines: []string{rest}})
			c.env = append(c.env, "SYSTEMD_VIRTUALIZATION=container:"+rest)
		case "want":
			lines = &c.want
		default:
			return nil, fmt.Errorf("%s:%d: unknown word %q", path, i+1, word)
		}
	}
	return list, nil
}

// record writes the wanted results of list into the file: what stands there behind `want` is replaced, everything else is kept.
func record(path string, list []*testCase) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var out []string
	next, skip := 0, false
	flush := func() {
		if next > 0 {
			out = append(out, "want")
			for _, line := range list[next-1].want {
				out = append(out, "\t"+line)
			}
		}
	}
	for _, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		if skip && strings.HasPrefix(line, "\t") {
			continue
		}
		skip = line == "want"
		if skip {
			continue
		}
		if strings.HasPrefix(line, "case ") {
			for len(out) > 0 && out[len(out)-1] == "" {
				out = out[:len(out)-1]
			}
			flush()
			if next > 0 {
				out = append(out, "")
			}
			next++
		}
		out = append(out, line)
	}
	for len(out) > 0 && out[len(out)-1] == "" {
		out = out[:len(out)-1]
	}
	flush()
	return os.WriteFile(path, []byte(strings.Join(out, "\n")+"\n"), 0o644)
}

// lay puts the entries of a case below root. ttys are returned: they need a mount.
func (c *testCase) lay(root string) (ttys []string, err error) {
	for _, e := range append(common(), c.entries...) {
		path := filepath.Join(root, e.path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		switch e.kind {
		case "file":
			mode := os.FileMode(0o644)
			if e.arg == "755" {
				mode = 0o755
			}
			_ = os.Remove(path)
			if err := os.WriteFile(path, []byte(e.content()), mode); err != nil {
				return nil, err
			}
		case "link":
			_ = os.Remove(path)
			if err := os.Symlink(e.arg, path); err != nil {
				return nil, err
			}
		case "dir":
			if err := os.MkdirAll(path, 0o755); err != nil {
				return nil, err
			}
		case "tty":
			ttys = append(ttys, e.path)
		}
	}
	return ttys, nil
}

// common is what all cases have: programs that generators look for.
func common() []entry {
	var list []entry
	for _, path := range []string{"usr/sbin/fsck.ext4", "usr/sbin/fsck.vfat", "usr/lib/systemd/systemd-fsck", "usr/bin/systemd-cryptsetup", "usr/lib/systemd/systemd-veritysetup",
		"usr/lib/systemd/systemd-integritysetup", "usr/lib/systemd/systemd-hibernate-resume", "usr/lib/systemd/systemd-makefs", "usr/lib/systemd/systemd-xdg-autostart-condition"} {
		list = append(list, entry{kind: "file", path: path, arg: "755", lines: []string{"#!/bin/sh"}})
	}
	return list
}

// result reads what a generator wrote below out (with the directories normal, early and late) as a sorted list of settings and links, without
// what is there for people only.
func result(out string, exit int) ([]string, error) {
	var list []string
	if exit != 0 {
		list = append(list, fmt.Sprintf("exit %d", exit))
	}
	err := filepath.Walk(out, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		name := strings.TrimPrefix(path, out+"/")
		if info.Mode()&os.ModeSymlink != 0 {
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			if !filepath.IsAbs(target) {
				target = filepath.Join("/out", filepath.Dir(name), target)
			}
			target = strings.TrimPrefix(target, "/out/")
			list = append(list, name+" -> "+target)
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		settings := settings(string(text))
		for _, s := range settings {
			list = append(list, name+" "+s)
		}
		if len(settings) == 0 {
			list = append(list, name+" empty")
		}
		return nil
	})
	sort.Strings(list)
	return slices.Compact(list), err
}

// splitKeys are settings whose values are lists in which the order has no meaning.
var splitKeys = map[string]bool{"After": true, "Before": true, "Wants": true, "Requires": true, "BindsTo": true, "Conflicts": true, "PartOf": true, "WantedBy": true,
	"RequiresMountsFor": true, "WantsMountsFor": true}

func settings(text string) []string {
	var list []string
	section := ""
	for _, line := range strings.Split(strings.ReplaceAll(text, "\\\n", " "), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' {
			section = line
			continue
		}
		key, text, _ := strings.Cut(line, "=")
		if key == "Where" && text != "/" {
			text = strings.TrimSuffix(text, "/")
		}
		switch {
		case key == "Description" || key == "Documentation":
		case strings.HasPrefix(key, "Exec"):
			// Quotes and escapes may differ where they mean the same.
			if words, err := value.SplitWords(text, "", value.WordUnquote|value.WordCUnescape); err == nil {
				text = value.QuoteWords(words)
			}
			list = append(list, section+key+"="+text)
		case splitKeys[key]:
			for _, v := range strings.Fields(text) {
				list = append(list, section+key+"="+v)
			}
		default:
			list = append(list, section+key+"="+text)
		}
	}
	return list
}

func allCases(t *testing.T) map[string][]*testCase {
	t.Helper()
	files, err := filepath.Glob("testdata/*.cases")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases:", err)
	}
	all := map[string][]*testCase{}
	for _, f := range files {
		list, err := readCases(f)
		if err != nil {
			t.Fatal(err)
		}
		all[f] = list
	}
	return all
}
