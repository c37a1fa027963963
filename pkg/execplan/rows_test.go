package execplan

import (
	"testing"

	"github.com/muster-init/muster/pkg/unit"
)

// TestStatusOfRows: what the directive table calls unsupported is what Build
// refuses, and nothing else.
func TestStatusOfRows(t *testing.T) {
	service := unit.SectionFromString("Service")
	for _, r := range unit.Rows() {
		if r.In&service == 0 || r.Alias {
			continue
		}
		refused := !Implemented(r.Name)
		if r.Unsupported != refused {
			t.Errorf("%s: the table says unsupported=%v, Build refuses=%v", r.Name, r.Unsupported, refused)
		}
	}
}
