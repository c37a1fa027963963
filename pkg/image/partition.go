package image

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"runtime"
	"unicode/utf16"
)

// ErrTable is wrapped by complaints about a partition table.
var ErrTable = errors.New("partition table")

// uuid is in the order in which it is written.
type uuid [16]byte

func parseUUID(s string) (u uuid) {
	n := 0
	for i := 0; i < len(s) && n < 2*len(u); i++ {
		c := s[i]
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		default:
			continue
		}
		u[n/2] = u[n/2]<<4 | c
		n++
	}
	return u
}

// partition is one entry of a table.
type partition struct {
	area
	use      string // what its type says it is for, "" unknown
	id       uuid
	label    string
	readOnly bool
	grow     bool
	hidden   bool // it says itself that it isn't to be used
}

// types of the Discoverable Partitions Specification that are the same everywhere.
var types = map[string]string{
	"c12a7328-f81f-11d2-ba4b-00a0c93ec93b": "esp",
	"bc13c2ff-59e6-4262-a352-b275fd6f7172": "xbootldr",
	"0657fd6d-a4ab-43c4-84e5-0933c84b4f4f": "swap",
	"933ac7e1-2eb4-4f13-b844-0e14e2aef915": "home",
	"3b8f8425-20e0-4f3b-907f-1a25a76f98e8": "srv",
	"4d21b016-b534-45c2-a9fb-5c16e091fd2d": "var",
	"7ec6f557-3bc5-4aca-b293-16ef5df639d1": "tmp",
	"0fc63daf-8483-4772-8e79-3d69d8477de4": useGeneric,
}

// useGeneric is a partition of Linux of which nothing more is known.
const useGeneric = "linux-generic"

// nativeTypes are those of the machine's architecture: root, usr, and the verity data and signatures of both.
var nativeTypes = map[string][6]string{
	"amd64": {
		"4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "8484680c-9521-48c6-9c11-b0720656f69e", "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5",
		"77ff5f63-e7b6-4633-acf4-1565b864c0e6", "41092b05-9fc8-4523-994f-2def0408b176", "e7bb33fb-06cf-4e81-8273-e543b413e2e2",
	},
	"386": {
		"44479540-f297-41b2-9af7-d131d5f0458a", "75250d76-8cc6-458e-bd66-bd47cc81a812", "d13c5d3b-b5d1-422a-b29f-9454fdc89d76",
		"8f461b0d-14ee-4e81-9aa9-049b6fb97abd", "5996fc05-109c-48de-808b-23fa0830b676", "974a71c0-de41-43c3-be5d-5c5ccd1ad2c0",
	},
	"arm64": {
		"b921b045-1df0-41c3-af44-4c6f280d3fae", "b0e01050-ee5f-4390-949a-9101b17104e9", "df3300ce-d69f-4c92-978c-9bfb0f38d820",
		"6e11a4e7-fbca-4ded-b9e9-e1a512bb664e", "6db69de6-29f4-4758-a7a5-962190f00ce3", "c23ce4ff-44bd-4b00-b2d4-b41b3419e02a",
	},
	"arm": {
		"69dad710-2ce4-4e3c-b16c-21a1d49abed3", "7d0359a3-02b3-4f0a-865c-654403e70625", "7386cdf2-203c-47a9-a498-f2ecce45a2d6",
		"c215d751-7bcd-4649-be90-6627490a4c05", "42b0455f-eb11-491d-98d3-56145ba9d037", "d7ff812f-37d1-4902-a810-d76ba57b975a",
	},
	"riscv64": {
		"72ec70a6-cf74-40e6-bd49-4bda08e8f224", "beaec34b-8442-439b-a40b-984381ed097d", "b6ed5582-440b-4209-b8da-5ff7c419ea3d",
		"8f1056be-9b05-47c4-81d6-be53128e5b54", "efe0f087-ea8d-4469-821a-4c2a96a8386a", "d2f9000a-7a18-453f-b5cd-4d32f77a7b32",
	},
	"loong64": {
		"77055800-792c-4f94-b39a-98c91b762bb6", "e611c702-575c-4cbe-9a46-434fa0bf7e3f", "f3393b22-e9af-4613-a948-9d3bfbd0c535",
		"f46b2c26-59ae-48f0-9106-c50ed47f673d", "5afb67eb-ecc8-4f85-ae8e-ac1e7c50e7d0", "b024f315-d330-444c-8461-44bbde524e99",
	},
	"ppc64le": {
		"c31c45e6-3f39-412e-80fb-4809c4980599", "15bb03af-77e7-4d4a-b12b-c0d084f7491c", "906bd944-4589-4aae-a4e4-dd983917446a",
		"ee2b9983-21e8-4153-86d9-b6901a54d1ce", "d4a236e7-e873-4c07-bf1d-bf6cf7f1c3c6", "c8bfbd1e-268e-4521-8bba-bf314c399557",
	},
	"s390x": {
		"5eead9a9-fe09-4a1e-a1d7-520d00531306", "8a4f5770-50aa-4ed3-874a-99b710db6fea", "b325bfbe-c7be-4ab8-8357-139e652d2f6b",
		"31741cc4-1a2a-4111-a581-e00b447d2d06", "c80187a5-73a3-491a-901a-017c3fa953e9", "3f324816-667b-46ae-86ee-9b0c0c6c11b4",
	},
}

