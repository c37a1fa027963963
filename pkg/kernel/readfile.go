package kernel

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// smallFileMax bounds the kernel's one-value files.
	smallFileMax = 64 << 10
	// tableMax bounds tables that grow with the system: mountinfo.
	tableMax = 64 << 20
)

// readSmall reads a file of the kernel (proc, sysfs, cgroup2), up to 64 KiB.
func readSmall(path string) ([]byte, error) { return ReadKernelFile(path, smallFileMax) }

// ReadKernelFile reads a virtual file whole without the help of the Go
// poller, up to limit bytes; EFBIG if there is more. Not for foreign files: it
// may block on those.
func ReadKernelFile(path string, limit int) ([]byte, error) {
	fd, err := openRetry(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer unix.Close(fd)
	b, err := ReadFD(fd, limit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

func openRetry(path string, flags int) (int, error) {
	for {
		fd, err := unix.Open(path, flags, 0)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

// ReadFD reads from the current offset to the end, up to limit bytes; EFBIG if
// there is more.
func ReadFD(fd, limit int) ([]byte, error) {
	b := make([]byte, 0, min(4096, limit+1))
	for {
		if len(b) == cap(b) {
			if cap(b) > limit {
				return nil, unix.EFBIG
			}
			b = append(b, 0)[:len(b)]
		}
		n, err := unix.Read(fd, b[len(b):cap(b)])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, err
		case n == 0:
			if len(b) > limit {
				return nil, unix.EFBIG
			}
			return b, nil
		}
		b = b[:len(b)+n]
	}
}

// WriteKernelFile writes content to an existing virtual file in one write(2).
func WriteKernelFile(path, content string) error {
	fd, err := openRetry(path, unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOCTTY)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer unix.Close(fd)
	for {
		_, err = unix.Write(fd, []byte(content))
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("%s: write %q: %w", path, content, err)
	}
	return nil
}

// field finds the line that begins with key and returns the rest, trimmed.
func field(text, key string) (string, bool) {
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(line, key); ok {
			return strings.TrimSpace(v), true
		}
	}
	return "", false
}

func atoi(s string) (int, error) { return strconv.Atoi(s) }
