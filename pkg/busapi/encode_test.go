package busapi

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/depend"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/enginetest"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/engine/service"
	"github.com/muster-init/muster/pkg/loader"
	"github.com/muster-init/muster/pkg/unit"
)

// encodeBackend is a manager with loaded units that have no control group.
type encodeBackend struct {
	Backend
	e *engine.Engine
	l *loader.Loader
}

func (b *encodeBackend) Engine() *engine.Engine        { return b.e }
func (b *encodeBackend) Loader() *loader.Loader        { return b.l }
func (b *encodeBackend) Usage(string) Usage            { return Usage{} }
func (b *encodeBackend) ControlGroup(string) string    { return "" }
func (b *encodeBackend) Now() machine.Instant          { return machine.Instant{Monotonic: 1} }
func (b *encodeBackend) Facts() Facts                  { return Facts{} }
func (b *encodeBackend) Config() *unit.ManagerConfig   { return unit.DefaultManagerConfig(true) }
func (b *encodeBackend) ControlGroupID(string) uint64  { return 0 }
func (b *encodeBackend) LiveMountResult(string) string { return "" }

// loadedServer has services from these texts, named 0.service, 1.service…
func loadedServer(tb testing.TB, texts ...string) *Server {
	tb.Helper()
	var units []*unit.Unit
	for i, text := range texts {
		name := fmt.Sprintf("%d.service", i)
		u, messages := unit.Load(&unit.Host{Specifiers: &unit.SpecifierContext{}}, nil,
			&unit.Source{Name: name, Fragment: &unit.File{Path: "/etc/systemd/system/" + name, Text: text}})
		if len(messages) > 0 {
			tb.Fatal(messages)
		}
		units = append(units, u)
	}
	return unitsServer(tb, units...)
}

func unitsServer(tb testing.TB, units ...*unit.Unit) *Server {
	tb.Helper()
	src := enginetest.Source{}
	b := &encodeBackend{}
	b.e = engine.New(src, engine.Options{Depend: depend.Env{System: true}, Types: []machine.Descriptor{service.Descriptor()}})
	b.l = loader.New(nil, loader.Scan(nil), &unit.Host{Specifiers: &unit.SpecifierContext{}}, nil, func(unit.Message) {})
	for _, u := range units {
		src.Put(u)
		b.e.Step(machine.Instant{Monotonic: 1}, machine.LoadUnit{Unit: u.Name})
		if b.e.Unit(u.Name) == nil {
			tb.Fatalf("%s is not loaded", u.Name)
		}
	}
	return New(b)
}

const simpleService = "[Unit]\nDescription=Unit 1\nDefaultDependencies=no\n[Service]\nStandardOutput=null\nStandardError=null\nExecStart=/bin/true\n"

// encodeAll is GetAll without the message around it.
func (s *Server) encodeAll(iface string, name string, e *bus.Encoder) {
	s.usage = usageCache{}
	obj, _ := s.find(nil, bus.UnitPath(name))
	for _, i := range obj.ifaces {
		if i.name == iface {
			s.writeAll(i, &obj, e)
		}
	}
}

func BenchmarkGetAll(b *testing.B) {
	s := loadedServer(b, simpleService)
	for _, name := range []string{"org.freedesktop.systemd1.Service", ifaceUnit} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var e bus.Encoder
			for b.Loop() {
				e.Reset()
				s.encodeAll(name, "0.service", &e)
			}
			if e.Err() != nil {
				b.Fatal(e.Err())
			}
			b.ReportMetric(float64(e.Len()), "bytes")
		})
	}
}

