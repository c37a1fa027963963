package manager

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/unit/value"
)

// systemCredentials is where the credentials of the system itself are.
const systemCredentials = "/run/credentials/@system"

// received is a credential that the system was booted with.
type received struct {
	name string
	data []byte
}

// importCredentials puts what the system was booted with where services and generators look for it: from a container manager, the initrd, the
// kernel command line (in a container our arguments), SMBIOS and QEMU's fw_cfg (systemd-creds(1), systemd(1) on $CREDENTIALS_DIRECTORY).
func (m *Manager) importCredentials() error {
	if !m.system || m.opt.Deserialize {
		return nil
	}
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" {
		if dir == systemCredentials {
			return nil
		}
		err := os.MkdirAll(filepath.Dir(systemCredentials), 0o755)
		if err == nil {
			err = os.Symlink(dir, systemCredentials)
		}
		if errors.Is(err, os.ErrExist) {
			return nil
		}
		return err
	}
	words := m.facts.CommandLine
	if m.container {
		words = os.Args[1:]
	}
	list, problems := credentialsFrom(words)
	if !m.container {
		if vm := m.facts.Virtualization; vm == "qemu" || vm == "kvm" {
			problems = append(problems, loadFirmwareModule())
		}
		list = append(list, firmwareCredentials()...)
		list = append(list, initrdCredentials(handedByInitrd)...)
	}
	if len(list) > 0 {
		if err := writeSystemCredentials(list); err != nil {
			return err
		}
		m.facts.Credentials = systemCredentials
		if err := os.Setenv("CREDENTIALS_DIRECTORY", systemCredentials); err != nil {
			return err
		}
	}
	return errors.Join(problems...)
}

// credentialsFrom finds systemd.set_credential= and systemd.set_credential_binary=.
func credentialsFrom(words []string) (list []received, problems []error) {
	for _, word := range words {
		word = strings.Trim(word, `"`)
		text, binary := strings.CutPrefix(word, "systemd.set_credential_binary=")
		if !binary {
			var plain bool
			if text, plain = strings.CutPrefix(word, "systemd.set_credential="); !plain {
				continue
			}
		}
		name, data, ok := strings.Cut(strings.Trim(text, `"`), ":")
		r, err := newReceived(name, data, binary)
		if !ok || err != nil {
			problems = append(problems, fmt.Errorf("%s: not a credential", word))
			continue
		}
		list = append(list, r)
	}
	return list, problems
}

func newReceived(name, data string, binary bool) (received, error) {
	if !value.FilenameIsValid(name) || len(data) > plan.MaxCredentials {
		return received{}, fmt.Errorf("credential %q: %w", name, unix.EINVAL)
	}
	if !binary {
		return received{name, []byte(data)}, nil
	}
	raw, err := base64.StdEncoding.DecodeString(data)
	return received{name, raw}, err
}

// handedByInitrd is where the initrd leaves credentials for the system that follows it.
const handedByInitrd = "/run/credentials/@initrd"

