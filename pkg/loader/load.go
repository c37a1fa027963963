package loader

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/kernel/reach"
	"github.com/muster-init/muster/pkg/unit"
)

// fileMax bounds the size of one unit file in bytes.
const fileMax = 16 << 20

// Loader makes configurations from the files of an index. It belongs to the manager's loop; the index may be made elsewhere.
type Loader struct {
	path     []string
	index    *Index
	extra    *Index // a later one, for names that index has no file of; nil: none was needed
	version  uint64 // counts the changes that were made to index itself
	host     *unit.Host
	defaults *unit.Defaults
	shared   *shared
	names    map[string]string // of units, to have each once
	sources  map[string]int64  // SourcePath= of loaded units, and when it was changed, ns
	report   func(unit.Message)
	ahead    *Ahead // nil: nothing is read ahead
}

// New makes a loader for a search path. report gets every message about a unit file.
func New(path []string, index *Index, host *unit.Host, defaults *unit.Defaults, report func(unit.Message)) *Loader {
	l := &Loader{path: path, host: host, defaults: defaults, shared: newShared(), names: map[string]string{}, sources: map[string]int64{}, report: report}
	if host.Intern == nil {
		h := *host
		h.Intern = l.intern
		l.host = &h
	}
	l.Use(index)
	return l
}

// intern gives one string for all equal names of units: most are named by many others.
func (l *Loader) intern(s string) string {
	if known, ok := l.names[s]; ok {
		return known
	}
	s = strings.Clone(s)
	l.names[s] = s
	return s
}

// Trim forgets what only saves memory while many units are loaded at once: the tables to find equal names and blocks with.
func (l *Loader) Trim() {
	l.names, l.shared = map[string]string{}, newShared()
}

// Index is the index in use.
func (l *Loader) Index() *Index { return l.index }

// Version changes whenever the index in use was changed (transient units, drop-ins of set-property): a scan that began before misses that.
func (l *Loader) Version() uint64 { return l.version }

// Path is the search path.
func (l *Loader) Path() []string { return l.path }

// Host is what specifiers expand to.
func (l *Loader) Host() *unit.Host { return l.host }

// Defaults are the manager's defaults for units.
func (l *Loader) Defaults() *unit.Defaults { return l.defaults }

// Use changes to a newer index.
func (l *Loader) Use(x *Index) {
	if l.index != nil {
		x.files.reuse(l.index.files)
	}
	l.index, l.extra, l.shared = x, nil, newShared()
	for _, p := range x.problems {
		l.report(unit.Message{Level: unit.LevelWarning, Text: p})
	}
}

// SetDefaults changes the defaults for units that are loaded from now on.
func (l *Loader) SetDefaults(d *unit.Defaults) { l.defaults = d }

// Load gives the configuration of the unit that goes by name; never nil.
func (l *Loader) Load(name string) *unit.Unit {
	r := l.index.Resolve(name)
	x := l.index
	if r.Fragment == "" && r.Err == nil && l.index.stale() {
		// A file that was written since the last reload is found, as long as its unit isn't known yet. This costs a look at the directories for names
		// without a file, and a listing only when one of them changed again. The index itself stays what the loaded units were made from.
		if l.extra == nil || l.extra.stale() {
			l.extra = Scan(l.path)
			l.extra.Inherit(l.path, l.index)
		}
		if later := l.extra.Resolve(name); later.Fragment != "" {
			x, r = l.extra, later
		}
	}
	if r.Err != nil {
		return l.broken(name, r.Names, unit.StateError, unit.ErrLoadFailed, r.Err.Error())
	}
	if r.Masked {
		u := l.broken(r.Name, r.Names, unit.StateMasked, unit.ErrUnitMasked, "Unit "+r.Name+" is masked.")
		u.FragmentPath = r.Fragment
		return u
	}
	src := unit.Source{Name: r.Name, Names: r.Names, Optional: optional(r.Name), SkipInstall: true}
	src.Transient = isTransient(r.Fragment)
	if r.Fragment != "" {
		text, err := l.fragment(r.Fragment)
		if errors.Is(err, unix.ENOENT) { // a dangling link
			return l.broken(r.Name, r.Names, unit.StateNotFound, unit.ErrNoSuchUnit, "Unit "+r.Name+" not found.")
		}
		if err != nil {
			u := l.broken(r.Name, r.Names, unit.StateError, unit.ErrLoadFailed, fmt.Sprintf("Unit %s failed to load: %v", r.Name, err))
			u.FragmentPath = r.Fragment
			l.report(unit.Message{Level: unit.LevelError, File: r.Fragment, Text: err.Error()})
			return u
		}
		src.Fragment = &unit.File{Path: r.Fragment, Text: text}
	}
	for _, p := range x.DropIns(r.Names) {
		text, err := readFile(p)
		if err != nil {
			l.report(unit.Message{Level: unit.LevelError, File: p, Text: err.Error() + "; the drop-in is ignored"})
			continue
		}
		src.DropIns = append(src.DropIns, unit.File{Path: p, Text: text})
	}
	for _, k := range x.Links(r.Names) {
		src.Links = append(src.Links, unit.Link{Path: k.Path, Type: k.Type, Name: k.Name})
	}
	u, messages := unit.Load(l.host, l.defaults, &src)
	l.shared.share(u)
	if u.SourcePath != "" {
		l.sources[u.SourcePath] = modified(u.SourcePath)
	}
	for _, m := range messages {
		l.report(m)
	}
	return u
}