var nativeUses = [6]string{"root", "usr", "root-verity", "usr-verity", "root-verity-sig", "usr-verity-sig"}

// useOf says what a type is for.
func useOf(kind uuid) string {
	for i, text := range nativeTypes[runtime.GOARCH] {
		if parseUUID(text) == kind {
			return nativeUses[i]
		}
	}
	for text, use := range types { // order-free: they differ
		if parseUUID(text) == kind {
			return use
		}
	}
	return ""
}

// Flags of an entry.
const (
	flagReadOnly = uint64(1) << 60
	flagNoAuto   = uint64(1) << 63
	flagGrow     = uint64(1) << 59
)

const (
	maxEntries   = 1024 // tables have 128
	maxEntrySize = 4096
)

// readGPT reads a table of partitions; sector is what its numbers count. Without one it gives none.
func readGPT(fd int, whole area) (list []partition, sector int64, err error) {
	for _, sector := range []int64{512, 4096} {
		var head [92]byte
		if err := readAt(fd, whole, head[:], sector); err != nil {
			return nil, 0, err
		}
		if string(head[:8]) != "EFI PART" {
			continue
		}
		list, err := readEntries(fd, whole, head[:], sector)
		return list, sector, err
	}
	return nil, 0, nil
}

func readEntries(fd int, whole area, head []byte, sector int64) ([]partition, error) {
	le := binary.LittleEndian
	size, count := le.Uint32(head[84:]), le.Uint32(head[80:])
	if n := le.Uint32(head[12:]); n != uint32(len(head)) {
		return nil, fmt.Errorf("%w: header of %d bytes", ErrTable, n)
	}
	sum := le.Uint32(head[16:])
	le.PutUint32(head[16:], 0)
	if crc32.ChecksumIEEE(head) != sum {
		return nil, fmt.Errorf("%w: wrong checksum of the header", ErrTable)
	}
	if count > maxEntries || size < 128 || size > maxEntrySize {
		return nil, fmt.Errorf("%w: %d entries of %d bytes", ErrTable, count, size)
	}
	first := int64(le.Uint64(head[72:]))
	if first < 0 || first > whole.size/sector {
		return nil, fmt.Errorf("%w: it begins outside of the image", ErrTable)
	}
	table := make([]byte, count*size)
	if err := readAt(fd, whole, table, first*sector); err != nil {
		return nil, err
	}
	if crc32.ChecksumIEEE(table) != le.Uint32(head[88:]) {
		return nil, fmt.Errorf("%w: wrong checksum of the entries", ErrTable)
	}
	list := []partition{}
	for ; len(table) > 0; table = table[size:] {
		e := table[:size]
		if uuid(e[:16]) == (uuid{}) {
			continue
		}
		begin, end := le.Uint64(e[32:]), le.Uint64(e[40:])
		if begin > end || end >= uint64(whole.size/sector) {
			return nil, fmt.Errorf("%w: a partition lies outside of the image", ErrTable)
		}
		flags := le.Uint64(e[48:])
		list = append(list, partition{
			area: area{int64(begin) * sector, int64(end-begin+1) * sector},
			use:  useOf(mixed(e[:16])), id: mixed(e[16:32]), label: labelOf(e[56:128]),
			readOnly: flags&flagReadOnly != 0, grow: flags&flagGrow != 0, hidden: flags&flagNoAuto != 0,
		})
	}
	return list, nil
}

// mixed puts the three numbers a table has in little-endian order into the written order.
func mixed(b []byte) uuid {
	return uuid{b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]}
}

func labelOf(b []byte) string {
	var units []uint16
	for ; len(b) > 1; b = b[2:] {
		u := binary.LittleEndian.Uint16(b)
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}

// readMBR reads the four entries of a table as old machines have it. Only two types say what they are for.
func readMBR(fd int, whole area) ([]partition, error) {
	const linux, xbootldr, sector, firstAt = 0x83, 0xea, 512, 446
	var head [512]byte
	if err := readAt(fd, whole, head[:], 0); err != nil {
		return nil, err
	}
	if head[510] != 0x55 || head[511] != 0xaa {
		return nil, nil
	}
	var list []partition
	for i := range 4 {
		e := head[firstAt+16*i:]
		p := partition{area: area{int64(binary.LittleEndian.Uint32(e[8:])) * sector, int64(binary.LittleEndian.Uint32(e[12:])) * sector}}
		switch e[4] {
		case linux:
			p.use = useGeneric
		case xbootldr:
			p.use = "xbootldr"
		default:
			continue
		}
		if p.offset == 0 || p.size == 0 || p.offset+p.size > whole.size {
			return nil, fmt.Errorf("%w: a partition lies outside of the image", ErrTable)
		}
		list = append(list, p)
	}
	return list, nil
}
