package unit

import (
	"strings"

	"github.com/muster-init/muster/pkg/unit/value"
)

// kCapabilities is a set of capabilities. The first assignment replaces
// initial, later ones add, those with ~ take away.
func kCapabilities(initial uint64) *kind[uint64] {
	return &kind[uint64]{
		name: "list of capabilities, ~ in front inverts",
		parse: func(_ *Context, cur *uint64, text string) error {
			set, err := value.MergeCapabilitySet(capabilitySet(*cur), capabilitySet(initial), text)
			*cur = uint64(set)
			if set == value.CapabilityAll {
				*cur = allBits
			}
			return partial(err)
		},
		format: func(v *uint64) []string { return []string{capabilitySet(*v).String()} },
		bus: []form[uint64]{{sig: "t", write: busUint64.write,
			read: func(r BusReader, _ *uint64) ([]string, error) {
				text := capabilitySet(r.Uint64()).String()
				if strings.HasPrefix(text, "~") {
					return []string{text}, nil
				}
				return []string{"", text}, nil
			}}},
	}
}

func capabilitySet(bits uint64) value.CapabilitySet {
	return value.CapabilitySet(bits) & value.CapabilityAll
}

// kSecureBits is SecureBits=.
var kSecureBits = &kind[int32]{
	name: "list of secure bits",
	parse: func(_ *Context, cur *int32, text string) error {
		if text == "" {
			*cur = 0
			return nil
		}
		set, err := value.ParseSecureBits(text)
		*cur |= int32(set)
		return partial(err)
	},
	format: func(v *int32) []string { return []string{value.SecureBits(*v).String()} },
	bus: []form[int32]{{sig: "i", write: busInt32.write,
		read: func(r BusReader, _ *int32) ([]string, error) {
			return []string{"", value.SecureBits(r.Int32()).String()}, nil
		}}},
}
