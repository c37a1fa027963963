package sandbox

import (
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/unit/value"
)

// collection are the credentials gathered so far.
type collection struct {
	names []string
	data  map[string][]byte
	size  int
	user  bool // of a user's manager
}

func (c *collection) add(name string, data []byte) error {
	if _, ok := c.data[name]; ok {
		return nil
	}
	if c.size += len(name) + len(data); c.size > plan.MaxCredentials {
		return unix.E2BIG
	}
	c.names = append(c.names, name)
	c.data[name] = data
	return nil
}

// credentials gathers LoadCredential=, ImportCredential= and SetCredential=,
// in that order of precedence, in a directory that only the service reads, and
// names it in CREDENTIALS_DIRECTORY=.
func credentials(r *run) *plan.Failure {
	p, c := r.p, r.p.Credentials
	fail := func(setting, what string, err error) *plan.Failure {
		return failed(plan.ExitCredentials, setting, what, err)
	}
	if c.Write {
		all := &collection{data: map[string][]byte{}, user: p.UserMode}
		for _, l := range c.Load {
			if err := load(all, c, l); err != nil {
				return fail(credentialSetting("LoadCredential", l.Encrypted), l.ID, err)
			}
		}
		for _, i := range c.Import {
			err := importAll(all, c.Received, i, false)
			if err == nil {
				err = importAll(all, c.ReceivedEncrypted, i, true)
			}
			if err != nil {
				return fail("ImportCredential", i.Glob, err)
			}
		}
		for _, s := range c.Set {
			if err := set(all, s); err != nil {
				return fail(credentialSetting("SetCredential", s.Encrypted), s.ID, err)
			}
		}
		if len(all.names) > 0 {
			if err := publish(p, all); err != nil {
				return fail("credentials", c.Dir, err)
			}
		}
	}
	there, err := exists(c.Dir)
	if err != nil {
		return fail("credentials", c.Dir, err)
	}
	if there {
		p.Env = value.MergeEnvironment(p.Env, []string{"CREDENTIALS_DIRECTORY=" + c.Dir})
	}
	return nil
}

func credentialSetting(name string, encrypted bool) string {
	if encrypted {
		return name + "Encrypted"
	}
	return name
}

// set adds a SetCredential= that nothing took the place of.
func set(all *collection, s plan.CredentialData) error {
	if _, ok := all.data[s.ID]; ok || !s.Encrypted {
		return all.add(s.ID, s.Data)
	}
	data, err := decrypt(s.Data, s.ID, all.user)
	if err != nil {
		return err
	}
	return all.add(s.ID, data)
}

// read reads a file that holds the credential called id.
func (c *collection) read(path, id string, encrypted bool) ([]byte, error) {
	if !encrypted {
		return readFile(path, plan.MaxCredentials)
	}
	text, err := readFile(path, encryptedMax*4/3)
	if err != nil {
		return nil, err
	}
	return c.decryptText(text, id)
}

func (c *collection) decryptText(text []byte, id string) ([]byte, error) {
	blob, err := unbase64(text)
	if err != nil {
		return nil, err
	}
	return decrypt(blob, id, c.user)
}

// load reads one LoadCredential=: a file, all files of a directory, what a
// socket sends, or something received.
func load(all *collection, c *plan.Credentials, l plan.Credential) error {
	if !strings.HasPrefix(l.Path, "/") {
		from := c.Received
		if l.Encrypted {
			from = c.ReceivedEncrypted
		}
		for _, dir := range from {
			data, err := all.read(dir+"/"+l.Path, l.ID, l.Encrypted)
			if err == nil {
				return all.add(l.ID, data)
			}
			if err != unix.ENOENT && err != unix.ENOTDIR {
				return err
			}
		}
		return nil
	}
	var st unix.Stat_t
	if err := unix.Stat(l.Path, &st); err != nil {
		if err == unix.ENOENT && isSet(c, l.ID) {
			return nil
		}
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		names, err := readDir(l.Path)
		if err != nil {
			return err
		}
		for _, name := range names {
			data, err := all.read(l.Path+"/"+name, l.ID+"_"+name, l.Encrypted)
			if err == unix.EISDIR {
				continue
			}
			if err == nil {
				err = all.add(l.ID+"_"+name, data)
			}
			if err != nil {
				return err
			}
		}
		return nil
	case unix.S_IFSOCK:
		data, err := readSocket(l.Path)
		if err == nil && l.Encrypted {
			data, err = all.decryptText(data, l.ID)
		}
		if err != nil {
			return err
		}
		return all.add(l.ID, data)
	}
	data, err := all.read(l.Path, l.ID, l.Encrypted)
	if err != nil {
		return err
	}
	return all.add(l.ID, data)
}

