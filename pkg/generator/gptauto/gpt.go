package gptauto

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Partition is an entry of a GUID partition table.
type Partition struct {
	Number     int    // from 1
	Type, UUID string // as text, lower case
	Flags      uint64
	Start, End uint64 // bytes; End is behind the last
	FSType     string // as blkid names it, "" for unknown
	Node       string // path of the device
}

const (
	headerBytes = 92
	entriesMax  = 1024 // a table has 128 by default
	entryMax    = 4096
)

// Errors of ReadTable.
var (
	ErrNoTable = errors.New("no GUID partition table")
	ErrTable   = errors.New("GUID partition table is damaged")
)

// ReadTable reads the table of a disk (UEFI specification, chapter 5). read gives n bytes at an offset; sector is the size of a logical block. The
// copy at the end of the disk is not looked at: a disk whose first table is damaged is left alone.
func ReadTable(read func(offset uint64, n int) ([]byte, error), sector uint64) ([]Partition, error) {
	h, err := read(sector, headerBytes)
	if err != nil {
		return nil, err
	}
	if len(h) < headerBytes || string(h[:8]) != "EFI PART" {
		return nil, ErrNoTable
	}
	le := binary.LittleEndian
	if size := le.Uint32(h[12:]); size != headerBytes {
		return nil, fmt.Errorf("%w: header of %d bytes", ErrTable, size)
	}
	sum := le.Uint32(h[16:])
	clean := append([]byte(nil), h...)
	le.PutUint32(clean[16:], 0)
	if crc32.ChecksumIEEE(clean) != sum {
		return nil, fmt.Errorf("%w: checksum of the header", ErrTable)
	}
	count, size := le.Uint32(h[80:]), le.Uint32(h[84:])
	if count > entriesMax || size < 128 || size > entryMax {
		return nil, fmt.Errorf("%w: %d entries of %d bytes", ErrTable, count, size)
	}
	entries, err := read(le.Uint64(h[72:])*sector, int(count*size))
	if err != nil {
		return nil, err
	}
	if len(entries) < int(count*size) || crc32.ChecksumIEEE(entries) != le.Uint32(h[88:]) {
		return nil, fmt.Errorf("%w: checksum of the entries", ErrTable)
	}
	var list []Partition
	for i := range int(count) {
		e := entries[i*int(size):]
		if guid(e) == "00000000-0000-0000-0000-000000000000" {
			continue
		}
		first, last := le.Uint64(e[32:]), le.Uint64(e[40:])
		if last < first || last >= 1<<52 {
			continue
		}
		list = append(list, Partition{Number: i + 1, Type: guid(e), UUID: guid(e[16:]), Flags: le.Uint64(e[48:]), Start: first * sector, End: (last + 1) * sector})
	}
	return list, nil
}

// guid writes the mixed byte order of a GUID as text.
func guid(b []byte) string {
	le := binary.LittleEndian
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", le.Uint32(b), le.Uint16(b[4:]), le.Uint16(b[6:]), b[8:10], b[10:16])
}

// Probe names the file system that begins at offset 0 of read, "" for one it doesn't know.
func Probe(read func(offset uint64, n int) ([]byte, error)) string {
	at := func(offset uint64, n int) []byte {
		b, err := read(offset, n)
		if err != nil || len(b) < n {
			return make([]byte, n)
		}
		return b
	}
	le := binary.LittleEndian
	first, super := at(0, 512), at(1024, 256)
	swap := string(at(4086, 10))
	switch {
	case string(first[:6]) == "LUKS\xba\xbe":
		return "crypto_LUKS"
	case string(first[:4]) == "XFSB":
		return "xfs"
	case string(first[:4]) == "hsqs":
		return "squashfs"
	case le.Uint32(super) == 0xf2f52010:
		return "f2fs"
	case le.Uint32(super) == 0xe0f5e1e2:
		return "erofs"
	case le.Uint16(super[56:]) == 0xef53:
		return ext(le.Uint32(super[0x5c:]), le.Uint32(super[0x60:]))
	case swap == "SWAPSPACE2" || swap == "SWAP-SPACE":
		return "swap"
	case string(at(65536+64, 8)) == "_BHRfS_M":
		return "btrfs"
	case first[510] == 0x55 && first[511] == 0xaa && (string(first[54:57]) == "FAT" || string(first[82:87]) == "FAT32"):
		return "vfat"
	}
	return ""
}

// ext tells the three apart by their features: extents, 64 bit and flexible groups are those of ext4, a journal that of ext3.
func ext(compatible, incompatible uint32) string {
	switch {
	case incompatible&(0x40|0x80|0x200) != 0:
		return "ext4"
	case compatible&0x4 != 0:
		return "ext3"
	}
	return "ext2"
}
