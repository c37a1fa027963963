// Package sysv makes services of the scripts in /etc/init.d that have no unit of their own, as systemd-sysv-generator(8) describes: the LSB header
// gives the order, links in /etc/rcN.d say in which target a service is wanted.
//
// Invariants:
//  1. A script never replaces a unit: everything goes to the directory of the lowest precedence, and a name that a unit file has is left alone.
//  2. A service wins over a name that another one only claims to provide.
package sysv

import (
	"sort"
	"strings"

	"github.com/muster-init/muster/pkg/generator/output"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// Input is all that the result depends on.
type Input struct {
	Scripts []Script // executables, those of a directory that comes first before others of the same name
	Links   []Link
	// HasUnit reports a unit file of that name; nil means there is none.
	HasUnit func(name string) bool
}

// Script is a file of /etc/init.d.
type Script struct{ Name, Path, Text string }

// Link is an entry of one of the directories /etc/rcN.d.
type Link struct {
	Runlevel int // 1 to 5
	Name     string
}

const name = "systemd-sysv-generator"

type service struct {
	*header
	unit, path string
	priority   int // of the links, -1 for none
	wantedBy   []string
}

// targets are what became of the runlevels.
var targets = map[int]string{1: "rescue.target", 2: "multi-user.target", 3: "multi-user.target", 4: "multi-user.target", 5: "graphical.target"}

// facilities are the units that the names with a dollar sign stand for; "" is what needs no ordering any more.
var facilities = map[string]string{
	"local_fs": "", "syslog": "", "network": "network-online.target", "named": "nss-lookup.target", "portmap": "rpcbind.target",
	"remote_fs": "remote-fs.target", "time": "time-sync.target",
}

// Generate makes the services.
func Generate(in Input) *output.Tree {
	t := &output.Tree{}
	services := map[string]*service{}
	for _, s := range in.Scripts {
		file, _, err := unit.Mangle(strings.TrimSuffix(s.Name, ".sh"), ".service", 0)
		if err != nil || !strings.HasSuffix(file, ".service") {
			t.Warn("%s: the name makes no service, ignored", s.Path)
			continue
		}
		if services[file] == nil && (in.HasUnit == nil || !in.HasUnit(file)) {
			services[file] = &service{header: parse(s.Text), unit: file, path: s.Path, priority: -1}
		}
	}
	links(in.Links, services)
	list := make([]*service, 0, len(services))
	for _, s := range services {
		list = append(list, s)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].unit < list[j].unit })
	for _, s := range list {
		if err := t.Write(output.Late, s.unit, s.text(list, t)); err != nil {
			t.Fail("%s: %v", s.path, err)
			continue
		}
		for _, target := range s.wantedBy {
			if err := t.Pull(output.Late, target, "wants", s.unit); err != nil {
				t.Fail("%s: %v", s.path, err)
			}
		}
	}
	for _, s := range list {
		s.aliases(t, services, in.HasUnit)
	}
	return t
}

// links reads the links of the runlevels: S, two digits, the name of a script.
func links(list []Link, services map[string]*service) {
	for _, l := range list {
		if len(l.Name) < 4 || l.Name[0] != 'S' || strings.Trim(l.Name[1:3], "0123456789") != "" {
			continue
		}
		file, _, err := unit.Mangle(strings.TrimSuffix(l.Name[3:], ".sh"), ".service", 0)
		s := services[file]
		if err != nil || s == nil || targets[l.Runlevel] == "" {
			continue
		}
		s.priority = max(s.priority, int(l.Name[1]-'0')*10+int(l.Name[2]-'0'))
		s.wantedBy = add(s.wantedBy, targets[l.Runlevel])
	}
}

func add(list []string, what string) []string {
	for _, l := range list {
		if l == what {
			return list
		}
	}
	return append(list, what)
}

func (s *service) text(all []*service, t *output.Tree) *output.Unit {
	u := output.NewUnit(name)
	u.Set("Unit", "SourcePath", s.path)
	if s.description != "" {
		u.Set("Unit", "Description", s.description)
	}
	before, after, wants := append([]string(nil), s.wantedBy...), []string(nil), []string(nil)
	for _, word := range s.after {
		if n := s.facility(word, t); n != "" {
			after = add(after, n)
			if n == "network-online.target" {
				wants = add(wants, n)
			}
		}
	}
	for _, word := range s.before {
		if n := s.facility(word, t); n != "" {
			before = add(before, n)
		}
	}
	for _, word := range s.provides {
		// Whoever provides a target must be up before it, and nobody else starts it.
		n := s.facility(word, t)
		if !strings.HasPrefix(word, "$") || n == "" {
			continue
		}
		before, wants = add(before, n), add(wants, n)
		if n == "network-online.target" {
			before, wants = add(before, "network.target"), add(wants, "network.target")
		}
	}
	for _, o := range all {
		// The numbers of the links count where one of the two doesn't say what it needs.
		if o == s || o.lsb && s.lsb || o.priority < 0 || s.priority < 0 || o.priority == s.priority {
			continue
		}
		if s.priority < o.priority {
			before = add(before, o.unit)
		} else {
			after = add(after, o.unit)
		}
	}
	for _, d := range []struct {
		key  string
		list []string
	}{{"Before", before}, {"After", after}, {"Wants", wants}} {
		for _, n := range d.list {
			u.Set("Unit", d.key, n)
		}
	}
	s.service(u)
	return u
}

func (s *service) service(u *output.Unit) {
	set := func(key, v string) { u.Set("Service", key, v) }
	set("Type", "forking")
	set("Restart", "no")
	set("TimeoutSec", "5min")
	set("IgnoreSIGPIPE", "no")
	set("KillMode", "process")
	set("GuessMainPID", "no")
	if s.pidFile == "" {
		set("RemainAfterExit", "yes") // nobody knows whether anything of it runs
	} else {
		set("RemainAfterExit", "no")
		set("PIDFile", s.pidFile)
	}
	if s.lsb {
		set("SuccessExitStatus", "5 6") // not installed, not configured
	}
	program := strings.ReplaceAll(value.QuoteWord(s.path), "$", "$$")
	set("ExecStart", program+" start")
	set("ExecStop", program+" stop")
	if s.reload {
		set("ExecReload", program+" reload")
	}
}

// facility is the unit that a word of the header stands for, "" for none that matters.
func (s *service) facility(word string, t *output.Tree) string {
	text := word
	suffix := ".service"
	if f, ok := strings.CutPrefix(word, "$"); ok {
		if known, has := facilities[f]; has {
			return known
		}
		text, suffix = f, ".target"
	}
	n, _, err := unit.Mangle(strings.TrimSuffix(text, ".sh"), suffix, 0)
	if err != nil {
		t.Warn("%s: %q: %v, ignored", s.path, word, err)
		return ""
	}
	if n == s.unit {
		return ""
	}
	return n
}

// aliases lets the service answer to the other names it provides, unless something else has them.
func (s *service) aliases(t *output.Tree, services map[string]*service, hasUnit func(string) bool) {
	for _, word := range s.provides {
		if strings.HasPrefix(word, "$") {
			continue
		}
		n := s.facility(word, t)
		if n == "" || services[n] != nil || !strings.HasSuffix(n, ".service") || hasUnit != nil && hasUnit(n) {
			continue
		}
		if err := t.AliasOwn(output.Late, n, s.unit); err != nil {
			t.Warn("%s: %v", s.path, err)
		}
	}
}
