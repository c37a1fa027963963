package loader

import (
	"bytes"
	"hash/maphash"
	"unsafe"

	"github.com/muster-init/muster/pkg/unit"
)

// sharedMax bounds how many different blocks are remembered.
const sharedMax = 4096

// shared finds blocks of settings that are the same as those of a unit loaded before, so that a thousand instances of a template, or services that
// only say StandardOutput=null, have one block of execution settings between them: it is over a kilobyte. Configurations are immutable, so
// nobody notices.
type shared struct {
	seed     maphash.Seed
	exec     map[uint64]*unit.Exec
	settings map[uint64]*unit.ServiceSettings
}

func newShared() *shared {
	return &shared{seed: maphash.MakeSeed(), exec: map[uint64]*unit.Exec{}, settings: map[uint64]*unit.ServiceSettings{}}
}

// share replaces blocks of u by equal ones.
func (s *shared) share(u *unit.Unit) {
	if u.Exec != nil {
		u.Exec = oneOf(s.seed, s.exec, u.Exec)
	}
	if u.Service != nil {
		u.Service.ServiceSettings = oneOf(s.seed, s.settings, u.Service.ServiceSettings)
	}
}

// oneOf gives the block known with the same bytes, or remembers this one. Blocks with equal bytes have equal strings, lists and pointers. Those that
// are equal in another way, say because a list was read twice, just aren't shared.
func oneOf[T any](seed maphash.Seed, known map[uint64]*T, p *T) *T {
	key := maphash.Bytes(seed, memory(p))
	if other, ok := known[key]; ok && bytes.Equal(memory(other), memory(p)) {
		return other
	}
	if len(known) >= sharedMax {
		clear(known)
	}
	known[key] = p
	return p
}

// memory is what a block consists of.
func memory[T any](p *T) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(p)), unsafe.Sizeof(*p)) }
