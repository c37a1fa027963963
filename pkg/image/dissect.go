package image

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/unit/value"
)

// ErrPolicy is wrapped by errors for images that a policy doesn't allow.
var ErrPolicy = errors.New("not allowed by the image policy")

// Request says what is wanted of an image.
type Request struct {
	Path     string
	Policy   string // systemd.image-policy(7)
	Options  []Option
	ReadOnly bool
	Grow     bool // file systems whose partition asks for it are made as large as that
	Verity   Verity
}

// Option are mount options for the partition with that name.
type Option struct{ Partition, Options string }

// Verity is what is known about the image from elsewhere.
type Verity struct {
	RootHash  []byte
	Signature []byte // PKCS#7 of the root hash
	Tree      string // file with the hashes, "" none
	// Vouch says of a signature that the kernel doesn't know whether it is good all the same; may be nil.
	Vouch func(rootHash, signature []byte) error
	usr   bool // it is about the usr partition
}

// Image is an opened image.
type Image struct {
	req      Request
	fd       int
	tree     int   // file with the hashes, or -1
	block    int64 // bytes of a sector
	readOnly bool
	parts    []part
}

// part is a partition that will be mounted.
type part struct {
	partition
	fstype string
	verity *verity
}

// Open reads an image and decides which parts of it are mounted. The caller closes it.
func Open(req Request) (*Image, error) {
	policy, err := value.ParseImagePolicy(req.Policy)
	if err != nil {
		return nil, err
	}
	i := &Image{req: req, fd: -1, tree: -1, readOnly: req.ReadOnly, block: 512}
	whole, err := i.open()
	if err == nil {
		err = i.dissect(whole, &policy)
	}
	if err != nil {
		i.Close()
		return nil, err
	}
	return i, nil
}

// Close ends the use of the file; mounts stay.
func (i *Image) Close() {
	for _, fd := range []int{i.fd, i.tree} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	i.fd, i.tree = -1, -1
}

func (i *Image) open() (whole area, err error) {
	const flags = unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY
	i.fd = -1
	if !i.readOnly {
		i.fd, err = unix.Open(i.req.Path, unix.O_RDWR|flags, 0)
		i.readOnly = err == unix.EROFS || err == unix.EACCES || err == unix.EPERM || err == unix.ETXTBSY
	}
	if i.readOnly {
		i.fd, err = unix.Open(i.req.Path, unix.O_RDONLY|flags, 0)
	}
	if err != nil {
		return area{}, err
	}
	return sizeOf(i.fd)
}

func sizeOf(fd int) (area, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return area{}, err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return area{0, st.Size}, nil
	case unix.S_IFBLK:
		size, err := unix.Seek(fd, 0, unix.SEEK_END)
		return area{0, size}, err
	case unix.S_IFDIR:
		return area{}, unix.EISDIR
	}
	return area{}, unix.ENOTBLK
}

func (i *Image) dissect(whole area, policy *value.ImagePolicy) error {
	table, sector, err := readGPT(i.fd, whole)
	if err != nil {
		return err
	}
	if table == nil {
		fstype, err := probe(i.fd, whole)
		if err != nil {
			return err
		}
		if fstype != "" {
			return i.single(whole, fstype, policy)
		}
		sector = i.block
		if table, err = readMBR(i.fd, whole); err != nil {
			return err
		}
	}
	if len(table) == 0 {
		return errors.New("neither a file system nor a table of partitions that is known")
	}
	i.block = sector
	return i.partitioned(table, policy)
}

// single is an image that is one file system.
func (i *Image) single(whole area, fstype string, policy *value.ImagePolicy) error {
	p := part{partition: partition{area: whole, use: "root"}, fstype: fstype}
	if err := i.findHash(); err != nil {
		return err
	}
	if i.req.Verity.RootHash != nil && i.hashUse() == "root" {
		tree, err := i.openTree()
		if err != nil {
			return err
		}
		if p.verity, err = readVerity(i.tree, tree, i.req.Verity); err != nil {
			return err
		}
	}
	used, err := i.judge(&p, p.verity.exactly(policy.For("root")))
	if err == nil && !used {
		err = errors.New("the image policy leaves nothing of it to use")
	}
	i.parts = []part{p}
	return err
}

// mountedUses are the partitions that are mounted, in the order in which it is done.
var mountedUses = [...]string{"root", "usr", "home", "srv", "esp", "xbootldr", "tmp", "var"}

