package value

import (
	"errors"
	"testing"
)

func TestParseBPF(t *testing.T) {
	for _, c := range []struct {
		kind BPFKind
		text string
		want uint64
		ok   bool
	}{
		{BPFCommands, "BPFMapCreate,BPFProgLoad,BPFTokenCreate", 1 | 1<<5 | 1<<36, true},
		{BPFMaps, "BPFMapTypeLruPercpuHash,BPFMapTypeArena", 1<<10 | 1<<33, true},
		{BPFPrograms, "BPFProgTypeXdp,BPFProgTypeNetfilter", 1<<6 | 1<<32, true},
		{BPFAttachments, "BPFCgroupInet4Bind,BPFXdp,BPFNetkitPeer", 1<<8 | 1<<37 | 1<<55, true},
		{BPFMaps, "any", ^uint64(0), true},
		{BPFMaps, "BPFMapTypeArray,any", 0, false},
		{BPFMaps, "", 0, false},
		{BPFMaps, "BPFMapTypeArray,", 0, false},
		{BPFMaps, "bpf_map_type_array", 0, false},
		{BPFCommands, "BPFMapTypeArray", 0, false},
	} {
		got, err := ParseBPF(c.kind, c.text)
		if got != c.want || (err == nil) != c.ok || err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %#x, %v, want %#x", c.text, got, err, c.want)
		}
	}
}
