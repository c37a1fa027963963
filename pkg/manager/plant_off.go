//go:build !muster_plant

package manager

import "github.com/muster-init/muster/pkg/engine/machine"

// Faults that tests plant. In a program that is built as usual there are none, and no way to ask for one.

func planted(string) error                      { return nil }
func plantedProbation(*Manager)                 {}
func plantedStep(unit string, ev machine.Event) {}
