package busapi

import (
	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/path"
)

// pathRuntime are the run-time properties of paths.
func pathRuntime() []property {
	return []property{
		unitString("Unit", bus.EmitsConst, func(_ *Server, u *engine.Unit) string { return path.Trigger(u.Config()) }),
		unitString("Result", bus.EmitsChange, func(_ *Server, u *engine.Unit) string { return success(u.Result()) }),
	}
}
