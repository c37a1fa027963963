package output

import (
	"errors"
	"strings"
	"testing"
)

// TestPaths: text of a foreign file never becomes a path outside of the output.
func TestPaths(t *testing.T) {
	for path, good := range map[string]bool{
		"a.service": true, "a.service.d/x.conf": true, "a.target.wants/b@c.service": true, "a.target.requires/b.mount": true, "a.target.upholds/b.service": true,
		"": false, "a": false, "../a.service": false, "/etc/a.service": false, "a.service.d/x": false, "a.service.d/../x.conf": false, ".d/x.conf": false,
		".wants/a.service": false, "a.wants/b.service": false, "a.target.wants/../b.service": false, "a.target.wants/b": false, "some/dir.wants/b.service": false,
		"a.service.x/b.service": false, strings.Repeat("a", 300) + ".service": false,
	} {
		var tree Tree
		if err := tree.Verbatim(Normal, path, ""); (err == nil) != good {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// TestValues: a value is one line, and never joins the next.
func TestValues(t *testing.T) {
	var tree Tree
	for _, bad := range []string{"a\nb", "a\rb", "a\x00b"} {
		u := NewUnit("x")
		u.Set("Unit", "Description", bad)
		if err := tree.Write(Normal, "a.service", u); err == nil {
			t.Errorf("%q was written", bad)
		}
	}
	u := NewUnit("x")
	u.Set("Unit", "Description", `50%u\`)
	u.Raw("Unit", "After", "%i.device")
	u.Set("Service", "ExecStart", `a\\`)
	if err := tree.Write(Normal, "a.service", u); err != nil {
		t.Fatal(err)
	}
	want := "\n[Unit]\nDescription=50%%u\\ \nAfter=%i.device\n\n[Service]\nExecStart=a\\\\\n"
	if got := tree.Files()[0].Text; !strings.HasSuffix(got, want) {
		t.Errorf("%q", got)
	}
}

// TestTwice: the first file counts, equal links and drop-ins may be asked for again.
func TestTwice(t *testing.T) {
	var tree Tree
	write := func() error { return tree.Write(Normal, "a.service", NewUnit("x")) }
	if write() != nil || !errors.Is(write(), ErrExists) {
		t.Error("a second file was taken")
	}
	for range 2 {
		if err := tree.Pull(Normal, "a.target", "wants", "a.service"); err != nil {
			t.Error(err)
		}
		if err := tree.DropIn(Normal, "a.service", "x.conf", NewUnit("x")); err != nil {
			t.Error(err)
		}
		if err := tree.PullShipped(Early, "a.target", "wants", "b@c.service"); err != nil {
			t.Error(err)
		}
	}
	if n := len(tree.Files()); n != 4 {
		t.Errorf("%d files", n)
	}
	if err := tree.Mask(Normal, "a.service"); !errors.Is(err, ErrExists) {
		t.Error("a file was masked by a link in its own place:", err)
	}
	for i := range 1000 {
		tree.Fail("message %d %s", i, strings.Repeat("x", 1<<16))
	}
	if n := len(tree.Messages()); !tree.Failed() || n != 101 || len(tree.Messages()[0]) > 1100 {
		t.Errorf("%d messages", n)
	}
}
