package image

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/unit/value"
)

// file makes an image of which only stretches are written.
func file(t *testing.T, size int64, at map[int64]string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.raw")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for offset, text := range at {
		if _, err := f.WriteAt([]byte(text), offset); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// ext is a superblock with a feature.
func ext(incompat, compat byte) map[int64]string {
	return map[int64]string{1024 + 56: "\x53\xef", 1024 + 92: string(compat), 1024 + 96: string(incompat)}
}

func TestProbe(t *testing.T) {
	for want, at := range map[string]map[int64]string{
		"": nil, "squashfs": {0: "hsqs"}, "xfs": {0: "XFSB"}, "erofs": {1024: "\xe2\xe1\xf5\xe0"}, "btrfs": {0x10040: "_BHRfS_M"},
		"vfat": {82: "FAT32   "}, "swap": {4086: "SWAPSPACE2"}, typeLUKS: {0: "LUKS\xba\xbe", 1024: "\xe2\xe1\xf5\xe0"}, typeVerity: {0: verityMagic},
		"ext4": ext(0x42, 0), "ext3": ext(0x02, 4), "ext2": ext(0x02, 0),
	} {
		fd, err := unix.Open(file(t, 128<<10, at), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		got, err := probe(fd, area{0, 128 << 10})
		if err != nil || got != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
		// What lies outside of an area isn't seen.
		if got, err := probe(fd, area{0, 0}); got != "" || err != nil {
			t.Errorf("%s: an empty area holds %q, %v", want, got, err)
		}
		unix.Close(fd)
	}
}

// table makes a table of partitions; change spoils it before the sums are made.
func table(t *testing.T, change func(head, entries []byte)) string {
	le := binary.LittleEndian
	head, entries := make([]byte, 92), make([]byte, 128*4)
	copy(head, "EFI PART")
	le.PutUint32(head[12:], 92)
	le.PutUint64(head[72:], 2)
	le.PutUint32(head[80:], 4)
	le.PutUint32(head[84:], 128)
	kind := parseUUID("0fc63daf-8483-4772-8e79-3d69d8477de4")
	copy(entries, mixedBytes(kind))
	entries[16] = 1
	le.PutUint64(entries[32:], 40)
	le.PutUint64(entries[40:], 49)
	copy(entries[56:], "a\x00b\x00")
	change(head, entries)
	le.PutUint32(head[88:], crc32.ChecksumIEEE(entries))
	le.PutUint32(head[16:], crc32.ChecksumIEEE(head))
	return file(t, 64<<10, map[int64]string{512: string(head), 1024: string(entries)})
}

func mixedBytes(u uuid) []byte {
	v := mixed(u[:])
	return v[:]
}

func readTable(t *testing.T, path string) ([]partition, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	list, _, err := readGPT(fd, area{0, 64 << 10})
	return list, err
}

func TestTable(t *testing.T) {
	list, err := readTable(t, table(t, func(_, _ []byte) {}))
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	if p := list[0]; p.use != useGeneric || p.offset != 40*512 || p.size != 10*512 || p.label != "ab" || p.readOnly || p.hidden || p.grow {
		t.Errorf("%+v", p)
	}
	le := binary.LittleEndian
	for name, change := range map[string]func(head, entries []byte){
		"too many entries":  func(h, _ []byte) { le.PutUint32(h[80:], 1<<30) },
		"entries too small": func(h, _ []byte) { le.PutUint32(h[84:], 16) },
		"entries too large": func(h, _ []byte) { le.PutUint32(h[84:], 1<<31) },
		"table outside":     func(h, _ []byte) { le.PutUint64(h[72:], 1<<60) },
		"table negative":    func(h, _ []byte) { le.PutUint64(h[72:], 1<<63) },
		"header size":       func(h, _ []byte) { le.PutUint32(h[12:], 4096) },
		"end before begin":  func(_, e []byte) { le.PutUint64(e[40:], 39) },
		"partition outside": func(_, e []byte) { le.PutUint64(e[40:], 128) },
		"partition huge":    func(_, e []byte) { le.PutUint64(e[40:], 1<<63) },
	} {
		if _, err := readTable(t, table(t, change)); !errors.Is(err, ErrTable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNewer(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{{"root_10", "root_9", true}, {"root_9", "root_10", false}, {"root_1.2", "root_1", true}, {"b", "a", true}, {"a", "a", false}, {"r_010", "r_9", true}} {
		if got := newer(c.a, c.b); got != c.want {
			t.Errorf("%s, %s: %v", c.a, c.b, got)
		}
	}
}

// TestOpen: what is used of an image with one file system, by what its policy says.
func TestOpen(t *testing.T) {
	for _, c := range []struct {
		name, policy, want string
		at                 map[int64]string
	}{
		{"plain", "root=unprotected", "", ext(0x42, 0)},
		{"read-only flag", "root=unprotected+read-only-on", ErrPolicy.Error(), ext(0x42, 0)},
		{"ignored", "root=ignore", "leaves nothing", ext(0x42, 0)},
		{"verity wanted", "root=verity+signed", "it is unprotected", ext(0x42, 0)},
		{"encrypted", "root=encrypted", "no key", map[int64]string{0: "LUKS\xba\xbe"}},
		{"encryption not allowed", "root=unprotected", "it is encrypted", map[int64]string{0: "LUKS\xba\xbe"}},
		{"other file system", "*", "type ext3", ext(0x02, 4)},
		{"nothing", "*", "neither", nil},
		{"verity data", "*", "aren't mounted", map[int64]string{0: verityMagic}},
	} {
		i, err := Open(Request{Path: file(t, 128<<10, c.at), Policy: c.policy})
		if err == nil {
			i.Close()
		}
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	for name, path := range map[string]string{"directory": t.TempDir(), "missing": "/nonexistent.raw", "device": "/dev/null"} {
		if _, err := Open(Request{Path: path, Policy: "*"}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestVerityData: numbers in front of hashes are not believed.
func TestVerityData(t *testing.T) {
	good := make([]byte, 512)
	le := binary.LittleEndian
	copy(good, verityMagic)
	le.PutUint32(good[8:], 1)
	le.PutUint32(good[12:], 1)
	copy(good[32:], "sha256")
	le.PutUint32(good[64:], 4096)
	le.PutUint32(good[68:], 4096)
	le.PutUint64(good[72:], 3)
	le.PutUint16(good[80:], 4)
	copy(good[88:], "salt")
	for name, change := range map[string]func(b []byte){
		"":          func([]byte) {},
		"algorithm": func(b []byte) { copy(b[32:], "sha256 1 /dev/sda") },
		"block":     func(b []byte) { le.PutUint32(b[64:], 4097) },
		"salt":      func(b []byte) { le.PutUint16(b[80:], 257) },
		"empty":     func(b []byte) { le.PutUint64(b[72:], 0) },
		"version":   func(b []byte) { le.PutUint32(b[12:], 2) },
		"magic":     func(b []byte) { b[0] = 0 },
	} {
		data := append([]byte(nil), good...)
		change(data)
		fd, err := unix.Open(file(t, 8192, map[int64]string{0: string(data)}), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		v, err := readVerity(fd, area{0, 8192}, Verity{})
		unix.Close(fd)
		if (err == nil) != (name == "") {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && (v.algorithm != "sha256" || string(v.salt) != "salt" || v.blocks != 3) {
			t.Errorf("%+v", v)
		}
	}
}

// TestJudgeVerity: a partition whose policy asks for less than there is is used with less, an image without a table isn't.
func TestJudgeVerity(t *testing.T) {
	for _, c := range []struct {
		policy            string
		signed, single    bool
		used, verity, sig bool
	}{
		{"root=verity", true, false, true, true, false}, {"root=signed", true, false, true, true, true}, {"root=verity+signed", true, false, true, true, true},
		{"root=signed", false, false, false, true, false}, {"root=unprotected", true, false, true, false, false}, {"root=ignore", true, false, false, true, true},
		{"root=verity", true, true, false, true, true}, {"root=signed", true, true, true, true, true}, {"*", true, true, true, true, true},
		{"root=signed", false, true, false, true, false}, {"root=unprotected", false, true, false, true, false}, {"root=verity", false, true, true, true, false},
	} {
		policy, err := value.ParseImagePolicy(c.policy)
		if err != nil {
			t.Fatal(err)
		}
		p := part{partition: partition{use: "root"}, fstype: "ext4", verity: &verity{}}
		if c.signed {
			p.verity.signature = []byte("x")
		}
		rule := policy.For("root")
		if c.single {
			rule = p.verity.exactly(rule)
		}
		used, _ := (&Image{}).judge(&p, rule)
		if used != c.used || (p.verity != nil) != c.verity {
			t.Errorf("%s: used %v, verity %v", c.policy, used, p.verity)
			continue
		}
		if p.verity != nil && (len(p.verity.signature) > 0) != c.sig {
			t.Errorf("%s: %+v", c.policy, p.verity)
		}
	}
}