// initrdCredentials takes them from there: they are in one place afterwards.
func initrdCredentials(dir string) (list []received) {
	files, _ := os.ReadDir(dir)
	for _, f := range files {
		path := filepath.Join(dir, f.Name())
		if info, err := f.Info(); err != nil || !info.Mode().IsRegular() || info.Size() > plan.MaxCredentials || !value.FilenameIsValid(f.Name()) {
			continue
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		list = append(list, received{f.Name(), raw})
		_ = os.Remove(path)
	}
	_ = os.Remove(dir)
	return list
}

// moduleWaitMSec is how long the boot waits for a module.
const moduleWaitMSec = 5000

// loadFirmwareModule makes the kernel show what QEMU passes by fw_cfg, which nothing else would before the generators run.
func loadFirmwareModule() error {
	const shown, program, module = "/sys/firmware/qemu_fw_cfg", "/sbin/modprobe", "qemu_fw_cfg"
	if unix.Access(shown, unix.F_OK) == nil || unix.Access(program, unix.X_OK) != nil {
		return nil
	}
	var l kernel.OpList
	for fd := range 3 {
		l.OpenTo(plan.ExitStdin, "/dev/null", unix.O_RDWR, 0, fd)
	}
	l.CloexecFrom(plan.ExitFDs, 3)
	l.Exec(plan.ExitExec, program, []string{"modprobe", "-q", "-b", "--", module}, []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"})
	child, err := kernel.Spawn(&l, kernel.SpawnOptions{})
	if err != nil {
		return fmt.Errorf("module %s: %w", module, err)
	}
	defer unix.Close(child.PidFD)
	fds := []unix.PollFd{{Fd: int32(child.PidFD), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, moduleWaitMSec)
	for err == unix.EINTR {
		n, err = unix.Poll(fds, moduleWaitMSec)
	}
	if n == 0 {
		// The loop reaps it whenever it ends.
		_ = unix.PidfdSendSignal(child.PidFD, unix.SIGKILL, nil, 0)
		return fmt.Errorf("module %s: %w", module, unix.ETIMEDOUT)
	}
	var status unix.WaitStatus
	for {
		if _, err := unix.Wait4(child.Pid, &status, 0, nil); err != unix.EINTR {
			break
		}
	}
	child.Release()
	return nil // there may be no such module, which modprobe doesn't say
}

// firmwareCredentials are those of SMBIOS type 11 strings and of fw_cfg.
func firmwareCredentials() (list []received) {
	entries, _ := filepath.Glob("/sys/firmware/dmi/entries/11-*/raw")
	for _, path := range entries {
		raw, err := os.ReadFile(path)
		if err == nil {
			list = append(list, smbiosCredentials(raw)...)
		}
	}
	const dir = "/sys/firmware/qemu_fw_cfg/by_name/opt/io.systemd.credentials/"
	files, _ := os.ReadDir(dir)
	for _, f := range files {
		raw, err := os.ReadFile(dir + f.Name() + "/raw")
		if err != nil || len(raw) > plan.MaxCredentials || !value.FilenameIsValid(f.Name()) {
			continue
		}
		list = append(list, received{f.Name(), raw})
	}
	return list
}

// smbiosCredentials reads the strings behind the structure, whose length is its second byte.
func smbiosCredentials(raw []byte) (list []received) {
	if len(raw) < 2 || int(raw[1]) > len(raw) {
		return nil
	}
	for _, s := range bytes.Split(raw[raw[1]:], []byte{0}) {
		text, binary := strings.CutPrefix(string(s), "io.systemd.credential.binary:")
		if !binary {
			var plain bool
			if text, plain = strings.CutPrefix(text, "io.systemd.credential:"); !plain {
				continue
			}
		}
		name, data, ok := strings.Cut(text, "=")
		if r, err := newReceived(name, data, binary); ok && err == nil {
			list = append(list, r)
		}
	}
	return list
}

// writeSystemCredentials makes the file system, which isn't swapped out, and the files. The first of a name wins.
func writeSystemCredentials(list []received) error {
	if err := os.MkdirAll(systemCredentials, 0o700); err != nil {
		return err
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	err := unix.Mount("tmpfs", systemCredentials, "tmpfs", flags, "mode=0700,nr_inodes=1024,size=2m,noswap")
	if errors.Is(err, unix.EINVAL) {
		err = unix.Mount("ramfs", systemCredentials, "ramfs", flags, "mode=0700")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", systemCredentials, err)
	}
	size := 0
	for _, r := range list {
		if size += len(r.data); size > plan.MaxCredentials {
			return fmt.Errorf("%s: %w", r.name, unix.E2BIG)
		}
		path := systemCredentials + "/" + r.name
		if _, err := os.Lstat(path); err == nil {
			continue
		}
		if err := os.WriteFile(path, r.data, 0o400); err != nil {
			return err
		}
	}
	return unix.Mount("", systemCredentials, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|flags, "")
}
