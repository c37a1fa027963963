//go:build muster_plant

package manager

import (
	"errors"
	"os"
	"strings"
	"time"

	"github.com/muster-init/muster/pkg/engine/machine"
)

// plantFile says which fault the image is to have; each test writes it, one word a line.
const plantFile = "/run/muster-plant"

func init() {
	heartbeatUSec, proofUSec, probationUSec = 1_000_000, 3_000_000, 5_000_000
	if asked("init") {
		panic("planted in init")
	}
	if asked("init-pid1") && os.Getpid() == 1 {
		panic("planted in the init of PID 1")
	}
}

func asked(what string) bool {
	data, _ := os.ReadFile(plantFile)
	for _, word := range strings.Fields(string(data)) {
		if word == what {
			return true
		}
	}
	return false
}

// planted has a fault at a place of the shell.
func planted(place string) error {
	switch {
	case asked(place + "-refuse"):
		return errors.New("planted: the state is refused")
	case asked(place + "-panic"):
		panic("planted at " + place)
	case asked(place + "-hang"):
		for {
			time.Sleep(time.Hour)
		}
	case asked(place + "-spin"):
		for {
		}
	case asked(place + "-eat"):
		var keep [][]byte
		for {
			keep = append(keep, make([]byte, 16<<20))
			for i := 0; i < 16<<20; i += 4096 {
				keep[len(keep)-1][i] = 1
			}
		}
	}
	return nil
}

// plantedProbation has a fault in an image that took over a moment ago.
func plantedProbation(m *Manager) {
	m.alarms.after("planted", 300_000, func() {
		if asked("loop-version") {
			_ = m.state.Put("engine", []byte(`{"version":99}`))
			_ = m.state.Flush()
			panic("planted after a state that only this image can read")
		}
		_ = planted("loop")
	})
}

// plantedStep has a fault in the middle of a Step, for a unit that asks for it by its status text.
func plantedStep(unit string, ev machine.Event) {
	n, ok := ev.(machine.Notify)
	if !ok || n.Msg.Status == nil || n.Unit != unit {
		return
	}
	switch *n.Msg.Status {
	case "plant:panic":
		panic("planted for " + unit)
	case "plant:stack":
		deeper(1)
	case "plant:hang":
		for {
		}
	}
}

func deeper(n int) int { return deeper(n+1) + n }
