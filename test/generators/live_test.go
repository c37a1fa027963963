package generators

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/test/root"
)

var (
	recordFlag = flag.Bool("record", false, "write what the real generators give into testdata")
	extraRoot  = flag.String("extra", "", "a directory that is laid over the root (more packages unpacked)")
)

// script runs as PID 1 of its own pid, mount and network namespaces: an overlay over the Debian root with the files of the case, a fresh /proc, then
// the generator. Nothing of the machine is touched.
const script = `set -e
mount -t tmpfs tmpfs "$TMP"
mkdir "$TMP/upper" "$TMP/work" "$TMP/root"
cp -a "$STAGE/." "$TMP/upper/"
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$TMP/upper,workdir=$TMP/work" "$TMP/root"
cd "$TMP/root"
mount -t proc proc proc
if [ -d "$STAGE/sys" ]; then mount --bind "$STAGE/sys" sys; fi
for t in $TTYS; do mkdir -p "$(dirname "$t")"; touch "$t"; mount --bind "$PTY" "$t"; done
mkdir -p out/normal out/early out/late
rc=0
env -i PATH="$SEARCH" "$@" || rc=$?
cp -a out "$RESULT/out"
echo $rc > "$RESULT/rc"
`

// runLive runs program (a path inside the root) for a case and returns the result and what it said.
func runLive(ctx context.Context, t *testing.T, lower string, c *testCase, program string, binary string) ([]string, string) {
	t.Helper()
	stage, tmp, res := t.TempDir(), t.TempDir(), t.TempDir()
	ttys, err := c.lay(stage)
	if err != nil {
		t.Fatal(err)
	}
	if binary != "" {
		data, err := os.ReadFile(binary)
		if err != nil {
			t.Fatal(err)
		}
		target := filepath.Join(stage, program)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(target, data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	pty, slave, err := openPTY()
	if err != nil {
		t.Fatal(err)
	}
	defer pty.Close()
	args := []string{"--mount", "--ipc", "--net", "--propagation", "private", "--", "/bin/sh", "-c", script, "sh"}
	if c.container != "" {
		args = append([]string{"--pid", "--fork"}, args...)
	}
	args = append(args, "SYSTEMD_PROC_CMDLINE="+c.cmdline, "SYSTEMD_LOG_TARGET=console", "SYSTEMD_LOG_LEVEL=info")
	args = append(args, c.env...)
	args = append(args, "chroot", ".", program)
	if strings.Contains(c.generator, "environment") {
		args = append(args[:len(args)-3], "sh", "-c", "chroot . "+program+" > out/normal/environment.conf")
	} else {
		args = append(args, "/out/normal", "/out/early", "/out/late")
	}
	cmd := exec.CommandContext(ctx, "unshare", args...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TMP=" + tmp, "STAGE=" + stage, "LOWER=" + lower, "RESULT=" + res,
		"SEARCH=" + searchPath, "TTYS=" + strings.Join(ttys, " "), "PTY=" + slave}
	for _, e := range c.env {
		if strings.HasPrefix(e, "container") || strings.HasPrefix(e, "SYSTEMD_GETTY_AUTO=") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	text, err := os.ReadFile(filepath.Join(res, "rc"))
	if err != nil {
		t.Fatal(err)
	}
	rc, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	list, err := result(filepath.Join(res, "out"), rc)
	if err != nil {
		t.Fatal(err)
	}
	return list, said.String()
}

func openPTY() (*os.File, string, error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, "", err
	}
	f := os.NewFile(uintptr(fd), "ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		f.Close()
		return nil, "", err
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		f.Close()
		return nil, "", err
	}
	return f, fmt.Sprintf("/dev/pts/%d", n), nil
}

// original is the path of a generator of systemd.
func original(name string) string {
	switch {
	case strings.Contains(name, "environment"):
		return "/usr/lib/systemd/user-environment-generators/" + name
	case strings.Contains(name, "xdg"):
		return "/usr/lib/systemd/user-generators/" + name
	}
	return "/usr/lib/systemd/system-generators/" + name
}

// TestLive runs Debian's generators and ours on the same input in the same root. With -record it writes what Debian's give into testdata instead.
func TestLive(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root for namespaces; TestRecorded compares with what was recorded")
	}
	spec, err := root.Find("trixie")
	if err != nil {
		t.Fatal(err)
	}
	lower := filepath.Join(root.CacheDir(), spec.Key())
	if _, err := os.Stat(lower); err != nil {
		t.Skip("no trixie root on this machine (make root); TestRecorded compares with what was recorded")
	}
	if *extraRoot != "" {
		lower = *extraRoot + ":" + lower
	}
	binary := ""
	if !*recordFlag {
		binary = filepath.Join(t.TempDir(), "muster-generator")
		build := exec.Command("go", "build", "-o", binary, "../../cmd/muster-generator")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for file, list := range allCases(t) {
		for _, c := range list {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".cases")+"/"+c.name, func(t *testing.T) {
				program := original(c.generator)
				var want []string
				said := ""
				if exists(lower, program) {
					want, said = runLive(t.Context(), t, lower, c, program, "")
				} else if *recordFlag {
					t.Logf("%s is not in the root: what was recorded is kept", program)
					want = c.want
				}
				if *recordFlag {
					c.want = want
					if said != "" {
						t.Logf("%s", said)
					}
					return
				}
				if want == nil && !exists(lower, program) {
					want = c.want // a package that the root doesn't have
				}
				got, said := runLive(t.Context(), t, lower, c, "/usr/lib/muster/system-generators/"+c.generator, binary)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("systemd - muster +\n%s%s", diff, said)
				}
			})
		}
		if *recordFlag {
			if err := record(file, list); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func exists(lower, path string) bool {
	for _, dir := range strings.Split(lower, ":") {
		if _, err := os.Stat(filepath.Join(dir, path)); err == nil {
			return true
		}
	}
	return false
}
