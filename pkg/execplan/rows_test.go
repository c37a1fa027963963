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
		companion := map[string]bool{
			// Of use only beside one that is refused.
			"RootImageOptions": true, "RootImagePolicy": true, "MountImagePolicy": true, "ExtensionImagePolicy": true,
		}[r.Name]
		if r.Unsupported != refused && !companion {
			t.Errorf("%s: the table says unsupported=%v, Build refuses=%v", r.Name, r.Unsupported, refused)
		}
	}
}
