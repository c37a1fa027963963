package sandbox

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/image"
)

// rootPlace is where the root of an image is mounted until it becomes the root.
const rootPlace = "/run/systemd/mount-rootfs"

// openImages opens what will be written to, by way of the host's mounts: one that is open for writing by way of ours couldn't be made read-only.
func (v *view) openImages(p *plan.Plan) *plan.Failure {
	s := p.Sandbox
	v.images = map[*plan.Image]*image.Image{}
	open := func(setting string, im *plan.Image, path string) *plan.Failure {
		opened, err := openImage(im, path, setting == "RootImage")
		if err == unix.ENOENT && im.IgnoreMissing {
			return nil
		}
		if err != nil {
			return namespaceFailure(setting, im.Path, err)
		}
		v.images[im] = opened
		return nil
	}
	if im := s.RootImage; im != nil {
		path := im.Path
		if s.EphemeralDir != "" {
			var err error
			if path, err = ephemeral(s.EphemeralDir, path); err != nil {
				return namespaceFailure("RootEphemeral", im.Path, err)
			}
		}
		if f := open("RootImage", im, path); f != nil {
			return f
		}
	}
	if s.RootMStack != nil {
		var err error
		if v.stack, err = readStack(p); err != nil {
			return namespaceFailure("RootMStack", s.RootMStack.Path, err)
		}
		for _, l := range v.stack.layers {
			if l.image == nil {
				continue
			}
			if f := open("RootMStack", l.image, l.path); f != nil {
				return f
			}
		}
	}
	for i := range s.MountImages {
		if f := open("MountImages", &s.MountImages[i], s.MountImages[i].Path); f != nil {
			return f
		}
	}
	for i := range s.ExtensionImages {
		if f := open("ExtensionImages", &s.ExtensionImages[i], s.ExtensionImages[i].Path); f != nil {
			return f
		}
	}
	return nil
}

// mountImage mounts what is to be used of an opened image, attached nowhere yet. ENOENT: it is one that may be missing.
func (v *view) mountImage(im *plan.Image) ([]image.Tree, error) {
	opened := v.images[im]
	if opened == nil {
		return nil, unix.ENOENT
	}
	defer opened.Close()
	return opened.Mount()
}

func openImage(im *plan.Image, path string, grow bool) (*image.Image, error) {
	req := image.Request{
		Path: path, Policy: im.Policy, ReadOnly: im.ReadOnly, Grow: grow,
		Verity: image.Verity{RootHash: im.RootHash, Signature: im.Signature, Tree: im.HashTree,
			Vouch: func(hash, signature []byte) error { return vouch(im.VerityHelper, hash, signature) }},
	}
	for _, o := range im.Options {
		req.Options = append(req.Options, image.Option(o))
		for word := range strings.SplitSeq(o.Options, ",") {
			req.ReadOnly = req.ReadOnly || word == "ro" && o.Partition == "root"
		}
	}
	if im.RootHashPath != "" {
		text, err := readFile(im.RootHashPath, image.MaxHash)
		if err == nil {
			req.Verity.RootHash, err = hex.DecodeString(strings.TrimSpace(string(text)))
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", im.RootHashPath, err)
		}
	}
	if im.SignaturePath != "" {
		var err error
		if req.Verity.Signature, err = readFile(im.SignaturePath, image.MaxSignature); err != nil {
			return nil, fmt.Errorf("%s: %w", im.SignaturePath, err)
		}
	}
	return image.Open(req)
}

// attachImage attaches the trees of an image at a directory. An image without a root partition gets an empty one.
func attachImage(trees []image.Tree, target string) error {
	if len(trees) == 0 || trees[0].Path != "/" {
		empty, err := newFS("tmpfs", unix.MOUNT_ATTR_NODEV, "mode=0755", "size=4m")
		if err != nil {
			return err
		}
		err = attach(empty, target)
		unix.Close(empty)
		if err != nil {
			return err
		}
	}
	for _, t := range trees {
		if t.Path == "/" {
			if err := attach(t.FD, target); err != nil {
				return err
			}
			continue
		}
		if err := attachPart(t, target); err != nil {
			return fmt.Errorf("%s: %w", t.Path, err)
		}
	}
	return nil
}

// attachPart attaches one partition within the root of the image. What has no place there is left out, /usr excepted.
func attachPart(t image.Tree, root string) error {
	place, err := resolve(root, t.Path)
	if err == unix.ENOENT && t.Path == "/efi" {
		place, err = resolve(root, "/boot")
	}
	if err == unix.ENOENT {
		if err = mkdirAll(root+t.Path, 0o755); err == nil {
			place, err = resolve(root, t.Path)
		}
	}
	if (err == unix.EROFS || err == unix.ENOTDIR) && t.Path != "/usr" {
		return nil
	}
	if err != nil {
		return err
	}
	return attach(t.FD, place)
}

// imageRoot mounts RootImage= and gives the place where it is.
func (v *view) imageRoot(p *plan.Plan) (string, *plan.Failure) {
	im := p.Sandbox.RootImage
	trees, err := v.mountImage(im)
	if err == nil {
		defer image.CloseTrees(trees)
		if trees[0].Path != "/" {
			err = errors.New("no root partition in it that is to be used")
		}
	}
	if err == nil {
		err = mkdirAll(rootPlace, 0o755)
	}
	if err == nil {
		err = attachImage(trees, rootPlace)
	}
	if err != nil {
		return "", namespaceFailure("RootImage", im.Path, err)
	}
	return rootPlace, nil
}
