package main

import (
	"errors"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func TestTinyPayloadsRun(t *testing.T) {
	dir := t.TempDir()
	if err := writeTiny(dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{tinyExit: 0, tinyFail: 1} {
		err := exec.Command(filepath.Join(dir, name)).Run()
		var exit *exec.ExitError
		code := 0
		if errors.As(err, &exit) {
			code = exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		if code != want {
			t.Errorf("%s ended with %d, want %d", name, code, want)
		}
	}
	// These live until they are killed; without their sockets, too.
	for _, name := range []string{tinyPause, tinyNotify, tinyBeat} {
		cmd := exec.Command(filepath.Join(dir, name))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case err := <-ended:
			t.Errorf("%s ended by itself: %v", name, err)
		case <-time.After(50 * time.Millisecond):
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
			<-ended
		}
	}
}
