package sandbox

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/image"
	"github.com/muster-init/muster/pkg/unit/value"
)

// stackPlace is where the layers of a stack are until the overlay holds them.
const stackPlace = "/run/systemd/unit-layers"

// maxLayers bounds the layers of RootMStack=; the kernel takes 500.
const maxLayers = 128

// stack is what RootMStack= says (systemd.mstack(7)): which layers make the root. What it binds is among the plan's own.
type stack struct {
	path   string
	layers []layer // the lowest first
	rw     string  // directory of what is written, "" nothing is
	root   string  // directory that is the root, with only /usr of the layers; "" they are the root
}

// layer is a directory or an image.
type layer struct {
	id, path string
	image    *plan.Image
}

// readStack reads the directory and adds what it binds to the plan.
func readStack(p *plan.Plan) (*stack, error) {
	m := p.Sandbox.RootMStack
	dir, err := resolve("/", m.Path)
	if err != nil {
		return nil, err
	}
	names, err := readDir(dir)
	if err != nil {
		return nil, err
	}
	st := &stack{path: dir}
	for _, name := range names {
		if err := st.add(p, name); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	switch {
	case len(st.layers) > maxLayers:
		return nil, unix.E2BIG
	case len(st.layers) == 0 && st.rw == "" && st.root == "":
		return nil, errors.New("no layer in it")
	}
	slices.SortFunc(st.layers, func(a, b layer) int {
		if c := value.CompareVersions(a.id, b.id); c != 0 {
			return c
		}
		return strings.Compare(a.id, b.id)
	})
	return st, nil
}

// add takes one name of the stack. Those that mean nothing are left alone.
func (s *stack) add(p *plan.Plan, name string) error {
	path := s.path + "/" + name
	var st unix.Stat_t
	kind, rest, found := strings.Cut(name, "@")
	if !found && name != "rw" && name != "root" || found && kind != "layer" && kind != "bind" && kind != "robind" {
		return nil
	}
	if err := unix.Stat(path, &st); err != nil {
		return err
	}
	dir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	if !found {
		if !dir {
			return unix.ENOTDIR
		}
		if name == "rw" {
			s.rw = path
		} else {
			s.root = path
		}
		return nil
	}
	id, raw := strings.CutSuffix(rest, ".raw")
	if raw == dir {
		return errors.New("neither a directory nor an image of the name that it has")
	}
	if id == "" {
		return errors.New("nothing behind the @")
	}
	m := p.Sandbox.RootMStack
	im := &plan.Image{Path: path, Policy: m.Policy, VerityHelper: m.VerityHelper, ReadOnly: kind != "bind"}
	if dir {
		im = nil
	}
	if kind == "layer" {
		s.layers = append(s.layers, layer{id, path, im})
		return nil
	}
	place, err := unescapePath(id)
	if err != nil {
		return err
	}
	if dir {
		p.Sandbox.Binds = append(p.Sandbox.Binds, plan.Bind{Source: path, Destination: place, ReadOnly: kind == "robind", Recursive: true})
		return nil
	}
	im.Destination = place
	p.Sandbox.MountImages = append(p.Sandbox.MountImages, *im)
	return nil
}

// unescapePath reads a path as it is written in names of mount units (systemd.unit(5), "String Escaping").
func unescapePath(s string) (string, error) {
	out := []byte("/")
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '-':
			out = append(out, '/')
		case s[i] != '\\':
			out = append(out, s[i])
		default:
			if len(s) < i+4 || s[i+1] != 'x' {
				return "", fmt.Errorf("%q is no escaped path", s)
			}
			c, err := strconv.ParseUint(s[i+2:i+4], 16, 8)
			if err != nil || c == 0 {
				return "", fmt.Errorf("%q is no escaped path", s)
			}
			out = append(out, byte(c))
			i += 3
		}
	}
	if s == "-" || !value.PathIsNormalized(string(out)) || strings.HasSuffix(string(out), "/") {
		return "", fmt.Errorf("%q is no escaped path of a place in the root", s)
	}
	return string(out), nil
}

// stackRoot builds the root and gives the place where it is.
func (v *view) stackRoot(p *plan.Plan) (string, *plan.Failure) {
	err := v.buildStack(p)
	if err != nil {
		return "", namespaceFailure("RootMStack", p.Sandbox.RootMStack.Path, err)
	}
	return rootPlace, nil
}

