package condition

import (
	"bufio"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Facts is what the tests look at. The zero value with Root "/" reads the running machine; tests and the manager fill in what they know better.
type Facts struct {
	Root           string   // "/" or a directory of a test
	User           bool     // a user manager
	Environment    []string // the manager's environment block
	Virtualization string   // as systemd-detect-virt names it: "none", "kvm", "docker", …
	Container      bool     // Virtualization is a container
	PrivateUsers   bool     // in a user namespace
	FirstBoot      bool
	CommandLine    []string // kernel command line, split and unquoted
	Controllers    []string // cgroup controllers of the manager's cgroup
	CgroupRoot     string   // the mounted directory of the manager's root cgroup
	Credentials    string   // the manager's own credential directory, "" none
	Version        string   // ours, compared by Version=systemd …
	Kernel         string   // uname -r; "" asks the kernel
	Architecture   string   // as systemd names it; "" is this program's
}

func (f *Facts) path(p string) string {
	if f.Root == "" || f.Root == "/" {
		return p
	}
	return filepath.Join(f.Root, p)
}

func (f *Facts) read(p string) (string, error) {
	data, err := os.ReadFile(f.path(p))
	return strings.TrimRight(string(data), "\n"), err
}

func (f *Facts) kernel() string {
	if f.Kernel != "" {
		return f.Kernel
	}
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

func (f *Facts) architecture() string {
	if f.Architecture != "" {
		return f.Architecture
	}
	switch runtime.GOARCH {
	case "amd64":
		return "x86-64"
	case "386":
		return "x86"
	case "arm64":
		return "arm64"
	case "arm":
		return "arm"
	case "riscv64":
		return "riscv64"
	case "ppc64le":
		return "ppc64-le"
	case "ppc64":
		return "ppc64"
	case "s390x":
		return "s390x"
	case "loong64":
		return "loongarch64"
	case "mips64le":
		return "mips64-le"
	}
	return runtime.GOARCH
}

// osRelease reads the fields of os-release(5).
func (f *Facts) osRelease() (map[string]string, error) {
	file, err := os.Open(f.path("/etc/os-release"))
	if os.IsNotExist(err) {
		file, err = os.Open(f.path("/usr/lib/os-release"))
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	out := map[string]string{}
	s := bufio.NewScanner(file)
	for s.Scan() {
		line := strings.TrimSpace(s.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		key, val, ok := strings.Cut(line, "=")
		if ok {
			out[key] = unquote(val)
		}
	}
	return out, s.Err()
}

func unquote(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		s = s[1 : len(s)-1]
	}
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