// TestSettingsAreAsEncodedOneByOne compares GetAll, whose settings may be those kept from another unit, with every property by itself.
func TestSettingsAreAsEncodedOneByOne(t *testing.T) {
	texts := []string{
		simpleService,
		"[Unit]\nDescription=another\nFailureAction=reboot\n[Service]\nType=oneshot\nUser=nobody\nNice=3\nExecStart=/bin/false\n",
		"[Service]\nExecStart=/bin/sleep 1\nPrivateTmp=yes\nSystemCallFilter=@system-service\nKillMode=mixed\nMemoryMax=1G\nSlice=a-b.slice\n",
		"[Service]\nExecStart=/bin/true\n",
		"[Service]\nExecStart=/bin/a\nExecStop=/bin/b\nRestart=always\nBusName=a.b\n",
	}
	for n := range 2 * settingsKept {
		texts = append(texts, fmt.Sprintf("[Service]\nExecStart=/bin/true\nEnvironment=N=%d\n", n))
	}
	s := loadedServer(t, texts...)
	// 3 and 4 have no execution settings of their own, so they share what is kept; the second time the first ones are gone again.
	for range 2 {
		for n := range texts {
			var got, want bus.Encoder
			name := fmt.Sprintf("%d.service", n)
			s.encodeAll("org.freedesktop.systemd1.Service", name, &got)
			obj := object{unit: s.b.Engine().Unit(name)}
			i := s.types[unit.TypeService]
			for k := range i.props {
				if p := &i.props[k]; !p.hidden {
					want.Prepared(p.entry)
					s.write(p, &obj, &want)
				}
			}
			if got.Err() != nil || !bytes.Equal(got.Bytes(), want.Bytes()) {
				t.Fatalf("%s: GetAll is not what its properties are (%v)", name, got.Err())
			}
		}
	}
	if len(s.settings) != settingsKept {
		t.Errorf("%d sets of settings are kept, want %d", len(s.settings), settingsKept)
	}
	if s.Shrink(); len(s.settings) != 0 {
		t.Error("Shrink keeps settings")
	}
}

// TestSettingsDependOnBlocksOnly has units that are different in everything but the blocks that settingsKey names: what is kept for one must hold for
// the other.
func TestSettingsDependOnBlocksOnly(t *testing.T) {
	const blocks = "User=nobody\nNice=3\nPrivateTmp=yes\nKillMode=mixed\nMemoryMax=1G\nDelegate=yes\n"
	for _, typ := range unit.Types() {
		i := typeInterface(typ)
		if len(i.runs) == 0 {
			continue
		}
		a, b := unit.New("a."+typ.String(), nil), unit.New("b-b@b."+typ.String(), nil)
		from, _ := unit.Load(&unit.Host{Specifiers: &unit.SpecifierContext{}}, nil, &unit.Source{Name: "x." + typ.String(),
			Fragment: &unit.File{Path: "/x", Text: "[" + typ.Section() + "]\n" + blocks}})
		for _, u := range []*unit.Unit{a, b} {
			u.LoadState = unit.StateLoaded
			u.Exec, u.Kill, u.Cgroup = from.Exec, from.Kill, from.Cgroup
		}
		b.FragmentPath, b.Unit.Description, b.Unit.DefaultDependencies, b.Transient = "/etc/b", "b", true, true
		b.SourcePath, b.DropInPaths, b.Unit.AllowIsolate = "/s", []string{"/d"}, true
		other, _ := unit.Load(&unit.Host{Specifiers: &unit.SpecifierContext{}}, nil, &unit.Source{Name: "y.service",
			Fragment: &unit.File{Path: "/y", Text: "[Service]\nExecStart=/bin/y\nRestart=always\nType=dbus\nBusName=y.y\nRestartMode=direct\nTimeoutSec=3\n"}})
		if typ == unit.TypeService {
			b.Service = other.Service
		}
		s := unitsServer(t, a, b)
		for _, r := range i.runs {
			for _, p := range i.props[r.begin:r.end] {
				var x, y bus.Encoder
				p.unit(s, s.b.Engine().Unit(a.Name), &x)
				p.unit(s, s.b.Engine().Unit(b.Name), &y)
				if !bytes.Equal(x.Bytes(), y.Bytes()) {
					t.Errorf("%s: %s depends on more than the blocks: give it to the type, or widen settingsKey", typ, p.name)
				}
			}
		}
	}
}
