package machine

import (
	"io"
	"strings"
	"sync"
)

// consoleBytes bounds what is kept of a console: the end of it tells most.
const consoleBytes = 1 << 20

// console keeps what the guest and qemu itself say.
type console struct {
	mu   sync.Mutex
	kept []byte
}

func newConsole(r io.Reader) *console {
	c := &console{}
	go func() { _, _ = io.Copy(c, r) }()
	return c
}

// Write keeps more output.
func (c *console) Write(data []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = append(c.kept, data...)
	if len(c.kept) > consoleBytes {
		c.kept = append([]byte{}, c.kept[len(c.kept)-consoleBytes/2:]...)
	}
	return len(data), nil
}

// errors is where qemu's own messages go.
func (c *console) errors() io.Writer { return c }

func (c *console) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.ReplaceAll(string(c.kept), "\r", "")
}
