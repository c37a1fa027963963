package sandbox

import (
	"errors"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
)

// resolveIdentity turns User=, Group= and SupplementaryGroups= into numbers.
func resolveIdentity(r *run) *plan.Failure {
	p := r.p
	if p.Identity != nil {
		return nil
	}
	switch {
	case p.DynamicUser:
		if f := dynamicUser(p); f != nil {
			return f
		}
	case p.User != "":
		e, err := lookupUser(p.User)
		if err != nil {
			return failed(plan.ExitUser, "User", p.User, err)
		}
		p.Identity = &plan.Identity{Name: e.name, UID: e.uid, GID: e.gid, Home: e.home, Shell: e.shell, HasUID: true}
	case p.SetLogin:
		e, err := lookupUser(strconv.Itoa(int(r.host.UID)))
		if err != nil {
			return failed(plan.ExitUser, "SetLoginEnvironment", "", err)
		}
		p.Identity = &plan.Identity{Name: e.name, UID: e.uid, GID: e.gid, Home: e.home, Shell: e.shell, HasUID: true}
	case p.ChangeUser:
		p.Identity = &plan.Identity{UID: r.host.UID, GID: uint32(unix.Getegid())}
	default:
		return nil
	}
	return groups(p)
}

// groups resolves Group=, and the supplementary groups: those the group file
// has for the user and those of SupplementaryGroups=.
func groups(p *plan.Plan) *plan.Failure {
	if p.Group != "" && !(p.DynamicUser && p.Group == p.User) {
		find := lookupGroup
		if p.DynamicUser {
			find = dynamicGroup
		}
		gid, err := find(p.Group)
		if err != nil {
			return failed(plan.ExitGroup, "Group", p.Group, err)
		}
		p.Identity.GID = gid
	}
	var list []uint32
	if p.Identity.HasUID && p.Identity.Name != "" && p.Identity.UID != 0 && !p.DynamicUser {
		var err error
		if list, err = groupsOf(p.Identity.Name, p.Identity.GID); err != nil {
			return failed(plan.ExitGroup, "User", p.Identity.Name, err)
		}
	}
	if p.DynamicUser && p.Identity.HasUID {
		list = appendGID(list, p.Identity.GID)
	}
	for _, name := range p.SupplementaryGroups {
		gid, err := lookupGroup(name)
		if err != nil {
			return failed(plan.ExitGroup, "SupplementaryGroups", name, err)
		}
		list = appendGID(list, gid)
	}
	p.Identity.Groups = list
	return nil
}

func appendGID(list []uint32, gid uint32) []uint32 {
	for _, g := range list {
		if g == gid {
			return list
		}
	}
	return append(list, gid)
}

type userEntry struct {
	name, home, shell string
	uid, gid          uint32
}

// maxNameFile bounds /etc/passwd and /etc/group in bytes.
const maxNameFile = 64 << 20

// errNoEntry is ESRCH, "no such process", as systemd reports an unknown user.
var errNoEntry = unix.ESRCH

// lookupUser finds a user by name or number in /etc/passwd, then by userdb,
// then by getent. Root needs no file.
func lookupUser(name string) (userEntry, error) {
	if name == "root" || name == "0" {
		return userEntry{name: "root", home: "/root", shell: "/bin/sh"}, nil
	}
	text, err := readFile("/etc/passwd", maxNameFile)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return userEntry{}, err
	}
	if e, ok := findUser(string(text), name); ok {
		return e, nil
	}
	if e, ok, err := userdbUser(name); err == nil && ok {
		return e, nil
	}
	if out, err := getent("passwd", name); err == nil {
		if e, ok := findUser(string(out), name); ok {
			return e, nil
		}
	}
	return userEntry{}, errNoEntry
}

func findUser(text, name string) (userEntry, bool) {
	_, err := strconv.ParseUint(name, 10, 32)
	numeric := err == nil
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(f) < 7 || (f[0] != name && !(numeric && f[2] == name)) {
			continue
		}
		uid, err := strconv.ParseUint(f[2], 10, 32)
		gid, err2 := strconv.ParseUint(f[3], 10, 32)
		if err != nil || err2 != nil {
			continue
		}
		return userEntry{name: f[0], uid: uint32(uid), gid: uint32(gid), home: f[5], shell: f[6]}, true
	}
	return userEntry{}, false
}

// lookupGroup finds a group by name or number; a number needs an entry, too.
func lookupGroup(name string) (uint32, error) {
	if name == "root" || name == "0" {
		return 0, nil
	}
	text, err := readFile("/etc/group", maxNameFile)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return 0, err
	}
	if gid, ok := findGroup(string(text), name); ok {
		return gid, nil
	}
	if gid, ok, err := userdbGroup(name); err == nil && ok {
		return gid, nil
	}
	if out, err := getent("group", name); err == nil {
		if gid, ok := findGroup(string(out), name); ok {
			return gid, nil
		}
	}
	return 0, errNoEntry
}

func findGroup(text, name string) (uint32, bool) {
	_, err := strconv.ParseUint(name, 10, 32)
	numeric := err == nil
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(f) < 3 || f[0] != name && !(numeric && f[2] == name) {
			continue
		}
		if gid, err := strconv.ParseUint(f[2], 10, 32); err == nil {
			return uint32(gid), true
		}
	}
	return 0, false
}

// foreignGroups adds what the name service says about a user of no file:
// "name 4 24 27".
func foreignGroups(list []uint32, name string) []uint32 {
	out, err := getent("initgroups", name)
	if err != nil {
		return list
	}
	f := strings.Fields(string(out))
	if len(f) == 0 || f[0] != name {
		return list
	}
	for _, n := range f[1:] {
		if gid, err := strconv.ParseUint(n, 10, 32); err == nil && len(list) < maxGroups {
			list = appendGID(list, uint32(gid))
		}
	}
	return list
}

// maxGroups is NGROUPS_MAX.
const maxGroups = 65536

// groupsOf lists the groups of a user: gid and those that name it a member.
func groupsOf(name string, gid uint32) ([]uint32, error) {
	text, err := readFile("/etc/group", maxNameFile)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, err
	}
	list := []uint32{gid}
	if passwd, err := readFile("/etc/passwd", maxNameFile); err == nil {
		if _, ok := findUser(string(passwd), name); !ok {
			list = foreignGroups(list, name)
		}
	}
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, name) {
			continue
		}
		f := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(f) < 4 {
			continue
		}
		for member := range strings.SplitSeq(f[3], ",") {
			if member != name {
				continue
			}
			if g, err := strconv.ParseUint(f[2], 10, 32); err == nil && len(list) < maxGroups {
				list = appendGID(list, uint32(g))
			}
		}
	}
	return list, nil
}
