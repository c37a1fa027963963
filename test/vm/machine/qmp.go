package machine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Event is what the monitor told by itself, see qemu-qmp-ref(7).
type Event struct {
	Name   string
	Reason string // SHUTDOWN, RESET
	Device string // DEVICE_DELETED
	Action string // WATCHDOG
}

// maxEvents bounds the events that are kept.
const maxEvents = 1000

// qmp is the monitor of one machine: one command at a time.
type qmp struct {
	conn    net.Conn
	command sync.Mutex
	answers chan reply
	gone    <-chan struct{}

	mu     sync.Mutex
	events []Event
	news   chan struct{} // closed and replaced at each event
}

type reply struct {
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Desc string `json:"desc"`
	} `json:"error"`
	Event string `json:"event"`
	Data  struct {
		Reason string `json:"reason"`
		Device string `json:"device"`
		Action string `json:"action"`
	} `json:"data"`
	Greeting json.RawMessage `json:"QMP"`
}

func newQMP(conn net.Conn, gone <-chan struct{}) (*qmp, error) {
	q := &qmp{conn: conn, answers: make(chan reply, 1), gone: gone, news: make(chan struct{})}
	go q.read()
	_, err := q.Do("qmp_capabilities", nil)
	return q, err
}

func (q *qmp) read() {
	scan := bufio.NewScanner(q.conn)
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		var r reply
		if err := json.Unmarshal(scan.Bytes(), &r); err != nil || r.Greeting != nil {
			continue
		}
		if r.Event == "" {
			select {
			case q.answers <- r:
			default: // nobody waits any more
			}
			continue
		}
		q.mu.Lock()
		if len(q.events) < maxEvents {
			q.events = append(q.events, Event{Name: r.Event, Reason: r.Data.Reason, Device: r.Data.Device, Action: r.Data.Action})
		}
		close(q.news)
		q.news = make(chan struct{})
		q.mu.Unlock()
	}
}

// Events are those so far.
func (q *qmp) Events() []Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]Event{}, q.events...)
}

// Do carries out one command.
func (q *qmp) Do(name string, arguments map[string]any) (json.RawMessage, error) {
	q.command.Lock()
	defer q.command.Unlock()
	message := map[string]any{"execute": name}
	if arguments != nil {
		message["arguments"] = arguments
	}
	line, err := json.Marshal(message)
	if err != nil {
		return nil, err
	}
	if _, err := q.conn.Write(append(line, '\n')); err != nil {
		return nil, fmt.Errorf("monitor: %s: %w", name, err)
	}
	select {
	case r := <-q.answers:
		if r.Error != nil {
			return nil, fmt.Errorf("monitor: %s: %s", name, r.Error.Desc)
		}
		return r.Return, nil
	case <-q.gone:
		return nil, fmt.Errorf("monitor: %s: qemu is gone", name)
	case <-time.After(20 * time.Second):
		return nil, fmt.Errorf("monitor: %s: no answer within 20 s", name)
	}
}

// wait waits until ok holds for one of the events from the given number on.
func (q *qmp) wait(ctx context.Context, from int, ok func(Event) bool) error {
	for {
		q.mu.Lock()
		news := q.news
		seen := q.events[min(from, len(q.events)):]
		q.mu.Unlock()
		for _, event := range seen {
			if ok(event) {
				return nil
			}
		}
		select {
		case <-news:
		case <-q.gone:
			return errors.New("monitor: qemu is gone")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
