package machine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/muster-init/muster/test/vm/wire"
)

// Result is what became of a program in the guest.
type Result struct {
	Code   int    // exit status, 128+N for signal N
	Output string // both outputs, as they came
}

// maxOutput bounds what is kept of one program.
const maxOutput = 1 << 20

// call is one program that runs in the guest.
type call struct {
	output strings.Builder
	done   chan Result
}

// Ready waits until the agent of the given boot, counted from 1, answers.
func (m *Machine) Ready(ctx context.Context, boot int) error {
	for {
		m.mu.Lock()
		reached, hello := m.boots >= boot, m.hello
		m.mu.Unlock()
		if reached {
			return nil
		}
		select {
		case <-hello:
		case <-m.done:
			return fmt.Errorf("machine: ended (%s) before boot %d was up", m.ending(), boot)
		case <-ctx.Done():
			return fmt.Errorf("machine: no sign of boot %d: %w", boot, ctx.Err())
		}
	}
}

// Boots is how many boots there were.
func (m *Machine) Boots() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.boots
}

var errReset = errors.New("machine: it was reset while the program ran")

// Exec runs a program in the guest to its end.
func (m *Machine) Exec(ctx context.Context, argv ...string) (Result, error) {
	c := &call{done: make(chan Result, 1)}
	m.mu.Lock()
	m.next++
	id, boot, hello := m.next, m.boots, m.hello
	m.running[id] = c
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		delete(m.running, id)
		m.mu.Unlock()
	}()
	if err := m.port.Send(wire.Message{Kind: wire.Exec, ID: id, Argv: argv}); err != nil {
		return Result{}, err
	}
	partial := func() Result {
		m.mu.Lock()
		defer m.mu.Unlock()
		return Result{Code: -1, Output: c.output.String()}
	}
	select {
	case result := <-c.done:
		return result, nil
	case <-hello:
		return partial(), fmt.Errorf("%w (boot %d)", errReset, boot)
	case <-m.done:
		return partial(), fmt.Errorf("machine: it ended (%s) while the program ran", m.ending())
	case <-ctx.Done():
		return partial(), ctx.Err()
	}
}

// statePause is between two looks at the state: under emulation each costs a tenth of a second of what the boot needs itself.
const statePause = 1500 * time.Millisecond

// WaitRunning waits until the init has finished booting and returns the system state.
func (m *Machine) WaitRunning(ctx context.Context) (string, error) {
	for {
		result, err := m.Exec(ctx, "systemctl", "is-system-running")
		if err != nil {
			return "", fmt.Errorf("waiting for default.target: %w", err)
		}
		state := strings.TrimSpace(result.Output)
		switch state {
		case "running", "degraded", "maintenance", "stopping":
			return state, nil
		}
		select {
		case <-time.After(statePause):
		case <-ctx.Done():
			return state, fmt.Errorf("waiting for default.target: %w (last state %q)", ctx.Err(), state)
		}
	}
}

// receive handles what the agent says.
func (m *Machine) receive() {
	for {
		message, err := m.port.Receive()
		if err != nil {
			return
		}
		switch message.Kind {
		case wire.Hello:
			m.mu.Lock()
			m.boots++
			close(m.hello)
			m.hello = make(chan struct{})
			m.mu.Unlock()
		case wire.Output, wire.Exit:
			m.output(message)
		case wire.Ask:
			go func() {
				answer := wire.Message{Kind: wire.Answer, ID: message.ID}
				text, err := m.answer(message.Argv)
				if answer.Text = text[max(0, len(text)-wire.MaxText):]; err != nil {
					answer.Code, answer.Text = 1, err.Error()
				}
				_ = m.port.Send(answer) // a machine that is gone needs none
			}()
		}
	}
}

func (m *Machine) output(message wire.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.running[message.ID]
	if c == nil {
		return
	}
	if room := maxOutput - c.output.Len(); room > 0 {
		c.output.WriteString(message.Text[:min(room, len(message.Text))])
	}
	if message.Kind == wire.Exit {
		select {
		case c.done <- Result{Code: message.Code, Output: c.output.String()}:
		default: // the agent says it once
		}
	}
}

// hostTimeout bounds what a script asks for.
const hostTimeout = 20 * time.Second

// answer does what a script in the guest asks for:
//
//	monitor COMMAND…  a command of the human monitor; prints its answer
//	plug DISK         plugs in a disk of the machine
//	unplug DISK       takes it out, as soon as the guest lets it go
//	type TEXT         types at the console, \n for the return key
//	console           what the console showed, its last 4 KiB
//	events            what the monitor told by itself, a line each
//	boots             how many boots there were
func (m *Machine) answer(argv []string) (string, error) {
	if len(argv) == 0 {
		return "", errors.New("host: ask for something")
	}
	ctx, cancel := context.WithTimeout(context.Background(), hostTimeout)
	defer cancel()
	rest := strings.Join(argv[1:], " ")
	switch argv[0] {
	case "monitor":
		return m.monitor(rest)
	case "plug":
		_, err := m.qmp.Do("device_add", map[string]any{"driver": "virtio-blk-pci", "id": rest, "drive": "disk-" + rest, "serial": rest})
		return "", err
	case "unplug":
		from := len(m.qmp.Events())
		if _, err := m.qmp.Do("device_del", map[string]any{"id": rest}); err != nil {
			return "", err
		}
		return "", m.qmp.wait(ctx, from, func(e Event) bool { return e.Name == "DEVICE_DELETED" && e.Device == rest })
	case "type":
		return "", m.Type(strings.ReplaceAll(rest, `\n`, "\n"))
	case "console":
		text := m.Console()
		return text[max(0, len(text)-wire.MaxText):], nil
	case "events":
		var out strings.Builder
		for _, e := range m.qmp.Events() {
			out.WriteString(strings.Join(strings.Fields(e.Name+" "+e.Reason+" "+e.Device+" "+e.Action), " ") + "\n")
		}
		return out.String(), nil
	case "boots":
		return strconv.Itoa(m.Boots()), nil
	}
	return "", fmt.Errorf("host: unknown: %s", argv[0])
}

func (m *Machine) monitor(command string) (string, error) {
	raw, err := m.qmp.Do("human-monitor-command", map[string]any{"command-line": command})
	if err != nil {
		return "", err
	}
	text, err := strconv.Unquote(string(raw))
	if err != nil {
		text = string(raw)
	}
	return text, nil
}
