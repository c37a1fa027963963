package kernel

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestParseMountInfo(t *testing.T) {
	long := strings.Repeat("/d", 2000)
	text := `22 1 254:1 / / rw,relatime shared:1 master:2 - ext4 /dev/vda1 rw,errors=remount-ro
23 22 0:21 / /with\040blank\011tab\134back\012line rw - tmpfs tmp\040fs rw
24 22 0:22 /a` + long + ` ` + long + ` ro,nosuid shared:3 - fuse.x none rw
25 22 0:23 / /gone//deleted rw - proc proc rw
26 22 0:24 / /odd\9esc\04 rw - proc  rw
`
	want := []Mount{
		{22, 1, 254, 1, "/", "/", "rw,relatime", "shared:1 master:2", "ext4", "/dev/vda1", "rw,errors=remount-ro"},
		{23, 22, 0, 21, "/", "/with blank\ttab\\back\nline", "rw", "", "tmpfs", "tmp fs", "rw"},
		{24, 22, 0, 22, "/a" + long, long, "ro,nosuid", "shared:3", "fuse.x", "none", "rw"},
		{25, 22, 0, 23, "/", "/gone//deleted", "rw", "", "proc", "proc", "rw"},
		{26, 22, 0, 24, "/", `/odd\9esc\04`, "rw", "", "proc", "", "rw"},
	}
	got, err := ParseMountInfo([]byte(text))
	if err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"x\n", "1 2 3 / / rw - a b c\n", "1 2 0:1 / / rw shared:1\n", "\n", "1 2 0:1 / / rw -\n"} {
		got, err := ParseMountInfo([]byte(bad + text))
		if !errors.Is(err, unix.EBADMSG) || len(got) != len(want) {
			t.Errorf("%q: %d mounts, %v", bad, len(got), err)
		}
	}
}

func FuzzParseMountInfo(f *testing.F) {
	f.Add([]byte("22 1 254:1 / / rw shared:1 - ext4 /dev/vda1 rw\n"))
	f.Add([]byte(`1 2 0:1 \040\777 \ - - - - -`))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := ParseMountInfo(b)
		if err == nil && len(list) != len(strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")) && len(b) > 0 {
			t.Errorf("%d mounts of %q", len(list), b)
		}
		for _, m := range list {
			if m.Point == "" || m.Type == "" {
				t.Errorf("%+v of %q", m, b)
			}
		}
		_, _ = ParseSwaps(b)
		_, _ = parseStat(b)
		_ = parseStatus(string(b))
	})
}

func TestParseSwaps(t *testing.T) {
	text := "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/vda2                               partition\t1048572\t\t12\t\t-2\n/swap\\040file\\040(deleted)  file 4 0 5\n"
	got, err := ParseSwaps([]byte(text))
	want := []Swap{{"/dev/vda2", "partition", 1048572 << 10, 12 << 10, -2, false}, {"/swap file", "file", 4096, 0, 5, true}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if got, err := ParseSwaps([]byte(text + "cut off\n")); len(got) != 2 || !errors.Is(err, unix.EBADMSG) {
		t.Errorf("%v %v", got, err)
	}
	s, err := OpenSwapTable()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Read(); err != nil {
		t.Error(err)
	}
}

// TestMountTable mounts in a namespace of a thread of its own and sees it come
// as EPOLLPRI.
func TestMountTable(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to mount")
	}
	dir := t.TempDir() + "/a b"
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its namespace
		result <- func() error {
			if err := errors.Join(unix.Unshare(unix.CLONE_NEWNS|unix.CLONE_FS), MountFS("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")); err != nil {
				return err
			}
			return mountAndLook(t, dir)
		}()
	}()
	if err := <-result; err != nil {
		t.Error(err)
	}
}

// mountAndLook mounts and unmounts at dir and looks at the table in between.
func mountAndLook(t *testing.T, dir string) error {
	table, err := OpenMountTable()
	if err != nil {
		return err
	}
	defer table.Close()
	find := func() int {
		list, err := table.Read()
		if err != nil {
			t.Error(err)
		}
		n := 0
		for _, m := range list {
			if m.Point == dir && m.Type == "tmpfs" && m.Source == "my source" {
				n++
			}
		}
		return n
	}
	if n := find(); n != 0 {
		t.Errorf("%d before", n)
	}
	p, err := NewPoller()
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.Add(table.FD(), unix.EPOLLPRI, 0, 1); err != nil {
		return err
	}
	if _, err := p.Wait(0); err != nil { // the first poll may report the past
		return err
	}
	if err := MountFS("my source", dir, "tmpfs", 0, "size=4k"); err != nil {
		return err
	}
	ready, err := waited(p, 2_000_000)
	if err != nil || len(ready) != 1 || ready[0].Events&unix.EPOLLPRI == 0 {
		t.Errorf("%+v %v", ready, err)
	}
	if n := find(); n != 1 {
		t.Errorf("%d after the mount", n)
	}
	if on, err := IsMounted(dir); !on || err != nil {
		t.Errorf("IsMounted %v %v", on, err)
	}
	if err := Umount(dir, unix.MNT_DETACH); err != nil {
		return err
	}
	if n := find(); n != 0 {
		t.Errorf("%d after the unmount", n)
	}
	return nil
}

func BenchmarkParseMountInfo(b *testing.B) {
	line := "36 35 98:0 /mnt1 /srv/data/volume rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n"
	text := []byte(strings.Repeat(line, 1000))
	b.ReportAllocs()
	for b.Loop() {
		if list, err := ParseMountInfo(text); err != nil || len(list) != 1000 {
			b.Fatal(err)
		}
	}
}
