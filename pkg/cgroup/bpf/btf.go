package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// ErrTypes is wrapped by complaints about the kernel's description of its types.
var ErrTypes = errors.New("the kernel's types")

// typesMax bounds that description, in bytes; it has about six million.
const typesMax = 64 << 20

// types is the kernel's description of its types (BTF). Only what is asked for is looked at.
type types struct {
	section, text []byte
	offsets       []uint32 // of each type in section
}

// Kinds of types that are of interest, and what stands behind the head of each kind: bytes, and bytes for each of its members.
const (
	kindStruct = 4
	kindFunc   = 12
)

var kindSize = [20]struct{ fixed, each uint32 }{
	1: {4, 0}, 3: {12, 0}, kindStruct: {0, 12}, 5: {0, 12}, 6: {0, 8}, 13: {0, 8}, 14: {4, 0}, 15: {0, 12}, 17: {4, 0}, 19: {0, 12},
}

// kernelTypes reads the running kernel's.
func kernelTypes() (*types, error) {
	fd, err := unix.Open("/sys/kernel/btf/vmlinux", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/sys/kernel/btf/vmlinux: %w", err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Size <= 0 || st.Size > typesMax {
		return nil, fmt.Errorf("%w: %d bytes", ErrTypes, st.Size)
	}
	data := make([]byte, st.Size)
	for n := 0; n < len(data); {
		m, err := unix.Read(fd, data[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil || m == 0 {
			return nil, fmt.Errorf("%w: cut short: %w", ErrTypes, err)
		}
		n += m
	}
	return readTypes(data)
}

func readTypes(data []byte) (*types, error) {
	const magic, head = 0xeb9f, 24
	order := binary.NativeEndian
	if len(data) < head || order.Uint16(data) != magic {
		return nil, fmt.Errorf("%w: no BTF", ErrTypes)
	}
	cut := func(at int) []byte {
		offset, size := uint64(order.Uint32(data[at:]))+uint64(order.Uint32(data[4:])), uint64(order.Uint32(data[at+4:]))
		if offset+size > uint64(len(data)) {
			return nil
		}
		return data[offset : offset+size]
	}
	t := &types{section: cut(8), text: cut(16), offsets: []uint32{0}}
	for at := uint32(0); uint64(at)+12 <= uint64(len(t.section)); {
		info := order.Uint32(t.section[at+4:])
		kind := info >> 24 & 0x1f
		if int(kind) >= len(kindSize) {
			return nil, fmt.Errorf("%w: kind %d", ErrTypes, kind)
		}
		t.offsets = append(t.offsets, at)
		at += 12 + kindSize[kind].fixed + kindSize[kind].each*(info&0xffff)
	}
	return t, nil
}

func (t *types) is(offset uint32, name string) bool {
	if uint64(offset)+uint64(len(name)) >= uint64(len(t.text)) {
		return false
	}
	return string(t.text[offset:int(offset)+len(name)]) == name && t.text[int(offset)+len(name)] == 0
}

// find gives the number of the type of a kind and name, 0 for none.
func (t *types) find(kind uint32, name string) uint32 {
	order := binary.NativeEndian
	for id := 1; id < len(t.offsets); id++ {
		at := t.section[t.offsets[id]:]
		if order.Uint32(at[4:])>>24&0x1f == kind && t.is(order.Uint32(at), name) {
			return uint32(id)
		}
	}
	return 0
}

// member gives the offset of a member of a struct, in bytes.
func (t *types) member(structure, name string) (int16, error) {
	order := binary.NativeEndian
	id := t.find(kindStruct, structure)
	if id == 0 {
		return 0, fmt.Errorf("%w: no struct %s", ErrTypes, structure)
	}
	at := t.section[t.offsets[id]:]
	info := order.Uint32(at[4:])
	for list, n := at[12:], info&0xffff; n > 0 && len(list) >= 12; list, n = list[12:], n-1 {
		if !t.is(order.Uint32(list), name) {
			continue
		}
		bits := order.Uint32(list[8:])
		if info>>31 != 0 {
			bits &= 0xffffff // the rest is the size of a bit field
		}
		if bits%8 != 0 || bits/8 > 1<<15-1 {
			break
		}
		return int16(bits / 8), nil
	}
	return 0, fmt.Errorf("%w: struct %s has no %s", ErrTypes, structure, name)
}
