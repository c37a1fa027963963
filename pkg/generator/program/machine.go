package program

import (
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/kernel/facts"
	"github.com/muster-init/muster/pkg/unit/value"
)

// machine answers what generators ask.
type machine struct{ Process }

// fileMax bounds what is read of one file. A fstab with a line for each of 10,000 mounts fits.
const fileMax = 4 << 20

func (m *machine) path(path string) string {
	if m.Root == "" {
		return path
	}
	return filepath.Join(m.Root, path)
}

// read gives the text of a regular file, "" where there is none. Of a longer one than fileMax the beginning counts, up to the end of a line.
func (m *machine) read(path string) string {
	text, _ := m.readOK(path)
	return text
}

func (m *machine) readOK(path string) (string, bool) {
	// A FIFO in the place of a configuration file must not hold up the boot.
	fd, err := unix.Open(m.path(path), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return "", false
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", false
	}
	data, err := io.ReadAll(io.LimitReader(file, fileMax+1))
	if err != nil {
		return "", false
	}
	text := string(data)
	if len(text) > fileMax {
		io.WriteString(m.Stderr, path+": only the first 4 MiB count\n")
		text = text[:strings.LastIndexByte(text[:fileMax], '\n')+1]
	}
	return text, true
}

func (m *machine) exists(path string) bool {
	_, err := os.Lstat(m.path(path))
	return err == nil
}

func (m *machine) executable(path string) bool {
	info, err := os.Stat(m.path(path))
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// initrd tells whether this is the initial RAM disk.
func (m *machine) initrd() bool {
	if v, err := value.ParseBool(m.Getenv("SYSTEMD_IN_INITRD")); err == nil {
		return v
	}
	return m.exists("/etc/initrd-release")
}

// container is the manager of the container we are in, "" for none.
func (m *machine) container() string {
	if v := m.Getenv("SYSTEMD_VIRTUALIZATION"); v != "" {
		name, _ := strings.CutPrefix(v, "container:")
		if name != v {
			return name
		}
		return ""
	}
	return strings.TrimSpace(m.read("/run/systemd/container"))
}

func (m *machine) commandLine() string {
	if text := m.Getenv("SYSTEMD_PROC_CMDLINE"); text != "" {
		return text
	}
	if m.Root != "" {
		return ""
	}
	text, err := facts.KernelCommandLine("", m.container() != "")
	if err != nil {
		io.WriteString(m.Stderr, "kernel command line: "+err.Error()+"\n")
	}
	return text
}

// credential reads one of the system's credentials.
func (m *machine) credential(name string) (text string, ok bool) {
	dir := m.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return "", false
	}
	return m.readOK(dir + "/" + name)
}

func (m *machine) credentials() []string {
	dir := m.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return nil
	}
	return m.names(dir)
}

// names lists a directory, sorted.
func (m *machine) names(dir string) []string {
	entries, err := os.ReadDir(m.path(dir))
	if err != nil {
		return nil
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names
}

const linksMax = 40

// resolve follows the links in path below root ("" or a directory that stands for /). What isn't there is taken as it is written; a path with too many
// links is returned unchanged.
func (m *machine) resolve(root, path string) string {
	rest := strings.Split(path, "/")
	done := ""
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			done = strings.TrimSuffix(filepath.Dir("/"+done), "/")
			continue
		}
		next := done + "/" + part
		target, err := os.Readlink(m.path(root + next))
		if err != nil {
			done = next
			continue
		}
		if links++; links > linksMax {
			return path
		}
		if strings.HasPrefix(target, "/") {
			done = ""
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return "/" + strings.TrimPrefix(done, "/")
}

// searchPath is where helper programs are.
var searchPath = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

func (m *machine) find(program string) string {
	if program == "" || strings.Contains(program, "/") {
		return ""
	}
	for _, dir := range searchPath {
		if path := dir + "/" + program; m.executable(path) {
			return path
		}
	}
	return ""
}

// helper is a program of systemd's, "" where it isn't installed.
func (m *machine) helper(name string) string {
	for _, dir := range []string{"/usr/bin/", "/usr/lib/systemd/", "/lib/systemd/"} {
		if m.executable(dir + name) {
			return dir + name
		}
	}
	return ""
}

// readOnlySys tells that /sys is read-only, as container managers mount it.
func (m *machine) readOnlySys() bool {
	if v, err := value.ParseBool(m.Getenv("SYSTEMD_SYSFS_CHECK")); err == nil && !v {
		return false
	}
	var st unix.Statfs_t
	return unix.Statfs(m.path("/sys"), &st) == nil && st.Flags&unix.ST_RDONLY != 0
}
