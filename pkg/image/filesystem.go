package image

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// What is found besides file systems.
const (
	typeLUKS   = "crypto_LUKS"
	typeVerity = "DM_verity_hash"
	typeSwap   = "swap"
)

// mountable are the file systems that are mounted from images, as systemd has it.
var mountable = [...]string{"btrfs", "erofs", "ext4", "f2fs", "squashfs", "vfat", "xfs"}

func isMountable(fstype string) bool {
	return slices.Contains(mountable[:], fstype)
}

// area is a stretch of the image, in bytes.
type area struct{ offset, size int64 }

// readAt fills buf from an area; what lies outside is zero.
func readAt(fd int, a area, buf []byte, offset int64) error {
	if a.size < offset {
		return nil
	}
	if rest := a.size - offset; int64(len(buf)) > rest {
		buf = buf[:rest]
	}
	for len(buf) > 0 {
		n, err := unix.Pread(fd, buf, a.offset+offset)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return err
		}
		buf, offset = buf[n:], offset+int64(n)
	}
	return nil
}

// signature is what stands at a fixed place of a file system.
type signature struct {
	fstype string
	offset int64
	magic  string
}

// Encryption and verity data come first: what they hold is nobody's business.
var signatures = [...]signature{
	{typeLUKS, 0, "LUKS\xba\xbe"},
	{typeVerity, 0, verityMagic},
	{"squashfs", 0, "hsqs"},
	{"xfs", 0, "XFSB"},
	{"erofs", 1024, "\xe2\xe1\xf5\xe0"},
	{"f2fs", 1024, "\x10\x20\xf5\xf2"},
	{"btrfs", 0x10040, "_BHRfS_M"},
	{typeSwap, 4086, "SWAPSPACE2"},
	{"vfat", 54, "FAT1"},
	{"vfat", 82, "FAT32   "},
}

// probe tells what an area holds, "" for nothing known.
func probe(fd int, a area) (string, error) {
	var buf [16]byte
	for _, s := range signatures {
		got := buf[:len(s.magic)]
		clear(got)
		if err := readAt(fd, a, got, s.offset); err != nil {
			return "", err
		}
		if string(got) == s.magic {
			return s.fstype, nil
		}
	}
	return probeExt(fd, a)
}

// probeExt tells the three file systems apart that share a superblock: by the features that only the later ones have.
func probeExt(fd int, a area) (string, error) {
	const (
		superblock             = 1024
		magic                  = 0xef53
		compatJournal          = 0x4
		olderIncompat          = 0x2 | 0x4 | 0x8 | 0x10
		olderReadOnly          = 0x1 | 0x2 | 0x4
		magicAt, featureAt     = 56, 92
		incompatAt, readOnlyAt = 96, 100
	)
	var sb [128]byte
	if err := readAt(fd, a, sb[:], superblock); err != nil {
		return "", err
	}
	word := binary.LittleEndian.Uint32
	switch {
	case binary.LittleEndian.Uint16(sb[magicAt:]) != magic:
		return "", nil
	case word(sb[incompatAt:])&^uint32(olderIncompat) != 0 || word(sb[readOnlyAt:])&^uint32(olderReadOnly) != 0:
		return "ext4", nil
	case word(sb[featureAt:])&compatJournal != 0:
		return "ext3", nil
	}
	return "ext2", nil
}
