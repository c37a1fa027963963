package manager

import (
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/busapi"
	"github.com/muster-init/muster/pkg/spawn"
)

// userdb.go answers who the users of DynamicUser= are: the service io.systemd.DynamicUser of the user database (varlink, nss-systemd(8)). What is taken
// is in links below /run/systemd/dynamic-uid, which the executor writes; nothing is kept here, so nothing is lost in a re-execution.

const (
	userdbName   = "io.systemd.DynamicUser"
	userdbSocket = "/run/systemd/userdb/" + userdbName
)

// userRecord is the JSON of a dynamic user, as nss-systemd reads it.
type userRecord struct {
	UserName      string `json:"userName"`
	UID           uint32 `json:"uid"`
	GID           uint32 `json:"gid"`
	RealName      string `json:"realName"`
	HomeDirectory string `json:"homeDirectory"`
	Shell         string `json:"shell"`
	Locked        bool   `json:"locked"`
	Service       string `json:"service"`
	Disposition   string `json:"disposition"`
}

type groupRecord struct {
	GroupName   string `json:"groupName"`
	Description string `json:"description"`
	GID         uint32 `json:"gid"`
	Service     string `json:"service"`
	Disposition string `json:"disposition"`
}

type recordReply struct {
	Record any `json:"record"`
}

func userReply(u spawn.DynamicUserEntry) any {
	return recordReply{userRecord{UserName: u.Name, UID: u.UID, GID: u.UID, RealName: "Dynamic User", HomeDirectory: "/", Shell: "/usr/sbin/nologin",
		Locked: true, Service: userdbName, Disposition: "dynamic"}}
}

func groupReply(u spawn.DynamicUserEntry) any {
	return recordReply{groupRecord{GroupName: u.Name, Description: "Dynamic Group", GID: u.UID, Service: userdbName, Disposition: "dynamic"}}
}

// openUserDB listens for the user database. A user manager has no dynamic users.
func (m *Manager) openUserDB() error {
	if !m.system {
		return nil
	}
	fd := m.kept("userdb")
	if fd < 0 {
		var err error
		if fd, err = listenUserDB(); err != nil {
			return fmt.Errorf("%s: %w", userdbSocket, err)
		}
	}
	m.userdb = &varlinkServer{m: m, listen: fd, clients: map[*varlinkClient]struct{}{}, serve: serveUserDB}
	return m.sources.add(fd, unix.EPOLLIN, prioBus, sourceFunc(m.userdb.accept))
}

func listenUserDB() (int, error) {
	if err := os.MkdirAll("/run/systemd/userdb", 0o755); err != nil {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	_ = os.Remove(userdbSocket)
	old := unix.Umask(0o111)
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: userdbSocket})
	unix.Umask(old)
	if err == nil {
		err = unix.Listen(fd, 128)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// userdbArgs are the parameters of all methods; what is absent stays nil.
type userdbArgs struct {
	UID       *uint32 `json:"uid"`
	GID       *uint32 `json:"gid"`
	UserName  *string `json:"userName"`
	GroupName *string `json:"groupName"`
	Service   string  `json:"service"`
}

// serveUserDB answers one call.
func serveUserDB(c varlinkCall) (replies []any, failure *varlinkError) {
	const iface = "io.systemd.UserDatabase."
	var args userdbArgs
	switch c.Method {
	case iface + "GetUserRecord", iface + "GetGroupRecord", iface + "GetMemberships":
	case "org.varlink.service.GetInfo":
		return []any{varlinkInfo{"muster", "muster", Version, "https://github.com/muster-init/muster", []string{"io.systemd.UserDatabase", "org.varlink.service"}}}, nil
	default:
		return nil, &varlinkError{"org.varlink.service.MethodNotFound", map[string]string{"method": c.Method}}
	}
	if len(c.Parameters) > 0 {
		if err := json.Unmarshal(c.Parameters, &args); err != nil {
			return nil, &varlinkError{"org.varlink.service.InvalidParameter", map[string]string{"parameter": badParameter(err)}}
		}
	}
	if args.Service != userdbName {
		return nil, &varlinkError{Name: iface + "BadService"}
	}
	id, name, reply := args.UID, args.UserName, userReply
	switch c.Method {
	case iface + "GetGroupRecord":
		id, name, reply = args.GID, args.GroupName, groupReply
	case iface + "GetMemberships":
		return nil, &varlinkError{Name: iface + "NoRecordFound"} // nobody is in a group but that of the same name
	}
	if id == nil && name == nil {
		if !c.More {
			return nil, &varlinkError{Name: "org.varlink.service.ExpectedMore"}
		}
		for _, u := range spawn.DynamicUsers() {
			replies = append(replies, reply(u))
		}
		if len(replies) == 0 {
			return nil, &varlinkError{Name: iface + "NoRecordFound"}
		}
		return replies, nil
	}
	u, found := findDynamicUser(id, name)
	switch {
	case !found:
		return nil, &varlinkError{Name: iface + "NoRecordFound"}
	case id != nil && u.UID != *id || name != nil && u.Name != *name:
		return nil, &varlinkError{Name: iface + "ConflictingRecordFound"}
	}
	return []any{reply(u)}, nil
}

// findDynamicUser looks up by number, or by name where there is none.
func findDynamicUser(id *uint32, name *string) (spawn.DynamicUserEntry, bool) {
	if id != nil {
		found, ok := spawn.DynamicUserName(*id)
		return spawn.DynamicUserEntry{Name: found, UID: *id}, ok
	}
	uid, ok := spawn.DynamicUser(*name)
	return spawn.DynamicUserEntry{Name: *name, UID: uid}, ok
}

// badParameter names the parameter that had the wrong type.
func badParameter(err error) string {
	if e, ok := err.(*json.UnmarshalTypeError); ok {
		return e.Field
	}
	return ""
}

func (b backend) DynamicUsers() (list []busapi.DynamicUser, ok bool) {
	if !b.m.system {
		return nil, false
	}
	for _, u := range spawn.DynamicUsers() {
		list = append(list, busapi.DynamicUser{Name: u.Name, UID: u.UID})
	}
	return list, true
}
