// Package userdb answers who the users of DynamicUser= are: the service io.systemd.DynamicUser of the user database (varlink, nss-systemd(8)). What is
// taken is in links below /run/systemd/dynamic-uid, which the executor writes; nothing is kept here, so nothing is lost in a re-execution.
package userdb

import (
	"github.com/muster-init/muster/pkg/spawn"
	"github.com/muster-init/muster/pkg/varlink"
)

const (
	// Interface is what all services of the user database have.
	Interface = "io.systemd.UserDatabase"
	// Service is the name of this one, and of its socket below Directory.
	Service   = "io.systemd.DynamicUser"
	Directory = "/run/systemd/userdb"
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
		Locked: true, Service: Service, Disposition: "dynamic"}}
}

func groupReply(u spawn.DynamicUserEntry) any {
	return recordReply{groupRecord{GroupName: u.Name, Description: "Dynamic Group", GID: u.UID, Service: Service, Disposition: "dynamic"}}
}

// arguments are the parameters of all methods; what is absent stays nil.
type arguments struct {
	UID       *uint32 `json:"uid"`
	GID       *uint32 `json:"gid"`
	UserName  *string `json:"userName"`
	GroupName *string `json:"groupName"`
	Service   *string `json:"service"`
}

// Errors of the interface.
const (
	badService  = Interface + ".BadService"
	noRecord    = Interface + ".NoRecordFound"
	conflicting = Interface + ".ConflictingRecordFound"
)

// Serve answers one call of a method of the interface.
func Serve(c *varlink.Call) {
	var args arguments
	var reply func(spawn.DynamicUserEntry) any
	switch c.Method {
	case Interface + ".GetUserRecord":
		reply = userReply
	case Interface + ".GetGroupRecord":
		reply = groupReply
	case Interface + ".GetMemberships":
	default:
		c.Unknown()
		return
	}
	if !c.Decode(&args) {
		return
	}
	switch {
	case args.Service == nil:
		c.Fail(varlink.InvalidParameter, map[string]string{"parameter": "service"})
	case *args.Service != Service:
		c.Fail(badService, nil)
	case reply == nil:
		c.Fail(noRecord, nil) // nobody is in a group but that of the same name
	case c.Method == Interface+".GetGroupRecord":
		answer(c, args.GID, args.GroupName, reply)
	default:
		answer(c, args.UID, args.UserName, reply)
	}
}

// answer gives the record of a number or a name, or all of them.
func answer(c *varlink.Call, id *uint32, name *string, reply func(spawn.DynamicUserEntry) any) {
	if id == nil && name == nil {
		all(c, reply)
		return
	}
	u, found := find(id, name)
	switch {
	case !found:
		c.Fail(noRecord, nil)
	case id != nil && u.UID != *id || name != nil && u.Name != *name:
		c.Fail(conflicting, nil)
	default:
		c.Reply(reply(u))
	}
}

func all(c *varlink.Call, reply func(spawn.DynamicUserEntry) any) {
	if !c.More {
		c.Fail(varlink.ExpectedMore, nil)
		return
	}
	var list []any
	for _, u := range spawn.DynamicUsers() {
		list = append(list, reply(u))
	}
	if len(list) == 0 {
		c.Fail(noRecord, nil)
		return
	}
	c.Reply(list...)
}

// find looks up by number, or by name where there is none.
func find(id *uint32, name *string) (spawn.DynamicUserEntry, bool) {
	if id != nil {
		found, ok := spawn.DynamicUserName(*id)
		return spawn.DynamicUserEntry{Name: found, UID: *id}, ok
	}
	uid, ok := spawn.DynamicUser(*name)
	return spawn.DynamicUserEntry{Name: *name, UID: uid}, ok
}
