package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/test/vm/wire"
)

const (
	portDevice = "/dev/ttyS1"
	askSocket  = "@muster-vm-agent"
)

// server runs what the host asks for and passes on what scripts ask of the host.
type server struct {
	port *wire.Port

	mu      sync.Mutex
	asked   int
	waiting map[int]chan wire.Message // by ID of the question
}

// serve answers the host until the machine ends.
func serve() error {
	// Caught by nobody, not ignored: what it runs would inherit that, and a shutdown wait for it in vain.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT, syscall.SIGPIPE)
	if err := enterRoot(); err != nil {
		return err
	}
	file, err := os.OpenFile(portDevice, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	if err := raw(int(file.Fd())); err != nil {
		return fmt.Errorf("%s: %w", portDevice, err)
	}
	s := &server{port: wire.NewPort(file), waiting: map[int]chan wire.Message{}}
	listener, err := net.Listen("unix", askSocket)
	if err != nil {
		return err
	}
	go s.acceptQuestions(listener)
	if err := s.port.Send(wire.Message{Kind: wire.Hello}); err != nil {
		return err
	}
	for {
		message, err := s.port.Receive()
		if err != nil {
			return err
		}
		switch message.Kind {
		case wire.Exec:
			go s.run(message)
		case wire.Answer:
			s.mu.Lock()
			if waiter := s.waiting[message.ID]; waiter != nil {
				delete(s.waiting, message.ID)
				waiter <- message // has room for one
			}
			s.mu.Unlock()
		}
	}
}

// raw makes the terminal a plain byte stream.
func raw(fd int) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB|unix.CRTSCTS) | unix.CS8 | unix.CREAD | unix.CLOCAL
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return unix.IoctlSetTermios(fd, unix.TCSETS, t)
}

// run runs one program to its end.
func (s *server) run(request wire.Message) {
	cmd := exec.Command(request.Argv[0], request.Argv[1:]...)
	pipe := &outputPipe{server: s, id: request.ID}
	cmd.Stdout, cmd.Stderr = pipe, pipe
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// What a script leaves running must not keep its end from being told.
	cmd.WaitDelay = 1e9
	err := cmd.Run()
	reply := wire.Message{Kind: wire.Exit, ID: request.ID}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		status := exit.Sys().(syscall.WaitStatus)
		if reply.Code = status.ExitStatus(); status.Signaled() {
			reply.Code = 128 + int(status.Signal())
		}
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		reply.Code, reply.Text = 127, err.Error()
	}
	s.port.Send(reply) // without a host there is nobody to tell
}

// outputPipe sends what a program writes.
type outputPipe struct {
	server *server
	id     int
}

func (p *outputPipe) Write(data []byte) (int, error) {
	for rest := data; len(rest) > 0; {
		n := min(len(rest), wire.MaxText)
		if err := p.server.port.Send(wire.Message{Kind: wire.Output, ID: p.id, Text: string(rest[:n])}); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(data), nil
}

// acceptQuestions serves the program `host`, one question per connection.
func (s *server) acceptQuestions(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			var argv []string
			if err := json.NewDecoder(io.LimitReader(conn, wire.MaxText)).Decode(&argv); err != nil {
				return
			}
			json.NewEncoder(conn).Encode(s.ask(context.Background(), argv)) // it has gone: its loss
		}()
	}
}

func (s *server) ask(ctx context.Context, argv []string) wire.Message {
	answer := make(chan wire.Message, 1)
	s.mu.Lock()
	s.asked++
	id := s.asked
	s.waiting[id] = answer
	s.mu.Unlock()
	if err := s.port.Send(wire.Message{Kind: wire.Ask, ID: id, Argv: argv}); err != nil {
		return wire.Message{Code: 1, Text: err.Error()}
	}
	select {
	case m := <-answer:
		return m
	case <-ctx.Done():
		return wire.Message{Code: 1, Text: ctx.Err().Error()}
	}
}

// askHost is the program `host`: the answer goes to standard output.
func askHost(argv []string) error {
	conn, err := net.Dial("unix", askSocket)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := json.NewEncoder(conn).Encode(argv); err != nil {
		return err
	}
	var answer wire.Message
	if err := json.NewDecoder(conn).Decode(&answer); err != nil {
		return err
	}
	if answer.Code != 0 {
		return errors.New(answer.Text)
	}
	_, err = os.Stdout.WriteString(answer.Text)
	return err
}
