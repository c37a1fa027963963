package enginetest

import (
	"fmt"
	"slices"
	"strings"
)

// shrinkMax bounds how many runs Shrink makes; one run of a thousand steps takes about a tenth of a second.
const shrinkMax = 400

// Shrink looks for a run that breaks the same invariant as the failed run of opt, with fewer actions and fewer units.
func Shrink(opt Options, failed *World, broken string) *World {
	best, runs := failed, 0
	try := func(o Options) bool {
		if runs++; runs > shrinkMax {
			return false
		}
		w := NewWorld(o)
		if err := w.Run(); err == nil || Broken(err) != broken {
			return false
		}
		best, opt = w, o
		return true
	}
	all := make([]int, failed.acts)
	for i := range all {
		all[i] = i
	}
	if opt.Only == nil {
		opt.Only = all
	}
	shorten := func() {
		for size := (len(opt.Only) + 1) / 2; size > 0; size /= 2 {
			for from := 0; from < len(opt.Only); {
				o := opt
				o.Only = append(slices.Clone(opt.Only[:from]), opt.Only[min(from+size, len(opt.Only)):]...)
				if !try(o) {
					from += size
				}
			}
		}
	}
	shorten()
	for _, name := range failed.names {
		o := opt
		o.Without = map[string]bool{name: true}
		for n := range opt.Without {
			o.Without[n] = true
		}
		try(o)
	}
	shorten()
	return best
}

// Report is what a person needs to understand a failed run: the options that repeat it, the units and what happened.
func (w *World) Report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, actions %v, %d steps\n", w.opt.Seed, w.opt.Only, w.steps)
	for _, n := range w.names {
		fmt.Fprintf(&b, "unit %s:", n)
		if u := w.src[n]; u != nil {
			for _, d := range u.Deps {
				fmt.Fprintf(&b, " %s=%s", d.Type, d.Name)
			}
			fmt.Fprintf(&b, " %s\n", settings(u))
		}
	}
	trace := w.Trace
	if len(trace) > 400 {
		trace = trace[len(trace)-400:]
	}
	b.WriteString(strings.Join(trace, "\n"))
	return b.String()
}