func (i *Image) partitioned(table []partition, policy *value.ImagePolicy) error {
	if err := i.findHash(); err != nil {
		return err
	}
	if err := i.signatureOf(table); err != nil {
		return err
	}
	for _, use := range mountedUses {
		rule := policy.For(use)
		found := i.choose(table, use)
		if found == nil {
			if rule&value.UseAbsent == 0 {
				return fmt.Errorf("partition %s: %w: it must be there", use, ErrPolicy)
			}
			continue
		}
		p := part{partition: *found}
		p.use = use
		var err error
		if p.fstype, err = probe(i.fd, p.area); err != nil {
			return err
		}
		if p.verity, err = i.verityOf(table, use); err != nil {
			return err
		}
		used, err := i.judge(&p, rule)
		if err != nil {
			return fmt.Errorf("partition %s: %w", use, err)
		}
		if used {
			i.parts = append(i.parts, p)
		}
	}
	if len(i.parts) == 0 {
		return errors.New("no partition in it that is to be used")
	}
	return nil
}

// choose finds the partition for a use. Of several it is the one the root hash names, or else that with the newest version in its label.
func (i *Image) choose(table []partition, use string) *partition {
	var best *partition
	hash := i.req.Verity.RootHash
	named := len(hash) >= 2*len(uuid{}) && use == i.hashUse()
	for n := range table {
		p := &table[n]
		if p.use != use || p.hidden || p.size == 0 {
			continue
		}
		if named {
			if p.id == uuid(hash[:16]) {
				return p
			}
			continue
		}
		if best == nil || newer(p.label, best.label) {
			best = p
		}
	}
	if best == nil && use == "root" && !named {
		return onlyGeneric(table)
	}
	return best
}

// onlyGeneric is what an image is that has one partition of no particular use and none with one.
func onlyGeneric(table []partition) *partition {
	var only *partition
	for n := range table {
		switch p := &table[n]; {
		case p.hidden:
		case p.use == "root" || p.use == "usr" || p.use == useGeneric && only != nil:
			return nil
		case p.use == useGeneric:
			only = p
		}
	}
	return only
}

// newer compares labels such as name_1.10: numbers in them by their value.
func newer(a, b string) bool {
	for a != "" && b != "" {
		if isDigit(a[0]) && isDigit(b[0]) {
			m, n := number(a), number(b)
			x, y := strings.TrimLeft(a[:m], "0"), strings.TrimLeft(b[:n], "0")
			if len(x) != len(y) {
				return len(x) > len(y)
			}
			if x != y {
				return x > y
			}
			a, b = a[m:], b[n:]
			continue
		}
		if a[0] != b[0] {
			return a[0] > b[0]
		}
		a, b = a[1:], b[1:]
	}
	return len(a) > len(b)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func number(s string) int {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}

// judge says whether a partition is used as it was found. An error means that the whole image must not be.
func (i *Image) judge(p *part, rule value.PartitionUse) (bool, error) {
	if on, off := rule&value.UseReadOnlyOn != 0, rule&value.UseReadOnlyOff != 0; on != off && on != p.readOnly {
		return false, fmt.Errorf("%w: its read-only flag", ErrPolicy)
	}
	if on, off := rule&value.UseGrowOn != 0, rule&value.UseGrowOff != 0; on != off && on != p.grow {
		return false, fmt.Errorf("%w: its growfs flag", ErrPolicy)
	}
	found := "unprotected"
	switch {
	case p.verity != nil && len(p.verity.signature) > 0 && rule&value.UseSigned != 0:
		return true, nil
	case p.verity != nil && rule&value.UseVerity != 0:
		p.verity.signature = nil
		return true, nil
	case p.fstype == typeLUKS:
		if rule&value.UseEncrypted != 0 && rule&value.UseUnused == 0 {
			return false, errors.New("encrypted, and there is no key for it")
		}
		found = "encrypted"
	case rule&value.UseUnprotected != 0:
		p.verity = nil
		return i.filesystem(p, rule)
	case p.verity != nil:
		found = "verity"
	}
	if rule&value.UseUnused != 0 {
		return false, nil
	}
	return false, fmt.Errorf("%w: it is %s", ErrPolicy, found)
}

func (i *Image) filesystem(p *part, rule value.PartitionUse) (bool, error) {
	if isMountable(p.fstype) {
		return true, nil
	}
	if p.use != "root" && p.use != "usr" && rule&value.UseUnused != 0 {
		return false, nil
	}
	if p.fstype == "" {
		return false, errors.New("no file system that is known")
	}
	return false, fmt.Errorf("file systems of type %s aren't mounted from images", p.fstype)
}
