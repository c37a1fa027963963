package bpf

import (
	"encoding/binary"
	"errors"
	"testing"
)

// description makes a small BTF: an int, a struct of two members of which the second has bit field flags, and a function.
func description() []byte {
	order := binary.NativeEndian
	text := "\x00int\x00file\x00f_mode\x00f_inode\x00hook\x00"
	var section []byte
	put := func(words ...uint32) {
		for _, w := range words {
			section = order.AppendUint32(section, w)
		}
	}
	put(1, 1<<24, 4, 32)
	put(5, kindStruct<<24|2, 16, 10, 1, 0, 17, 1, 64)
	put(25, kindFunc<<24, 0)
	head := order.AppendUint16(nil, 0xeb9f)
	head = append(head, 1, 0)
	for _, w := range []uint32{24, 0, uint32(len(section)), uint32(len(section)), uint32(len(text))} {
		head = order.AppendUint32(head, w)
	}
	return append(append(head, section...), text...)
}

func TestTypes(t *testing.T) {
	ty, err := readTypes(description())
	if err != nil {
		t.Fatal(err)
	}
	if id := ty.find(kindFunc, "hook"); id != 3 {
		t.Errorf("hook is type %d", id)
	}
	if id := ty.find(kindFunc, "file"); id != 0 {
		t.Errorf("a struct was taken for a function, %d", id)
	}
	if at, err := ty.member("file", "f_inode"); at != 8 || err != nil {
		t.Errorf("f_inode is at %d, %v", at, err)
	}
	for _, name := range [][2]string{{"file", "f_owner"}, {"inode", "f_mode"}, {"file", "f_inod"}} {
		if _, err := ty.member(name[0], name[1]); !errors.Is(err, ErrTypes) {
			t.Errorf("%v: %v", name, err)
		}
	}
}

// TestTypesCut: whatever is cut off, nothing is read beyond the end.
func TestTypesCut(t *testing.T) {
	whole := description()
	for n := range whole {
		ty, err := readTypes(whole[:n])
		if err != nil {
			continue
		}
		ty.find(kindFunc, "hook")
		_, _ = ty.member("file", "f_inode")
	}
	for at := range whole {
		spoilt := append([]byte(nil), whole...)
		spoilt[at] ^= 0xff
		if ty, err := readTypes(spoilt); err == nil {
			ty.find(kindFunc, "hook")
			_, _ = ty.member("file", "f_inode")
		}
	}
}

// TestKernelTypes: the running kernel has what the program for files needs.
func TestKernelTypes(t *testing.T) {
	ty, err := kernelTypes()
	if err != nil {
		t.Fatalf("this kernel doesn't describe its types: %v", err)
	}
	if ty.find(kindFunc, "vfs_read") == 0 {
		t.Error("no vfs_read")
	}
	if code, err := fileSystemCode(ty, []uint32{0xef53}, true); err != nil || len(code) != 9 {
		t.Errorf("%d instructions, %v", len(code), err)
	}
}
