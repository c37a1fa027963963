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
	"github.com/muster-init/muster/pkg/kernel/facts"
	"github.com/muster-init/muster/pkg/unit/value"
)

// extensionPlace is where extensions are mounted until the overlay is.
const extensionPlace = "/run/systemd/unit-extensions"

// class is a kind of extension: where it says what it is for, and by which key of os-release (systemd-sysext(8)).
type class struct{ releases, level string }

var classes = [...]class{
	{"/usr/lib/extension-release.d", "SYSEXT_LEVEL"},
	{"/etc/extension-release.d", "CONFEXT_LEVEL"},
}

// hierarchies are what an extension lies over, of either kind: a service gets all that is in it.
var hierarchies = [...]string{"/usr", "/opt", "/etc"}

// extension is one that is mounted at its place.
type extension struct {
	setting, path, name string
	place               string
}

// extend lays ExtensionImages= and ExtensionDirectories= over the root. The last one that is named is on top.
func (v *view) extend(p *plan.Plan) *plan.Failure {
	s := p.Sandbox
	if len(s.ExtensionImages)+len(s.ExtensionDirectories) == 0 {
		return nil
	}
	list, f := v.extensions(s)
	if f != nil {
		return f
	}
	host := releaseOf(v.root, "/etc/os-release", "/usr/lib/os-release")
	layers := map[string][]string{}
	for _, e := range list {
		if err := isFor(host, e.place, e.name); err != nil {
			return namespaceFailure(e.setting, e.path, err)
		}
		for _, h := range hierarchies {
			dir, err := resolve(e.place, h)
			if err == unix.ENOENT {
				continue
			}
			if err != nil {
				return namespaceFailure(e.setting, e.path, err)
			}
			layers[h] = append([]string{dir}, layers[h]...)
		}
	}
	for _, h := range hierarchies {
		if len(layers[h]) == 0 {
			continue
		}
		if err := v.overlay(h, layers[h]); err != nil {
			return namespaceFailure(list[0].setting, h, err)
		}
	}
	// The overlays hold what they need.
	if err := unix.Unmount(extensionPlace, unix.MNT_DETACH); err != nil {
		return namespaceFailure("extensions", extensionPlace, err)
	}
	return nil
}

// isFor says why the extension at a place isn't one for the host.
func isFor(host []value.Pair, place, name string) error {
	matched := false
	for _, c := range classes {
		text, err := extensionRelease(place, c.releases, name)
		if err == unix.ENOENT {
			continue
		}
		if err == nil {
			err = fits(text, host, c.level)
		}
		if err != nil {
			return err
		}
		matched = true
	}
	if !matched {
		return fmt.Errorf("no extension-release.%s in it", name)
	}
	return nil
}

// mountPlaces mounts a small file system for the places of what an overlay is made of.
func mountPlaces(at string) error {
	places, err := newFS("tmpfs", unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC, "mode=0700", "size=4m")
	if err != nil {
		return err
	}
	defer unix.Close(places)
	return attach(places, at)
}

// extensions mounts each at a place of its own, where only this process sees it.
func (v *view) extensions(s *plan.Sandbox) ([]extension, *plan.Failure) {
	if err := mkdirAll(extensionPlace, 0o755); err != nil {
		return nil, namespaceFailure("extensions", extensionPlace, err)
	}
	if err := mountPlaces(extensionPlace); err != nil {
		return nil, namespaceFailure("extensions", extensionPlace, err)
	}
	var list []extension
	add := func(setting, path string, mount func(place string) error) *plan.Failure {
		place := extensionPlace + "/" + strconv.Itoa(len(list))
		err := unix.Mkdir(place, 0o755)
		if err == nil {
			err = mount(place)
		}
		if err != nil {
			return namespaceFailure(setting, path, err)
		}
		name := path[strings.LastIndexByte(path, '/')+1:]
		list = append(list, extension{setting, path, strings.TrimSuffix(name, ".raw"), place})
		return nil
	}
	for i := range s.ExtensionImages {
		im := &s.ExtensionImages[i]
		if v.images[im] == nil {
			continue
		}
		if f := add("ExtensionImages", im.Path, func(place string) error {
			trees, err := v.mountImage(im)
			if err != nil {
				return err
			}
			defer image.CloseTrees(trees)
			return attachImage(trees, place)
		}); f != nil {
			return nil, f
		}
	}
	for _, dir := range s.ExtensionDirectories {
		if dir.IgnoreMissing {
			if there, err := exists(dir.Path); err == nil && !there {
				continue
			}
		}
		path := strings.TrimRight(dir.Path, "/")
		if f := add("ExtensionDirectories", path, func(place string) error {
			source, err := v.sourceOf(dir)
			if err != nil {
				return err
			}
			tree, err := cloneTree(unix.AT_FDCWD, source, true)
			if err != nil {
				return err
			}
			defer unix.Close(tree)
			return attach(tree, place)
		}); f != nil {
			return nil, f
		}
	}
	return list, nil
}

// sourceOf is the directory of a rule on the host, or with "+" in the root of the service.
func (v *view) sourceOf(dir plan.PathRule) (string, error) {
	if dir.RootPrefixed {
		return resolve(v.root, dir.Path)
	}
	return resolve("/", dir.Path)
}

// maxRelease bounds an extension-release file, in bytes.
const maxRelease = 64 << 10

