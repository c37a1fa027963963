package busapi

import (
	"os"
	"strings"
	"testing"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/unit"
)

// absent are members that systemd 257 has and we don't, with the reason.
var absent = map[string]string{}

// member is one row of testdata/members.tsv: every member of the interfaces of systemd 257, with signatures.
type member struct{ iface, kind, name, in, out string }

func readMembers(t *testing.T) []member {
	t.Helper()
	b, err := os.ReadFile("testdata/members.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var list []member
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n")[1:] {
		f := strings.Split(line, "\t")
		list = append(list, member{f[0], f[1], f[2], f[3], f[4]})
	}
	return list
}

// interfaces are ours by the name the table has them under: a unit type's has the members of org.freedesktop.systemd1.Unit in a table of their own.
func interfaces() map[string]*iface {
	all := map[string]*iface{"Manager": managerInterface(), "Unit": unitInterface(), "Job": jobInterface()}
	for _, t := range unit.Types() {
		name := t.String()
		all[strings.ToUpper(name[:1])+name[1:]] = typeInterface(t)
	}
	return all
}

// TestMembersOfSystemd looks for every member that systemd 257 has, and compares signatures.
func TestMembersOfSystemd(t *testing.T) {
	ours := interfaces()
	found := map[string]bool{}
	for _, m := range readMembers(t) {
		key := m.iface + "." + m.name
		i := ours[m.iface]
		if i == nil {
			t.Errorf("interface %s is missing", m.iface)
			continue
		}
		in, out, there := i.find(m)
		if m.kind == "signal" {
			m.in, m.out, in = "", m.in+m.out, ""
		}
		switch {
		case !there && absent[key] == "":
			t.Errorf("%s %s is missing (%s → %s)", m.kind, key, m.in, m.out)
		case there && (in != m.in || out != m.out):
			t.Errorf("%s %s has %s → %s, want %s → %s", m.kind, key, in, out, m.in, m.out)
		}
		found[key] = found[key] || there
	}
	if len(found) < 1800 {
		t.Errorf("only %d members were looked for", len(found))
	}
	for key := range absent {
		there, known := found[key]
		switch {
		case !known:
			t.Errorf("%s is listed as absent, but systemd hasn't got it", key)
		case there:
			t.Errorf("%s is listed as absent, but it is there", key)
		}
	}
}

// find gives the signatures of a member.
func (i *iface) find(m member) (in, out string, there bool) {
	switch m.kind {
	case "method":
		if x := i.byMethod[m.name]; x != nil {
			return x.in, x.out, true
		}
	case "property":
		if x := i.byProp[m.name]; x != nil {
			return "", x.sig, true
		}
	case "signal":
		for _, x := range i.signals {
			if x.Name == m.name {
				for _, a := range x.Args {
					out += a.Type
				}
				return m.in, out, true
			}
		}
	}
	return "", "", false
}

// TestAuthorization: what anybody may call over the message bus is exactly this; all else is for root and the manager's own user.
func TestAuthorization(t *testing.T) {
	const anybody = `Dump DumpByFileDescriptor DumpUnitsMatchingPatterns DumpUnitsMatchingPatternsByFileDescriptor GetDefaultTarget GetJob GetJobAfter
		GetJobBefore GetUnit GetUnitByControlGroup GetUnitByInvocationID GetUnitByPID GetUnitByPIDFD GetUnitFileLinks GetUnitFileState GetUnitProcesses ListJobs
		ListUnitFiles ListUnitFilesByPatterns ListUnits ListUnitsByNames ListUnitsByPatterns ListUnitsFiltered LoadUnit Subscribe UnrefUnit Unsubscribe
		GetDynamicUsers LookupDynamicUserByName LookupDynamicUserByUID AttachProcessesToUnit`
	allowed := map[string]bool{}
	for _, name := range strings.Fields(anybody) {
		allowed[name] = true
	}
	i := managerInterface()
	for n := range i.methods {
		m := &i.methods[n]
		if m.needsPrivilege() == allowed[m.name] {
			t.Errorf("method %s: needs privilege %v", m.name, m.needsPrivilege())
		}
	}
	for _, name := range []string{"StartUnit", "KillUnit", "SetUnitProperties", "Reload", "Reexecute", "Exit", "PowerOff", "EnableUnitFiles", "StartTransientUnit", "SetEnvironment", "FreezeUnit"} {
		if m := i.byMethod[name]; m == nil || !m.needsPrivilege() {
			t.Errorf("method %s is there for anybody", name)
		}
	}
	s := &Server{b: userBackend{}}
	start, list := i.byMethod["StartUnit"], i.byMethod["ListUnits"]
	for _, c := range []struct {
		m       *method
		uid     uint32
		private bool
		refused bool
	}{
		{start, 0, false, false}, {start, 1000, false, false}, {start, 1001, false, true}, {list, 1001, false, false}, {start, 1001, true, false},
	} {
		k := &call{c: &Client{Private: c.private}, known: true, who: Credentials{UID: c.uid}}
		wait, err := s.authorize(k, c.m)
		if wait || (err != nil) != c.refused {
			t.Errorf("%s by uid %d, private %v: wait %v, error %v", c.m.name, c.uid, c.private, wait, err)
		}
		if err != nil && !bus.HasName(err, bus.ErrAccessDenied) {
			t.Errorf("%s: refused with %v", c.m.name, err)
		}
	}
}

// userBackend is a manager that runs as uid 1000.
type userBackend struct{ Backend }

func (userBackend) Facts() Facts { return Facts{UID: 1000} }
