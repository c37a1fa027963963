package image

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/unit/value"
)

const verityMagic = "verity\x00\x00"

// verity is what the kernel needs to check a partition against its hashes: what stands in front of them, and where they are.
type verity struct {
	fd                   int // file with the hashes
	hashes               area
	version              uint32
	algorithm            string
	dataBlock, hashBlock uint32
	blocks               uint64
	salt                 []byte
	rootHash, signature  []byte
	vouch                func(rootHash, signature []byte) error // asked where the kernel knows nobody
}

// readVerity reads the superblock in front of hashes.
func readVerity(fd int, hashes area, known Verity) (*verity, error) {
	var sb [512]byte
	if err := readAt(fd, hashes, sb[:], 0); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	v := &verity{
		fd: fd, hashes: hashes, version: le.Uint32(sb[12:]), dataBlock: le.Uint32(sb[64:]), hashBlock: le.Uint32(sb[68:]),
		blocks: le.Uint64(sb[72:]), rootHash: known.RootHash, signature: known.Signature, vouch: known.Vouch,
	}
	v.algorithm, _, _ = strings.Cut(string(sb[32:64]), "\x00")
	salt := int(le.Uint16(sb[80:]))
	switch {
	case string(sb[:8]) != verityMagic || le.Uint32(sb[8:]) != 1 || v.version > 1:
		return nil, errors.New("no verity data that is known")
	case !blockSize(v.dataBlock) || !blockSize(v.hashBlock) || salt > 256 || v.blocks == 0 || !plain(v.algorithm):
		return nil, errors.New("verity data with wrong numbers")
	}
	v.salt = append([]byte(nil), sb[88:88+salt]...)
	return v, nil
}

// exactly is what is left of a rule for a file system without a table of partitions: it is protected as its root hash and signature say,
// and a policy that allows only more or only less than that doesn't allow it. nil: there is no root hash.
func (v *verity) exactly(rule value.PartitionUse) value.PartitionUse {
	switch {
	case v == nil:
		return rule
	case len(v.signature) > 0:
		return rule &^ (value.UseVerity | value.UseEncrypted | value.UseUnprotected)
	}
	return rule &^ (value.UseSigned | value.UseEncrypted | value.UseUnprotected)
}

func blockSize(n uint32) bool { return n >= 512 && n <= 1<<16 && n&(n-1) == 0 }

// plain says whether a name can stand in a table of the device mapper.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c|0x20 < 'a' || c|0x20 > 'z') && !isDigit(c) && c != '-' {
			return false
		}
	}
	return s != ""
}

// activate makes a verity device over the data and hash devices and gives the path of its node. It is removed with its last user; stop does
// the same for one that was never used.
func (v *verity) activate(data, hashes, name string) (path string, stop func(), err error) {
	control, err := unix.Open("/dev/mapper/control", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, fmt.Errorf("/dev/mapper/control: %w", err)
	}
	defer unix.Close(control)
	// One with that name would be left over from a loop device that is used again.
	header, err := mapper(control, unix.DM_DEV_CREATE, name, 0, nil)
	if err != nil {
		return "", nil, fmt.Errorf("device mapper: %s: %w", name, err)
	}
	stop = func() { removeMapper(name) }
	// A signature that is there must be good, whatever else the policy allows.
	err = v.load(control, name, data, hashes, v.signature)
	if err != nil && v.vouched(&err) {
		err = v.load(control, name, data, hashes, nil)
	}
	if err == nil {
		_, err = mapper(control, unix.DM_DEV_SUSPEND, name, 0, nil) // without the flag: resume
	}
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("verity: %w", err)
	}
	return fmt.Sprintf("/dev/dm-%d", unix.Minor(header.Dev)), stop, nil
}

// vouched says whether somebody vouches for the signature although the kernel knows nobody who does.
func (v *verity) vouched(err *error) bool {
	if len(v.signature) == 0 || v.vouch == nil {
		return false
	}
	why := v.vouch(v.rootHash, v.signature)
	if why != nil {
		*err = fmt.Errorf("%w; %w", *err, why)
	}
	return why == nil
}

