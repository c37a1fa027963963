package kernel

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// KmsgMax is the longest record the kernel takes (LOG_LINE_MAX less a prefix).
const KmsgMax = 976

// Kmsg writes to the kernel's log; it never blocks.
type Kmsg struct {
	fd  int
	tag string
}

// OpenKmsg opens /dev/kmsg; tag is put before each line, e.g. "muster[1]".
func OpenKmsg(tag string) (*Kmsg, error) {
	fd, err := openRetry("/dev/kmsg", unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOCTTY|unix.O_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("/dev/kmsg: %w", err)
	}
	return &Kmsg{fd, tag}, nil
}

// Write writes text with a syslog priority 0-7 and facility (3 is daemon, 0
// would be the kernel's own): one record per line, cut at [KmsgMax] bytes. The
// kernel may drop records by its rate limit (printk.devkmsg).
func (k *Kmsg) Write(priority, facility int, text string) error {
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			continue
		}
		if err := k.record(kmsgRecord(priority, facility, k.tag, line)); err != nil {
			return fmt.Errorf("/dev/kmsg: %w", err)
		}
	}
	return nil
}

func kmsgRecord(priority, facility int, tag, line string) string {
	head := fmt.Sprintf("<%d>%s: ", facility<<3|priority&7, tag)
	if len(head)+len(line) > KmsgMax {
		line = line[:KmsgMax-len(head)]
	}
	return head + line + "\n"
}

func (k *Kmsg) record(s string) error {
	for {
		_, err := unix.Write(k.fd, []byte(s))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return nil // the rate limit
		}
		return err
	}
}

// Close closes the device.
func (k *Kmsg) Close() error { return unix.Close(k.fd) }
