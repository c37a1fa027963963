package kernel

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func init() {
	helpers["broken pipe"] = func(args []string) {
		if args[0] == "ignored" {
			IgnoreBrokenPipes()
		}
		for range 3 {
			fmt.Println("nobody reads this")
		}
		os.Exit(42)
	}
}

func TestIgnoreBrokenPipes(t *testing.T) {
	for kind, alive := range map[string]bool{"ignored": true, "as Go has it": false} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		var l OpList
		l.DefaultSignal(unix.SIGPIPE)
		l.Dup(99, int(w.Fd()), 1)
		execHelper(&l, "broken pipe", kind)
		r.Close()
		c, err := Spawn(&l, SpawnOptions{})
		w.Close()
		if err != nil {
			t.Fatal(err)
		}
		if ws := reap(t, c); (ws.ExitStatus() == 42) != alive {
			t.Errorf("%s: %v", kind, ws)
		}
		c.Release()
	}
}