func (v *verity) load(control int, name, data, hashes string, signature []byte) error {
	salt := "-"
	if len(v.salt) > 0 {
		salt = hex.EncodeToString(v.salt)
	}
	const first = 1 // hashes begin with the block behind the superblock
	params := fmt.Sprintf("%d %s %s %d %d %d %d %s %s %s", v.version, data, hashes, v.dataBlock, v.hashBlock, v.blocks, first,
		v.algorithm, hex.EncodeToString(v.rootHash), salt)
	if len(signature) > 0 {
		// The kernel looks for it by name; the keyring ends with this thread.
		description := "muster:" + name
		if _, err := unix.AddKey("user", description, signature, unix.KEY_SPEC_THREAD_KEYRING); err != nil {
			return err
		}
		params += " 2 root_hash_sig_key_desc " + description
	}
	const sector = 512
	length := v.blocks * uint64(v.dataBlock) / sector
	_, err := mapper(control, unix.DM_TABLE_LOAD, name, unix.DM_READONLY_FLAG, &target{length: length, kind: "verity", params: params})
	return err
}

// removeMapper removes a device as soon as nobody uses it.
func removeMapper(name string) {
	control, err := unix.Open("/dev/mapper/control", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(control)
	_, _ = mapper(control, unix.DM_DEV_REMOVE, name, unix.DM_DEFERRED_REMOVE, nil)
}

// target is one line of a table of the device mapper.
type target struct {
	length       uint64
	kind, params string
}

// mapper is one request to the device mapper.
func mapper(control int, request uint, name string, flags uint32, t *target) (*unix.DmIoctl, error) {
	const room = 16 << 10
	buf := make([]uint64, room/8) // aligned as the kernel wants it
	raw := unsafe.Slice((*byte)(unsafe.Pointer(&buf[0])), room)
	header := (*unix.DmIoctl)(unsafe.Pointer(&buf[0]))
	header.Version = [3]uint32{unix.DM_VERSION_MAJOR, 0, 0}
	header.Data_size, header.Data_start, header.Flags = room, uint32(unsafe.Sizeof(*header)), flags
	copy(raw[unsafe.Offsetof(header.Name):][:len(header.Name)-1], name)
	if t != nil {
		header.Target_count = 1
		spec := (*unix.DmTargetSpec)(unsafe.Pointer(&raw[header.Data_start]))
		at := uintptr(header.Data_start) + unsafe.Sizeof(*spec)
		if int(at)+len(t.params) >= room {
			return nil, unix.E2BIG
		}
		spec.Length = t.length
		copy(raw[uintptr(header.Data_start)+unsafe.Offsetof(spec.Target_type):][:len(spec.Target_type)-1], t.kind)
		copy(raw[at:], t.params)
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(control), uintptr(request), uintptr(unsafe.Pointer(header)))
	if errno != 0 {
		return nil, errno
	}
	return header, nil
}

// hashUse is the partition that the root hash is about.
func (i *Image) hashUse() string {
	if i.req.Verity.usr {
		return "usr"
	}
	return "root"
}

// MaxHash bounds files and attributes with a root hash, MaxSignature those with a signature, in bytes.
const (
	MaxHash      = 1024
	MaxSignature = 64 << 10
)

// findHash looks for what the unit doesn't say: in attributes of the image and in files beside it.
func (i *Image) findHash() error {
	v := &i.req.Verity
	base := strings.TrimSuffix(i.req.Path, ".raw")
	var st unix.Stat_t
	if err := unix.Fstat(i.fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil
	}
	for _, use := range []string{"root", "usr"} {
		if v.RootHash != nil {
			break
		}
		text := attribute(i.fd, "user.verity."+use+"hash")
		if text == "" {
			data, err := readSmall(base+"."+use+"hash", MaxHash)
			if err != nil && err != unix.ENOENT {
				return fmt.Errorf("%s.%shash: %w", base, use, err)
			}
			text = strings.TrimSpace(string(data))
		}
		if text == "" {
			continue
		}
		hash, err := hex.DecodeString(text)
		if err != nil {
			return fmt.Errorf("root hash: %w", err)
		}
		v.RootHash, v.usr = hash, use == "usr"
	}
	if v.RootHash == nil {
		return nil
	}
	if v.Signature == nil {
		data, err := readSmall(base+"."+i.hashUse()+"hash.p7s", MaxSignature)
		if err != nil && err != unix.ENOENT {
			return err
		}
		v.Signature = data
	}
	if v.Tree == "" && exists(base+".verity") {
		v.Tree = base + ".verity"
	}
	return nil
}

// openTree opens the file with the hashes.
func (i *Image) openTree() (area, error) {
	path := i.req.Verity.Tree
	if path == "" {
		return area{}, errors.New("a root hash, and no verity data for it")
	}
	var err error
	if i.tree, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0); err != nil {
		return area{}, fmt.Errorf("%s: %w", path, err)
	}
	return sizeOf(i.tree)
}

