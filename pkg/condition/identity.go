package condition

import (
	"bufio"
	"os"
	"strconv"
	"strings"
)

// systemUIDMax is the last uid of a system user (user names below it are @system), as Debian's login.defs sets it.
const systemUIDMax = 999

// testUser compares with the user that the manager runs as: a uid, a name, or @system.
func testUser(f *Facts, p string) (bool, error) {
	uid := uint64(os.Getuid())
	if n, err := strconv.ParseUint(p, 10, 32); err == nil {
		return n == uid, nil
	}
	if p == "@system" {
		return uid <= systemUIDMax || uid == 65534, nil
	}
	if uid == 0 {
		return p == "root", nil
	}
	id, ok := f.lookup("/etc/passwd", p)
	return ok && id == uid, nil
}

// testGroup reports whether the manager is in a group, by gid or name.
func testGroup(f *Facts, p string) (bool, error) {
	want, err := strconv.ParseUint(p, 10, 32)
	if err != nil {
		id, ok := f.lookup("/etc/group", p)
		if !ok {
			return false, nil
		}
		want = id
	}
	groups, err := os.Getgroups()
	if err != nil {
		return false, err
	}
	for _, g := range append(groups, os.Getgid(), os.Getegid()) {
		if uint64(g) == want {
			return true, nil
		}
	}
	return false, nil
}

// lookup finds the numeric ID (third field) of a name in a passwd(5) or group(5) file.
func (f *Facts) lookup(file, name string) (uint64, bool) {
	in, err := os.Open(f.path(file))
	if err != nil {
		return 0, false
	}
	defer in.Close()
	s := bufio.NewScanner(in)
	for s.Scan() {
		fields := strings.Split(s.Text(), ":")
		if len(fields) > 2 && fields[0] == name {
			return parseUint(fields[2])
		}
	}
	return 0, false
}
