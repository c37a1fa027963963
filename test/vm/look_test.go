package vm

import (
	"context"
	"flag"
	"fmt"
	"testing"
)

var lookCommand = flag.String("look", "", "instead of the scenarios: boot, run this in a shell, print what it writes")

// look is for looking around: it boots the shared machine, runs a command in
// whatever state that reaches, and prints the output. It judges nothing but that
// the command could be run.
//
//	go test ./test/vm -v -init=muster -look 'systemctl --failed'
func (h *harness) look(t *testing.T) error {
	m, err := h.boot(t, anyState(), h.initrd)
	if err != nil {
		return err
	}
	defer h.stop(t, m)
	ctx, cancel := context.WithTimeout(t.Context(), bootTimeout)
	defer cancel()
	state, err := m.WaitRunning(ctx)
	fmt.Printf("%s: state %q, %v\n", h.program.Name, state, err)
	result, err := m.Exec(ctx, "bash", "-c", ". /scenarios/lib.sh; trap - ERR; set +E; "+*lookCommand)
	fmt.Printf("%s(exit status %d)\n", result.Output, result.Code)
	return err
}

func anyState() *spec {
	s := sharedSpec()
	s.state = "any"
	return s
}
