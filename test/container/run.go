package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/muster-init/muster/test/container/box"
)

// session is one `make run`.
type session struct {
	program     box.Program
	root        string
	showConsole bool
}

const (
	bootTimeout     = 2 * time.Minute
	shutdownTimeout = 2 * time.Minute
)

func run(ctx context.Context, s session) (err error) {
	options := box.Options{
		Root: s.root, Init: s.program.Path, Args: s.program.Args, Binds: s.program.Binds, Files: box.Identity(),
	}
	if s.showConsole {
		options.Log = os.Stderr
	}
	fmt.Printf("booting %s as PID 1 of its own namespaces over %s\n", s.program.Name, s.root)
	began := time.Now()
	b, err := box.Start(options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Stop()) }()
	ctl := controlProgram(s, b)
	state, err := waitBooted(ctx, b, ctl)
	if err != nil {
		return fmt.Errorf("%w\n--- console\n%s", err, lastLines(b.Console(), 40))
	}
	fmt.Printf("default.target reached after %d ms, the system is %s\n", time.Since(began).Milliseconds(), state)
	result := s.visit(ctx, b, ctl, state)
	if box.IsTerminal(os.Stdin) && box.IsTerminal(os.Stdout) {
		fmt.Printf("\nA shell inside; `exit` powers off.\n")
		if _, err := b.Shell(ctx, os.Stdin, os.Stdout, shellProgram(b), "-l"); err != nil {
			result = errors.Join(result, err)
		}
	}
	return errors.Join(result, powerOff(b))
}

func waitBooted(ctx context.Context, b *box.Box, ctl string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, bootTimeout)
	defer cancel()
	return b.WaitRunning(ctx, ctl)
}

// visit shows what runs: a page from nginx, the tree of units, what failed.
func (s session) visit(ctx context.Context, b *box.Box, ctl, state string) error {
	var errs []error
	if has(b, "/usr/sbin/nginx") {
		status, size, err := fetchPage(ctx, b)
		if err != nil {
			errs = append(errs, fmt.Errorf("nginx: %w", err))
		} else {
			fmt.Printf("nginx inside answers: %s, %d bytes\n", status, size)
		}
	}
	units, err := listUnits(ctx, b, ctl)
	if err != nil {
		errs = append(errs, err)
	}
	fmt.Println()
	printTree(os.Stdout, units)
	if state != "running" {
		failed, err := b.Exec(ctx, ctl, "list-units", "--failed", "--no-legend", "--plain")
		errs = append(errs, fmt.Errorf("the system is %s:\n%s", state, failed.Stdout), err)
	}
	return errors.Join(errs...)
}

func powerOff(b *box.Box) error {
	// Not the caller's context: after ^C the power-off is still clean.
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	began := time.Now()
	status, err := b.Shutdown(ctx)
	if err != nil {
		return fmt.Errorf("%w\n--- console\n%s", err, lastLines(b.Console(), 20))
	}
	if !status.Clean() {
		return fmt.Errorf("PID 1 %v instead of a clean power-off\n--- console\n%s", status, lastLines(b.Console(), 20))
	}
	fmt.Printf("\npowered off after %d ms: PID 1 %v\n", time.Since(began).Milliseconds(), status)
	return nil
}

// controlProgram is systemctl where the root has it, else musterctl.
func controlProgram(s session, b *box.Box) string {
	if has(b, "/usr/bin/systemctl") {
		return s.program.Ctl
	}
	return "musterctl"
}

func shellProgram(b *box.Box) string {
	if has(b, "/bin/bash") {
		return "/bin/bash"
	}
	return "/bin/sh"
}

// has tells whether a file exists inside, following the links of the root.
func has(b *box.Box, path string) bool {
	_, err := os.Stat(b.Path(path))
	return err == nil
}

func fetchPage(ctx context.Context, b *box.Box) (string, int, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := b.DialTCP(ctx, 80)
	if err != nil {
		return "", 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", 0, err
	}
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		return "", 0, err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "", 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return "", 0, err
	}
	if response.StatusCode != http.StatusOK {
		return "", 0, fmt.Errorf("answered %s", response.Status)
	}
	return response.Proto + " " + response.Status, len(body), nil
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(text, "\r", "")), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}