// verityOf finds the hashes of a partition: the partition that the second half of the root hash names.
func (i *Image) verityOf(table []partition, use string) (*verity, error) {
	hash := i.req.Verity.RootHash
	if hash == nil || use != i.hashUse() {
		return nil, nil
	}
	if i.req.Verity.Tree != "" {
		tree, err := i.openTree()
		if err != nil {
			return nil, err
		}
		return readVerity(i.tree, tree, i.req.Verity)
	}
	const half = len(uuid{})
	if len(hash) < 2*half {
		return nil, fmt.Errorf("a root hash of %d bytes names no partition", len(hash))
	}
	for n := range table {
		if p := &table[n]; p.use == use+"-verity" && p.id == uuid(hash[len(hash)-half:]) {
			return readVerity(i.fd, p.area, i.req.Verity)
		}
	}
	return nil, fmt.Errorf("partition %s: no verity data for the root hash", use)
}

// signatureOf takes root hash and signature from a partition of the image, where the unit gives none.
func (i *Image) signatureOf(table []partition) error {
	v := &i.req.Verity
	for n := range table {
		p := &table[n]
		if p.hidden || p.use != "root-verity-sig" && p.use != "usr-verity-sig" || v.RootHash != nil && v.Signature != nil {
			continue
		}
		text := make([]byte, min(p.size, MaxSignature))
		if err := readAt(i.fd, p.area, text, 0); err != nil {
			return err
		}
		hash, err := hex.DecodeString(member(string(text), "rootHash"))
		if err != nil || len(hash) == 0 {
			return fmt.Errorf("partition %s: no root hash in it", p.use)
		}
		if v.RootHash != nil && string(v.RootHash) != string(hash) {
			continue
		}
		signature, err := base64.StdEncoding.DecodeString(member(string(text), "signature"))
		if err != nil || len(signature) == 0 {
			return fmt.Errorf("partition %s: no signature in it", p.use)
		}
		v.RootHash, v.Signature, v.usr = hash, signature, p.use == "usr-verity-sig"
	}
	return nil
}

// member finds a text in a JSON object whose values need no escapes.
func member(object, name string) string {
	_, rest, found := strings.Cut(object, `"`+name+`"`)
	if !found {
		return ""
	}
	rest = strings.TrimLeft(rest, " \t\n:")
	if !strings.HasPrefix(rest, `"`) {
		return ""
	}
	text, _, _ := strings.Cut(rest[1:], `"`)
	return text
}

func attribute(fd int, name string) string {
	var buf [MaxHash]byte
	n, err := unix.Fgetxattr(fd, name, buf[:])
	if err != nil {
		return ""
	}
	return strings.TrimRight(string(buf[:n]), "\x00\n")
}

func exists(path string) bool {
	var st unix.Stat_t
	return unix.Stat(path, &st) == nil
}

func readSmall(path string, limit int) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	whole, err := sizeOf(fd)
	if err != nil {
		return nil, err
	}
	if whole.size > int64(limit) {
		return nil, unix.EFBIG
	}
	buf := make([]byte, whole.size)
	return buf, readAt(fd, whole, buf, 0)
}