// extensionRelease reads the file that says what an extension is for. It is called as the extension, or by any name if the file's attribute allows that.
func extensionRelease(place, dir, name string) ([]value.Pair, error) {
	const prefix = "extension-release."
	at, err := resolve(place, dir)
	if err != nil {
		return nil, err
	}
	if !within(at, place) {
		return nil, unix.ENOENT
	}
	file := at + "/" + prefix + name
	there, err := exists(file)
	if err != nil {
		return nil, err
	}
	if !there {
		names, err := readDir(at)
		if err != nil {
			return nil, err
		}
		file = ""
		for _, other := range names {
			if strings.HasPrefix(other, prefix) && lax(at+"/"+other) {
				file = at + "/" + other
			}
		}
		if file == "" {
			return nil, unix.ENOENT
		}
	}
	file, err = resolve(place, strings.TrimPrefix(file, place))
	if err != nil {
		return nil, err
	}
	text, err := readFile(file, maxRelease)
	if err != nil {
		return nil, err
	}
	return value.ParseEnvFile(text)
}

func lax(file string) bool {
	var buf [8]byte
	n, err := unix.Lgetxattr(file, "user.extension-release.strict", buf[:])
	return err == nil && (string(buf[:n]) == "0" || string(buf[:n]) == "false" || string(buf[:n]) == "no")
}

// releaseOf reads the first of the files that is there, seen from root.
func releaseOf(root string, files ...string) []value.Pair {
	for _, file := range files {
		path, err := resolve(root, file)
		if err != nil {
			continue
		}
		text, err := readFile(path, maxRelease)
		if err != nil {
			continue
		}
		pairs, err := value.ParseEnvFile(text)
		if err == nil {
			return pairs
		}
	}
	return nil
}

func field(pairs []value.Pair, key string) string {
	text := ""
	for _, p := range pairs {
		if p.Name == key {
			text = p.Value
		}
	}
	return text
}

// fits says whether an extension is for the system it shall lie over (os-release(5)).
func fits(extension, host []value.Pair, level string) error {
	const any = "_any"
	if arch := field(extension, "ARCHITECTURE"); arch != "" && arch != any && arch != facts.Architecture() {
		return fmt.Errorf("it is for the architecture %s", arch)
	}
	id := field(extension, "ID")
	if id == any {
		return nil
	}
	if id == "" {
		return errors.New("it doesn't say for which system it is")
	}
	if id != field(host, "ID") && !hasWord(field(host, "ID_LIKE"), id) {
		return fmt.Errorf("it is for %s, not for %s", id, field(host, "ID"))
	}
	hostLevel, hostVersion := field(host, level), field(host, "VERSION_ID")
	if hostLevel == "" && hostVersion == "" {
		return nil // a system without versions
	}
	if wanted := field(extension, level); hostLevel != "" && wanted != "" {
		if wanted != hostLevel {
			return fmt.Errorf("it is for %s=%s, not for %s", level, wanted, hostLevel)
		}
		return nil
	}
	if wanted := field(extension, "VERSION_ID"); wanted != hostVersion {
		return fmt.Errorf("it is for version %q, not for %s", wanted, hostVersion)
	}
	return nil
}

func hasWord(list, word string) bool {
	return slices.Contains(strings.Fields(list), word)
}

// overlay lays directories over a hierarchy of the root, the first on top.
func (v *view) overlay(hierarchy string, layers []string) error {
	target, err := resolve(v.root, hierarchy)
	if err == unix.ENOENT {
		path := strings.TrimSuffix(v.root, "/") + hierarchy
		if err = mkdirAll(path, 0o755); err == nil {
			target, err = resolve(v.root, hierarchy)
		}
	}
	if err != nil {
		return err
	}
	return mountOverlay(append(layers, target), "", "", target)
}

// mountOverlay mounts an overlay at target.
func mountOverlay(lower []string, upper, work, target string) error {
	tree, err := newOverlay(lower, upper, work)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	return attach(tree, target)
}

// newOverlay makes a detached overlay of directories, the first on top. What is written goes to upper; without it nothing can be.
func newOverlay(lower []string, upper, work string) (int, error) {
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fs)
	var fds []int
	open := func(dir string) (string, error) {
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return "", fmt.Errorf("%s: %w", dir, err)
		}
		fds = append(fds, fd)
		return procFD(fd), nil // whatever is in a path, it needs no quotes this way
	}
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	var below []string
	for _, dir := range lower {
		path, err := open(dir)
		if err != nil {
			return -1, err
		}
		below = append(below, path)
	}
	for _, path := range below {
		if err = unix.FsconfigSetString(fs, "lowerdir+", path); err != nil {
			break
		}
	}
	if err == unix.EINVAL { // before Linux 6.7
		err = unix.FsconfigSetString(fs, "lowerdir", strings.Join(below, ":"))
	}
	attrs := unix.MOUNT_ATTR_RDONLY
	for _, o := range []struct{ name, dir string }{{"upperdir", upper}, {"workdir", work}} {
		if err != nil || o.dir == "" {
			continue
		}
		var path string
		if path, err = open(o.dir); err == nil {
			err = unix.FsconfigSetString(fs, o.name, path)
		}
		attrs = 0
	}
	if err == nil {
		err = unix.FsconfigSetString(fs, "source", "overlay")
	}
	if err == nil {
		err = unix.FsconfigCreate(fs)
	}
	if err != nil {
		return -1, fmt.Errorf("overlay: %w", err)
	}
	return unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attrs)
}
