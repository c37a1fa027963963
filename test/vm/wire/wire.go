// Package wire is what the test program and the agent inside a virtual machine
// say to each other: one JSON object per line over the second serial port.
//
// A serial port needs no module, network or file system, so the agent answers
// from before PID 1 is started until after it has killed everything else.
package wire

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// The kinds of a message.
const (
	Hello  = "hello"  // guest: the agent of a new boot is there
	Exec   = "exec"   // host: run Argv
	Output = "output" // guest: Text is what the program of ID wrote
	Exit   = "exit"   // guest: the program of ID ended with Code
	Ask    = "ask"    // guest: a script asks the host for Argv
	Answer = "answer" // host: Text and Code are the answer to ID
)

// Message is one line, in either direction.
type Message struct {
	Kind string   `json:"kind"`
	ID   int      `json:"id,omitempty"`
	Argv []string `json:"argv,omitempty"`
	Text string   `json:"text,omitempty"`
	Code int      `json:"code,omitempty"`
}

// Bounds: a longer line is not ours, and Text is cut into pieces below it.
const (
	MaxText = 4096
	maxLine = 64 << 10
)

// Port writes whole messages from any goroutine and reads them from one.
type Port struct {
	mu   sync.Mutex
	w    io.Writer
	scan *bufio.Scanner
}

// NewPort speaks over rw.
func NewPort(rw io.ReadWriter) *Port {
	scan := bufio.NewScanner(rw)
	scan.Buffer(make([]byte, 0, maxLine), maxLine)
	return &Port{w: rw, scan: scan}
}

// Send writes one message.
func (p *Port) Send(m Message) error {
	line, err := json.Marshal(m)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.Kind == Hello {
		line = append([]byte{'\n'}, line...) // what firmware or the boot before left on the line is none of it
	}
	_, err = p.w.Write(append(line, '\n'))
	return err
}

// Receive reads the next message. Lines that are none, as half of one that a
// reset cut off, are skipped.
func (p *Port) Receive() (Message, error) {
	for p.scan.Scan() {
		var m Message
		if err := json.Unmarshal(p.scan.Bytes(), &m); err == nil && m.Kind != "" {
			return m, nil
		}
	}
	if err := p.scan.Err(); err != nil {
		return Message{}, fmt.Errorf("wire: %w", err)
	}
	return Message{}, io.EOF
}