func isSet(c *plan.Credentials, id string) bool {
	for _, s := range c.Set {
		if s.ID == id {
			return true
		}
	}
	return false
}

func readSocket(path string) ([]byte, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return nil, err
	}
	return readAll(fd, encryptedMax*4/3)
}

// importAll takes what matches a glob from all places where credentials are
// received.
func importAll(all *collection, from []string, i plan.CredentialImport, encrypted bool) error {
	for _, dir := range from {
		names, err := readDir(dir)
		if err != nil {
			continue // a place that is not there has nothing
		}
		for _, name := range names {
			if ok, err := path.Match(i.Glob, name); err != nil || !ok {
				continue
			}
			as := name
			if i.Rename != "" {
				as = i.Rename + strings.TrimPrefix(name, strings.TrimSuffix(i.Glob, "*"))
			}
			if _, ok := all.data[as]; ok || !value.FilenameIsValid(as) {
				continue
			}
			data, err := all.read(dir+"/"+name, name, encrypted)
			if err == unix.EISDIR {
				continue
			}
			if err != nil {
				return err
			}
			if err := all.add(as, data); err != nil {
				return err
			}
		}
	}
	return nil
}

// publish writes the credentials to a file system of their own, made
// read-only and mounted in one step, so that nobody sees half of them. Without
// the privilege to mount, a user's manager makes a plain directory.
func publish(p *plan.Plan, all *collection) error {
	c := p.Credentials
	if err := mkdirAll(c.Dir[:strings.LastIndexByte(c.Dir, '/')], 0o755); err != nil {
		return err
	}
	if err := unix.Mkdir(c.Dir, 0o700); err != nil && err != unix.EEXIST {
		return err
	}
	tree, err := newCredentialFS()
	if p.UserMode && err == unix.EPERM {
		return writeCredentials(p, all, c.Dir)
	}
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	// The descriptor of a mount only names it; files want one to the directory.
	root, err := unix.Openat(tree, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	err = fillCredentials(p, all, root)
	unix.Close(root)
	if err != nil {
		return err
	}
	if err := setAttr(tree, "", unix.MOUNT_ATTR_RDONLY, 0, false); err != nil {
		return err
	}
	if on, err := isMountPoint(c.Dir); err == nil && on {
		if err := unix.Unmount(c.Dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return err
		}
	}
	return attach(tree, c.Dir)
}

// newCredentialFS makes a file system that never goes to swap: a tmpfs that is
// told so, since Linux 6.4, or else a ramfs. What is put into it is bounded by us.
func newCredentialFS() (int, error) {
	const attrs = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC | unix.MOUNT_ATTR_NOSYMFOLLOW
	tree, err := newFS("tmpfs", attrs, "mode=0700", "nr_inodes=1024", "size=2m", "noswap")
	if err == unix.EINVAL {
		tree, err = newFS("ramfs", attrs, "mode=0700")
	}
	return tree, err
}

func writeCredentials(p *plan.Plan, all *collection, dir string) error {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Fchmod(fd, 0o700); err != nil {
		return err
	}
	return fillCredentials(p, all, fd)
}

// fillCredentials writes files that only the service's user can read.
func fillCredentials(p *plan.Plan, all *collection, dir int) error {
	uid, gid := -1, -1
	if p.Identity != nil && p.Identity.HasUID && !p.UserMode {
		uid, gid = int(p.Identity.UID), int(p.Identity.GID)
	}
	for _, name := range all.names {
		if err := unix.Unlinkat(dir, name, 0); err != nil && err != unix.ENOENT {
			return err
		}
		fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o400)
		if err != nil {
			return err
		}
		for data := all.data[name]; len(data) > 0 && err == nil; {
			var n int
			if n, err = unix.Write(fd, data); n > 0 {
				data = data[n:]
			}
		}
		if err == nil && uid >= 0 {
			err = unix.Fchown(fd, uid, gid)
		}
		unix.Close(fd)
		if err != nil {
			return err
		}
	}
	if uid >= 0 {
		if err := unix.Fchown(dir, uid, gid); err != nil {
			return err
		}
	}
	return unix.Fchmod(dir, 0o500)
}