// broken makes the configuration of a unit that can't be used.
func (l *Loader) broken(name string, names []string, state unit.LoadState, errName, message string) *unit.Unit {
	u := unit.New(name, l.defaults)
	u.Names, u.LoadState = names, state
	u.LoadError = &unit.LoadError{Name: errName, Message: message}
	return u
}

// optional names are units that exist without a file: slices by their name, what the kernel brings, and the manager's own scope.
func optional(name string) bool {
	switch unit.TypeOf(name) {
	case unit.TypeSlice, unit.TypeDevice:
		return true
	}
	return name == "init.scope" || name == "-.mount"
}

// isTransient reports whether a fragment lies in a directory of transient units.
func isTransient(path string) bool {
	dir := path[:max(0, lastSlash(path))]
	return len(dir) >= len("/transient") && dir[len(dir)-len("/transient"):] == "/transient"
}

func lastSlash(s string) int {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == '/' {
			return i
		}
	}
	return 0
}

// readFile reads a regular file of bounded size. A fifo or a device in place of a unit file does not block, nor does a file system that hangs.
func readFile(path string) (string, error) {
	var text string
	var err error
	if hangs := reach.Do(path, func() { text, err = readRegular(path) }); hangs != nil {
		return "", hangs
	}
	return text, err
}

func readRegular(path string) (string, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return "", &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", &os.PathError{Op: "stat", Path: path, Err: err}
	}
	switch {
	case st.Mode&unix.S_IFMT == unix.S_IFCHR:
		return "", nil // /dev/null in place of a drop-in
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return "", fmt.Errorf("%s: not a regular file", path)
	case st.Size > fileMax:
		return "", fmt.Errorf("%s: %d bytes are more than a unit file may have (%d)", path, st.Size, fileMax)
	}
	buf := make([]byte, 0, st.Size+1)
	for len(buf) <= fileMax {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := unix.Read(fd, buf[len(buf):cap(buf)])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return "", &os.PathError{Op: "read", Path: path, Err: err}
		}
		buf = buf[:len(buf)+n]
		// Less than there is room for is the end of the file, if it is where it was to be expected.
		if n == 0 || int64(len(buf)) == st.Size && len(buf) < cap(buf) {
			return string(buf), nil
		}
	}
	return "", fmt.Errorf("%s: %w", path, io.ErrShortBuffer)
}

// AddTransient makes the index know a fragment that was just written below the transient directory, without a new scan.
func (l *Loader) AddTransient(name, path string) {
	l.version++
	e := entry{at: unix.AT_FDCWD, path: path, name: path[lastSlash(path)+1:]}
	if unix.Lstat(path, &e.st) != nil {
		return
	}
	l.index.files.remove(name, path)
	l.index.files.first(l.index.regular(&e))
}

// RefreshDropIns lists the directories NAME.d of one unit again, after a drop-in of it was written or removed.
func (l *Loader) RefreshDropIns(name string) {
	l.version++
	key := name + ".d"
	delete(l.index.dropins, key)
	seen := map[identity]bool{} // directories may be there now that were not when the index was made
	for _, dir := range l.path {
		var st, sub unix.Stat_t
		if dir == "" || statPath(dir, &st) != nil || statPath(dir+"/"+key, &sub) != nil {
			continue
		}
		if id := (identity{ino: st.Ino, size: int64(st.Dev)}); !seen[id] {
			seen[id] = true
			l.index.addSubdir(dir, key)
		}
	}
}

// Files lists every unit file that counts: the name and its path, for list-unit-files.
func (x *Index) Files() map[string]string {
	out := make(map[string]string, len(x.files))
	x.files.each(func(name string, list []file) { out[name] = list[0].path })
	return out
}

// RemoveTransient takes a fragment below the transient directory out of the index; false if it isn't there.
func (l *Loader) RemoveTransient(name, path string) bool {
	l.version++
	return l.index.files.remove(name, path)
}
