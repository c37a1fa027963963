package box

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// consoleMax bounds what is kept of the console, in bytes.
const consoleMax = 1 << 20

// console is a pseudo terminal whose slave becomes /dev/console inside. Its
// master is always read, because a full terminal would block PID 1.
type console struct {
	master *os.File
	keep   *os.File // our own open slave: keeps the pair alive between writers
	slave  string
	done   chan struct{}

	mutex   sync.Mutex
	buffer  []byte
	log     io.Writer
	replies []Reply // to come
	unread  string  // what was shown since the last reply, while there are replies to come
}

// Reply is what a person at the console types once Question is shown.
type Reply struct{ Question, Text string }

func openConsole(log io.Writer, replies []Reply) (*console, error) {
	master, slave, err := openPTY("/dev/ptmx", "/dev/pts")
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	keep, err := os.OpenFile(slave, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		master.Close()
		return nil, fmt.Errorf("console: %w", err)
	}
	c := &console{master: master, keep: keep, slave: slave, done: make(chan struct{}), log: log, replies: replies}
	go c.pump()
	return c, nil
}

// openPTY returns a new master and the path of its slave.
func openPTY(ptmx, pts string) (*os.File, string, error) {
	fd, err := unix.Open(ptmx, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", ptmx, err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		unix.Close(fd)
		return nil, "", fmt.Errorf("%s: %w", ptmx, err)
	}
	// Non-blocking, so that Close wakes the reader.
	return os.NewFile(uintptr(fd), ptmx), pts + "/" + strconv.Itoa(number), nil
}

func (c *console) pump() {
	defer close(c.done)
	chunk := make([]byte, 32<<10)
	for {
		n, err := c.master.Read(chunk)
		c.mutex.Lock()
		c.buffer = append(c.buffer, chunk[:n]...)
		if extra := len(c.buffer) - consoleMax; extra > 0 {
			c.buffer = append(c.buffer[:0], c.buffer[extra:]...)
		}
		c.mutex.Unlock()
		c.reply(chunk[:n])
		if c.log != nil && n > 0 {
			// A log that can't be written must not stop the console.
			_, _ = c.log.Write(chunk[:n])
		}
		if err != nil {
			return
		}
	}
}

// reply types the next text if its question is complete now. Only pump calls it.
func (c *console) reply(shown []byte) {
	if len(c.replies) == 0 {
		return
	}
	next := c.replies[0]
	c.unread += string(shown)
	if !strings.Contains(c.unread, next.Question) {
		c.unread = c.unread[max(0, len(c.unread)-len(next.Question)):]
		return
	}
	c.unread, c.replies = "", c.replies[1:]
	// The terminal takes a few bytes in any case, and a script that waits for what follows shows when it did not.
	_, _ = c.master.WriteString(next.Text)
}

func (c *console) text() string {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return string(c.buffer)
}

// finish waits until all is read that was written before PID 1 ended: with the last writer gone the terminal tells its end.
func (c *console) finish() {
	c.keep.Close()
	select {
	case <-c.done:
	case <-time.After(10 * time.Second): // somebody on the host has it open
	}
}

func (c *console) close() {
	c.keep.Close()
	c.master.Close()
	<-c.done
}
