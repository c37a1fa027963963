package manager

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-init/muster/pkg/engine/machine"
)

func TestMountOptions(t *testing.T) {
	for _, test := range []struct{ mount, super, want string }{
		{"rw,nosuid,nodev", "rw,size=1k", "rw,nosuid,nodev,size=1k"},
		{"rw,relatime", "ro", "ro,relatime"},
		{"ro,relatime", "rw,x=1", "ro,relatime,x=1"},
		{"rw", "rw", "rw"},
	} {
		if got := mountOptions(test.mount, test.super); got != test.want {
			t.Errorf("%s + %s: got %s, want %s", test.mount, test.super, got, test.want)
		}
	}
}

// TestMountInfoLine: what has a unit and what has none.
func TestMountInfoLine(t *testing.T) {
	for line, where := range map[string]string{
		`88 44 0:53 / / rw,relatime shared:17 - overlay overlay rw`:            "/",
		`89 88 0:56 / /proc rw - proc proc rw`:                                 "",
		`99 89 0:56 /irq /proc/irq ro - proc proc rw`:                          "/proc/irq",
		`97 92 0:26 /1 /dev/console rw - devpts devpts rw`:                     "",
		`47 88 0:64 / /mnt/sp\040ace rw - tmpfs tmpfs rw`:                      "/mnt/sp ace",
		`50 88 0:66 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw,fd=30`: "",
		`51 88 0:67 / /run/credentials/a.service ro - tmpfs tmpfs rw`:          "",
		`52 88 0:68 / /gone//deleted rw - tmpfs tmpfs rw`:                      "",
		`53 88 0:69 / /run/host/x rw - tmpfs tmpfs rw`:                         "",
		`garbage`: "",
	} {
		if got := mountInfo([]byte(line+"\n"), "/run"); got.Where != where {
			t.Errorf("%s: got %q, want %q", line, got.Where, where)
		}
	}
}

// TestMountTableFollows changes a table at random, and wants the same of following the differences as of comparing whole tables.
func TestMountTableFollows(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	s := &mountSource{m: &Manager{dirs: directories{runtime: "/run"}}, points: map[string]mountPoint{}}
	var table []string
	followed := 0
	for step := range 3000 {
		for range 1 + random.IntN(3) {
			switch at := random.IntN(len(table) + 1); {
			case at < len(table) && random.IntN(2) == 0:
				table = slices.Delete(table, at, at+1)
			case at < len(table) && random.IntN(4) == 0:
				table[at] = strings.Replace(table[at], "tmpfs rw", "tmpfs rw,x", 1)
			default:
				if random.IntN(2) == 0 {
					at = len(table)
				}
				table = slices.Insert(table, at, fmt.Sprintf("%d 1 0:5 / /m%d rw - tmpfs tmpfs rw\n", step, random.IntN(60)))
			}
		}
		raw := []byte(strings.Join(table, ""))
		want := &mountSource{m: s.m, points: maps.Clone(s.points)}
		var wanted, got machine.MountTable
		want.compare(&wanted, want.parse(raw))
		gone, came := difference(s.raw, raw)
		if s.follow(&got, s.parse(gone), s.parse(came)) {
			followed++
		} else {
			s.compare(&got, s.parse(raw))
		}
		slices.Sort(wanted.Gone)
		slices.Sort(got.Gone)
		if diff := cmp.Diff(wanted, got); diff != "" {
			t.Fatalf("step %d: %s", step, diff)
		}
		if !maps.Equal(want.points, s.points) {
			t.Fatalf("step %d: the tables differ", step)
		}
		s.raw = raw
	}
	if followed < 100 {
		t.Errorf("only %d of the differences were followed", followed)
	}
}
