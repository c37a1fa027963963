package ctl

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
)

// pager is a program that output goes through.
type pager struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
}

// startPager sends what is printed from now on through a pager, on a terminal and unless the user doesn't want one ($SYSTEMD_PAGER, $PAGER).
func (e *Env) startPager(off bool) {
	if off || e.pager != nil || !e.OutTerminal || e.Getenv("TERM") == "dumb" {
		return
	}
	for _, line := range e.pagerCommands() {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "cat" {
			return
		}
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		cmd.Env = append(os.Environ(), "LESS="+orDefault(e.Getenv("SYSTEMD_LESS"), "FRSXMK"), "LESSCHARSET="+orDefault(e.Getenv("SYSTEMD_LESSCHARSET"), "utf-8"), "LESSSECURE=1")
		stdin, err := cmd.StdinPipe()
		if err != nil {
			return
		}
		if cmd.Start() == nil {
			e.Flush()
			e.pager = &pager{cmd: cmd, stdin: stdin}
			e.Out = &pipeWriter{w: stdin}
			return
		}
	}
}

// pagerCommands are the pagers to try in turn.
func (e *Env) pagerCommands() []string {
	for _, name := range []string{"SYSTEMD_PAGER", "PAGER"} {
		if v, ok := e.LookupEnv(name); ok {
			return []string{v}
		}
	}
	return []string{"pager", "less", "more"}
}

func orDefault(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// pipeWriter is a buffered pipe whose reader may leave early.
type pipeWriter struct {
	w   io.Writer
	buf bytes.Buffer
}

func (p *pipeWriter) Write(b []byte) (int, error) {
	p.buf.Write(b)
	if p.buf.Len() > 1<<15 {
		return len(b), p.Flush()
	}
	return len(b), nil
}

func (p *pipeWriter) Flush() error {
	_, err := p.w.Write(p.buf.Bytes())
	p.buf.Reset()
	return err
}

// close lets the pager end and waits until the user has left it.
func (p *pager) close() {
	p.stdin.Close()
	// How the pager ended says nothing about the verb.
	_ = p.cmd.Wait()
}