func (v *view) buildStack(p *plan.Plan) error {
	s := v.stack
	if err := s.throwAway(p); err != nil {
		return err
	}
	places, err := v.stackLayers()
	if err != nil {
		return err
	}
	if err := mkdirAll(rootPlace, 0o755); err != nil {
		return err
	}
	if s.root == "" {
		if err := s.lay(places, "", rootPlace); err != nil {
			return err
		}
		return v.leavePlaces(s.partitions(places))
	}
	if err := bindTree(s.root, rootPlace, false); err != nil {
		return fmt.Errorf("root: %w", err)
	}
	if len(places) > 0 || s.rw != "" {
		usr, err := resolve(rootPlace, "/usr")
		if err == unix.ENOENT {
			if err = unix.Mkdir(rootPlace+"/usr", 0o755); err == nil {
				usr, err = resolve(rootPlace, "/usr")
			}
		}
		if err != nil {
			return err
		}
		if err := s.lay(places, "/usr", usr); err != nil {
			return err
		}
	}
	return v.leavePlaces(nil)
}

// throwAway puts the copy of RootEphemeral= in the place of what is written to: what was written before is below it.
func (s *stack) throwAway(p *plan.Plan) error {
	dir := p.Sandbox.EphemeralDir
	if dir == "" {
		return nil
	}
	if s.root != "" {
		copied, err := ephemeral(dir, s.root)
		if err != nil {
			return err
		}
		s.root = copied
	}
	if s.rw != "" {
		if there, err := exists(s.rw + "/data"); err != nil {
			return err
		} else if there {
			s.layers = append(s.layers, layer{path: s.rw + "/data"})
		}
	}
	s.rw = dir + "/rw"
	return makeEphemeral(dir, s.rw)
}

// stackLayers puts each layer at a place of its own, the lowest first.
func (v *view) stackLayers() ([]string, error) {
	if err := mkdirAll(stackPlace, 0o755); err != nil {
		return nil, err
	}
	if err := mountPlaces(stackPlace); err != nil {
		return nil, err
	}
	var places []string
	for i, l := range v.stack.layers {
		place := stackPlace + "/" + strconv.Itoa(i)
		if err := unix.Mkdir(place, 0o755); err != nil {
			return nil, err
		}
		if err := v.placeLayer(l, place); err != nil {
			return nil, fmt.Errorf("layer %s: %w", l.id, err)
		}
		places = append(places, place)
	}
	return places, nil
}

func (v *view) placeLayer(l layer, place string) error {
	if l.image == nil {
		return bindTree(l.path, place, true)
	}
	trees, err := v.mountImage(l.image)
	if err != nil {
		return err
	}
	defer image.CloseTrees(trees)
	return attachImage(trees, place)
}

// bindTree mounts a directory at a place.
func bindTree(path, place string, readOnly bool) error {
	source, err := resolve("/", path)
	if err != nil {
		return err
	}
	tree, err := cloneTree(unix.AT_FDCWD, source, true)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	if readOnly {
		if err := setAttr(tree, "", unix.MOUNT_ATTR_RDONLY, 0, true); err != nil {
			return err
		}
	}
	return attach(tree, place)
}

// partitions are the /usr of images that have it in a partition of its own: an overlay doesn't look into what is mounted in its layers.
func (s *stack) partitions(places []string) []string {
	apart := false
	for i, place := range places {
		on, err := isMountPoint(place + "/usr")
		apart = apart || err == nil && on && s.layers[i].image != nil
	}
	if !apart {
		return nil
	}
	return places
}

// leavePlaces lays /usr of these over the root's and takes the places away: the overlays hold what they need.
func (v *view) leavePlaces(usr []string) error {
	if len(usr) > 0 {
		target, err := resolve(rootPlace, "/usr")
		if err != nil {
			return err
		}
		readOnly := stack{}
		if err := readOnly.lay(usr, "/usr", target); err != nil {
			return err
		}
	}
	return unix.Unmount(stackPlace, unix.MNT_DETACH)
}

// lay mounts an overlay of what the layers have below sub at target. With nothing to write to, one layer is mounted as it is.
func (s *stack) lay(places []string, sub, target string) error {
	var lower []string
	for _, place := range slices.Backward(places) { // the first of an overlay is the highest
		dir, err := resolve(place, "/"+strings.TrimPrefix(sub, "/"))
		if err == unix.ENOENT {
			continue
		}
		if err != nil {
			return err
		}
		lower = append(lower, dir)
	}
	upper, work := "", ""
	if s.rw != "" {
		upper, work = s.rw+"/data", s.rw+"/work"
		for _, dir := range []string{upper, work} {
			if err := unix.Mkdir(dir, 0o755); err != nil && err != unix.EEXIST {
				return err
			}
		}
	}
	switch {
	case len(lower) == 0 && upper == "":
		return fmt.Errorf("no layer has %s", sub)
	case len(lower) == 0:
		return bindTree(upper, target, false)
	case len(lower) == 1 && upper == "":
		return bindTree(lower[0], target, true)
	}
	return mountOverlay(lower, upper, work, target)
}
