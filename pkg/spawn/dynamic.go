package spawn

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// DynamicUserDir is where taken numbers are noted: a file per number that
// holds the name, and the links direct:NAME → number and direct:NUMBER → name
// that nss-systemd(8) reads.
const DynamicUserDir = "/run/systemd/dynamic-uid"

// The range of dynamic users (systemd.exec(5), DynamicUser=).
const (
	dynamicUIDMin = 61184
	dynamicUIDMax = 65519
)

// IsDynamicUID says whether a number is of the range of dynamic users.
func IsDynamicUID(uid uint32) bool { return uid >= dynamicUIDMin && uid <= dynamicUIDMax }

// ErrNoDynamicUser says that the whole range is taken.
var ErrNoDynamicUser = errors.New("no dynamic user is left")

const maxUserName = 31

// AllocateDynamicUser finds the number of a dynamic user: the one it has, or
// else one that follows from the hash of its name, so that it mostly gets the
// same again. wished are numbers to try first, taken tells of those in use
// elsewhere. It opens files: not for the manager's loop.
func AllocateDynamicUser(name string, wished []uint32, taken func(uid uint32) bool) (uint32, error) {
	dir, err := lockDynamicUsers()
	if err != nil {
		return 0, err
	}
	defer unix.Close(dir)
	if uid, ok := readDynamicUser(dir, name); ok {
		return uid, nil
	}
	h := fnv.New64a()
	h.Write([]byte(name))
	const size = dynamicUIDMax - dynamicUIDMin + 1
	start := h.Sum64() % size
	for i := range len(wished) + size {
		var uid uint32
		if i < len(wished) {
			uid = wished[i]
		} else {
			uid = uint32(dynamicUIDMin + (start+uint64(i-len(wished)))%size)
		}
		number := strconv.FormatUint(uint64(uid), 10)
		if !IsDynamicUID(uid) || taken(uid) {
			continue
		}
		fd, err := unix.Openat(dir, number, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
		if err == unix.EEXIST {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", DynamicUserDir, err)
		}
		_, err = unix.Write(fd, []byte(name+"\n"))
		unix.Close(fd)
		if err == nil {
			err = errors.Join(relink(dir, number, "direct:"+name), relink(dir, name, "direct:"+number))
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", DynamicUserDir, err)
		}
		return uid, nil
	}
	return 0, ErrNoDynamicUser
}

// ReleaseDynamicUser gives a number back once nothing of the unit runs any
// more. It opens files: not for the manager's loop.
func ReleaseDynamicUser(name string) error {
	dir, err := lockDynamicUsers()
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	uid, ok := readDynamicUser(dir, name)
	if !ok {
		return nil
	}
	number := strconv.FormatUint(uint64(uid), 10)
	var errs []error
	for _, path := range []string{"direct:" + name, "direct:" + number, number} {
		if err := unix.Unlinkat(dir, path, 0); err != nil && err != unix.ENOENT {
			errs = append(errs, fmt.Errorf("%s/%s: %w", DynamicUserDir, path, err))
		}
	}
	return errors.Join(errs...)
}

// lockDynamicUsers opens the directory, locked until it is closed.
func lockDynamicUsers() (int, error) {
	for _, path := range []string{"/run/systemd", DynamicUserDir} {
		if err := unix.Mkdir(path, 0o755); err != nil && err != unix.EEXIST {
			return -1, fmt.Errorf("%s: %w", path, err)
		}
	}
	dir, err := unix.Open(DynamicUserDir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return -1, fmt.Errorf("%s: %w", DynamicUserDir, err)
	}
	for {
		err := unix.Flock(dir, unix.LOCK_EX)
		if err == nil {
			return dir, nil
		}
		if err != unix.EINTR {
			unix.Close(dir)
			return -1, fmt.Errorf("%s: lock: %w", DynamicUserDir, err)
		}
	}
}

// DynamicUser gives the number of a dynamic user that is in use.
func DynamicUser(name string) (uint32, bool) {
	dir, err := unix.Open(DynamicUserDir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return 0, false
	}
	defer unix.Close(dir)
	return readDynamicUser(dir, name)
}

// DynamicUserName gives the name that a number is in use for. Like DynamicUser
// it reads a link on /run's tmpfs, which can't hold up anybody.
func DynamicUserName(uid uint32) (string, bool) {
	if !IsDynamicUID(uid) {
		return "", false
	}
	buf := make([]byte, maxUserName+1)
	n, err := unix.Readlink(DynamicUserDir+"/direct:"+strconv.FormatUint(uint64(uid), 10), buf)
	if err != nil || n == 0 || n > maxUserName {
		return "", false
	}
	// The other direction has to agree: links are replaced one by one.
	name := string(buf[:n])
	back, ok := DynamicUser(name)
	return name, ok && back == uid
}

// DynamicUserEntry is a dynamic user that is in use.
type DynamicUserEntry struct {
	Name string
	UID  uint32
}

// DynamicUsers lists them by number.
func DynamicUsers() []DynamicUserEntry {
	dir, err := unix.Open(DynamicUserDir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(dir)
	var list []DynamicUserEntry
	buf := make([]byte, 16384)
	for {
		n, err := unix.ReadDirent(dir, buf)
		if err != nil || n <= 0 {
			break
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		for _, number := range names {
			uid, err := strconv.ParseUint(number, 10, 32)
			if err != nil {
				continue
			}
			if name, ok := DynamicUserName(uint32(uid)); ok {
				list = append(list, DynamicUserEntry{name, uint32(uid)})
			}
		}
	}
	slices.SortFunc(list, func(a, b DynamicUserEntry) int { return int(a.UID) - int(b.UID) })
	return list
}

func readDynamicUser(dir int, name string) (uint32, bool) {
	if name == "" || len(name) > maxUserName {
		return 0, false
	}
	buf := make([]byte, 32)
	n, err := unix.Readlinkat(dir, "direct:"+name, buf)
	if err != nil {
		return 0, false
	}
	uid, err := strconv.ParseUint(string(buf[:n]), 10, 32)
	if err != nil || uid < dynamicUIDMin || uid > dynamicUIDMax {
		return 0, false
	}
	return uint32(uid), true
}

func relink(dir int, target, path string) error {
	if err := unix.Unlinkat(dir, path, 0); err != nil && err != unix.ENOENT {
		return err
	}
	return unix.Symlinkat(target, dir, path)
}
