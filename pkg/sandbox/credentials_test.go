package sandbox_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan"
	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/spawn"
	"github.com/muster-init/muster/pkg/unit"
)

func TestCredentials(t *testing.T) {
	s := newStart(t, `cd $CREDENTIALS_DIRECTORY && pwd; id -u; stat -c %a . ; for f in *; do echo $f $(stat -c "%a %U" $f) $(cat $f); done; touch x 2>/dev/null || echo ro`)
	dir := execplan.CredentialsDirectory(s.unit.Name)
	t.Cleanup(func() {
		if err := spawn.RemoveCredentials(dir); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Error("the directory is still there")
		}
	})
	received := filepath.Join(s.dir, "received")
	for name, text := range map[string]string{"net.one": "1", "net.two": "2", "other": "3"} {
		if err := os.MkdirAll(received, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(received, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.ctx.OwnEnv = []string{"CREDENTIALS_DIRECTORY=" + received}
	s.exec.User = "daemon"
	s.exec.Sandbox = sandboxWith(func(b *unit.Sandbox) {
		b.LoadCredential = []unit.Credential{{ID: "file", Path: received + "/other"}, {ID: "byname", Path: "other"}, {ID: "none", Path: "not-there"}, {ID: "set", Path: "/nonexistent"}}
		b.SetCredential = []unit.CredentialData{{ID: "set", Data: []byte("fallback")}, {ID: "file", Data: []byte("unused")}}
		b.ImportCredential = []unit.ImportCredential{{Glob: "net.*"}, {Glob: "net.*", Rename: "web."}}
	})
	want := dir + "\n1\n500\nbyname 400 daemon 3\nfile 400 daemon 3\nnet.one 400 daemon 1\nnet.two 400 daemon 2\nset 400 daemon fallback\nweb.one 400 daemon 1\nweb.two 400 daemon 2\nro"
	expect(t, s.ok(), want)
	// Again, over what is mounted, and in a namespace that hides the others.
	s.exec.Sandbox.PrivateMounts = unit.Yes
	s.exec.StandardOutput.Kind = "truncate"
	s.ctx.Command.Argv[2] += "; ls /run/credentials"
	expect(t, s.ok(), want+"\n"+s.unit.Name)
	// A command that stops the unit uses what is there.
	s.ctx.Phase = "ExecStop"
	s.exec.Sandbox.PrivateMounts = unit.Unset
	s.ctx.Command.Argv[2] = strings.TrimSuffix(s.ctx.Command.Argv[2], "; ls /run/credentials")
	expect(t, s.ok(), want)
}

func TestCredentialsMissing(t *testing.T) {
	s := newStart(t, `echo "[$CREDENTIALS_DIRECTORY]"`)
	s.exec.Sandbox = sandboxWith(func(b *unit.Sandbox) { b.ImportCredential = []unit.ImportCredential{{Glob: "nobody.has.this.*"}} })
	expect(t, s.ok(), "[]")
	s.exec.Sandbox = sandboxWith(func(b *unit.Sandbox) { b.LoadCredential = []unit.Credential{{ID: "x", Path: "/nonexistent"}} })
	s.fails(plan.ExitCredentials, "LoadCredential")
	if s.failure != nil && s.failure.Errno != int32(unix.ENOENT) {
		t.Errorf("errno %d", s.failure.Errno)
	}
}
