package box

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Program is an init that can be booted: where it is inside and what of the
// host must be visible for it.
type Program struct {
	Name  string // systemd or muster
	Path  string
	Args  []string
	Binds []Bind
	Ctl   string // the control program to talk to it
}

// Where `make install` puts the programs.
const (
	musterPath    = "/usr/lib/muster/muster"
	executorPath  = "/usr/lib/muster/muster-executor"
	pamPath       = "/usr/lib/muster/muster-pam"
	verityPath    = "/usr/lib/muster/muster-verity"
	generatorPath = "/usr/lib/muster/muster-generator"
	musterctlPath = "/usr/bin/musterctl"
)

// FindProgram returns the init of that name. For muster the programs of
// ./cmd are built into bin first and bound into the root, with the repository's
// units, each where `make install` puts it.
func FindProgram(ctx context.Context, name, repository string) (Program, error) {
	switch name {
	case "systemd":
		return Program{Name: name, Path: "/usr/lib/systemd/systemd", Ctl: "systemctl"}, nil
	case "muster":
		return musterProgram(ctx, repository)
	}
	return Program{}, fmt.Errorf("init %q: unknown, there are: systemd, muster", name)
}

func musterProgram(ctx context.Context, repository string) (Program, error) {
	bin := filepath.Join(repository, "bin")
	if err := buildPrograms(ctx, repository, bin); err != nil {
		return Program{}, err
	}
	program := Program{Name: "muster", Path: musterPath, Ctl: "systemctl"}
	for name, target := range map[string]string{"muster": musterPath, "muster-executor": executorPath, "muster-pam": pamPath, "muster-verity": verityPath, "muster-generator": generatorPath, "musterctl": musterctlPath} {
		if _, err := os.Stat(filepath.Join(repository, "cmd", name)); err == nil {
			program.Binds = append(program.Binds, Bind{Source: filepath.Join(bin, name), Target: target})
		}
	}
	generators, err := linkGenerators(bin)
	if err != nil {
		return Program{}, err
	}
	program.Binds = append(program.Binds, generators...)
	for _, manager := range []string{"system", "user"} {
		program.Binds = append(program.Binds, Bind{Source: filepath.Join(repository, "units", manager), Target: "/usr/lib/muster/" + manager})
	}
	return program, nil
}

// buildPrograms builds beside bin and moves each program into place, so that a test that runs at the same time never
// sees half of one, and what is bound into a running box stays as it was.
func buildPrograms(ctx context.Context, repository, bin string) error {
	if _, err := os.Stat(filepath.Join(repository, "cmd", "muster")); err != nil {
		return errors.New("init muster: there is no ./cmd/muster to build")
	}
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	fresh, err := os.MkdirTemp(bin, ".build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(fresh)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "godbus_no_tcp", "-ldflags", "-s -w", "-o", fresh+"/", "./cmd/...")
	cmd.Dir = repository
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("init muster: go build: %w: %s", err, strings.TrimSpace(string(out)))
	}
	programs, err := os.ReadDir(fresh)
	if err != nil {
		return err
	}
	for _, program := range programs {
		if err := os.Rename(filepath.Join(fresh, program.Name()), filepath.Join(bin, program.Name())); err != nil {
			return err
		}
	}
	return nil
}

// Repository finds the module's directory from the working directory upward.
func Repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		return "", errors.New("no go.mod above the working directory")
	}
}

// Identity are the files that make a root one machine of its own: a machine
// id, without which the first boot would change the root's presets, and a name.
func Identity() map[string]File {
	id := make([]byte, 16)
	rand.Read(id) // never fails since Go 1.24
	return map[string]File{
		"/etc/machine-id":  {Content: hex.EncodeToString(id) + "\n", Mode: 0o444},
		"/etc/hostname":    {Content: "muster\n"},
		"/etc/resolv.conf": {Content: ""},
	}
}

// WaitRunning waits until the init has finished booting and returns the system
// state, "running" or "degraded" when it was reached. ctl is the control
// program, systemctl or musterctl.
func (b *Box) WaitRunning(ctx context.Context, ctl string) (string, error) {
	last := ""
	for {
		result, err := b.Exec(ctx, ctl, "is-system-running")
		if err != nil {
			return last, fmt.Errorf("waiting for default.target: %w (last state %q)", err, last)
		}
		state := strings.TrimSpace(result.Stdout)
		last = state + " " + strings.TrimSpace(result.Stderr)
		switch state {
		case "running", "degraded", "maintenance", "stopping":
			return state, nil
		}
		select {
		case <-b.done:
			return "", fmt.Errorf("PID 1 ended while booting: %v", b.status)
		case <-ctx.Done():
			return last, fmt.Errorf("waiting for default.target: %w (last state %q)", ctx.Err(), last)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Shutdown asks PID 1 for a clean power-off by signal and waits for the end.
func (b *Box) Shutdown(ctx context.Context) (Status, error) {
	if err := b.Signal(PowerOff); err != nil {
		return Status{}, fmt.Errorf("container: power-off: %w", err)
	}
	return b.Wait(ctx)
}

// linkGenerators makes the links to muster-generator in directories beside it, as `make install` does, from the names it says it answers to.
func linkGenerators(bin string) ([]Bind, error) {
	list, err := exec.Command(filepath.Join(bin, "muster-generator"), "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("muster-generator --list: %w", err)
	}
	var binds []Bind
	made := map[string]bool{}
	for _, path := range strings.Fields(string(list)) {
		kind, name := filepath.Split(path)
		dir := filepath.Join(bin, kind)
		if !made[kind] {
			made[kind] = true
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return nil, err
			}
			binds = append(binds, Bind{Source: dir, Target: filepath.Join("/usr/lib/muster", kind)})
		}
		if err := os.Symlink("../muster-generator", filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	return binds, nil
}
