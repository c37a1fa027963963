package manager

import (
	"bytes"
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

// Bounds of the varlink server: anybody on the machine may connect.
const (
	varlinkClientsMax = 128
	varlinkCallBytes  = 16 << 10 // a call with all its parameters is a few hundred
	varlinkOutBytes   = 4 << 20  // all dynamic users there can be
	varlinkCallsMax   = 64       // of one client before the others get their turn
)

// varlinkServer serves one varlink socket on the loop: JSON texts, each ended by a NUL, calls of one client answered in their order.
type varlinkServer struct {
	m       *Manager
	listen  int
	clients map[*varlinkClient]struct{}
	oldest  []*varlinkClient // in the order they came
	serve   func(c varlinkCall) ([]any, *varlinkError)
}

type varlinkClient struct {
	fd  int
	in  []byte
	out []byte
}

// varlinkCall is what a client sends.
type varlinkCall struct {
	Method     string          `json:"method"`
	Parameters json.RawMessage `json:"parameters"`
	More       bool            `json:"more"`
	Oneway     bool            `json:"oneway"`
}

// varlinkError is an answer that something went wrong.
type varlinkError struct {
	Name       string
	Parameters any
}

type varlinkReply struct {
	Error      string `json:"error,omitempty"`
	Parameters any    `json:"parameters"`
	Continues  bool   `json:"continues,omitempty"`
}

type varlinkInfo struct {
	Vendor     string   `json:"vendor"`
	Product    string   `json:"product"`
	Version    string   `json:"version"`
	URL        string   `json:"url"`
	Interfaces []string `json:"interfaces"`
}

func (s *varlinkServer) accept(uint32) {
	for range 64 {
		fd, _, err := unix.Accept4(s.listen, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		if err != nil {
			return
		}
		if len(s.clients) >= varlinkClientsMax {
			s.drop(s.oldest[0]) // whoever holds connections open must not lock out the others
		}
		c := &varlinkClient{fd: fd}
		if err := s.m.sources.add(fd, unix.EPOLLIN, prioBus, sourceFunc(func(ev uint32) { s.ready(c, ev) })); err != nil {
			_ = unix.Close(fd)
			continue
		}
		s.clients[c] = struct{}{}
		s.oldest = append(s.oldest, c)
	}
}

func (s *varlinkServer) drop(c *varlinkClient) {
	if _, ok := s.clients[c]; !ok {
		return
	}
	delete(s.clients, c)
	for i, o := range s.oldest {
		if o == c {
			s.oldest = append(s.oldest[:i], s.oldest[i+1:]...)
			break
		}
	}
	s.m.sources.remove(c.fd)
	_ = unix.Close(c.fd)
}

// ready reads what there is and answers whole calls. A client is not read from while it doesn't take its answers.
func (s *varlinkServer) ready(c *varlinkClient, events uint32) {
	if len(c.out) == 0 && events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		var buf [4096]byte
		n, err := unix.Read(c.fd, buf[:])
		switch {
		case err == unix.EAGAIN || err == unix.EINTR:
		case err != nil || n == 0 || len(c.in)+n > varlinkCallBytes:
			s.drop(c)
			return
		default:
			c.in = append(c.in, buf[:n]...)
		}
	} else if events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		s.drop(c)
		return
	}
	if !s.answer(c) || !c.flush() {
		s.drop(c)
		return
	}
	wanted := uint32(unix.EPOLLIN)
	if len(c.out) > 0 || bytes.IndexByte(c.in, 0) >= 0 {
		wanted = unix.EPOLLOUT
	}
	_ = s.m.poll.Modify(c.fd, wanted)
}

// answer serves the whole calls that have come. It reports false for what is no call.
func (s *varlinkServer) answer(c *varlinkClient) bool {
	for range varlinkCallsMax {
		end := bytes.IndexByte(c.in, 0)
		if end < 0 || len(c.out) > 0 && end >= 0 && len(c.out) > varlinkCallBytes {
			return true
		}
		var call varlinkCall
		err := json.Unmarshal(c.in[:end], &call)
		c.in = append(c.in[:0], c.in[end+1:]...)
		if err != nil || call.Method == "" {
			return false
		}
		replies, failure := s.serve(call)
		if call.Oneway {
			continue
		}
		if failure != nil {
			params := failure.Parameters
			if params == nil {
				params = struct{}{}
			}
			c.queue(varlinkReply{Error: failure.Name, Parameters: params})
		}
		if !call.More && len(replies) > 1 {
			replies = replies[:1]
		}
		for i, r := range replies {
			c.queue(varlinkReply{Parameters: r, Continues: i < len(replies)-1})
		}
		if len(c.out) > varlinkOutBytes {
			return false
		}
	}
	return true
}

func (c *varlinkClient) queue(r varlinkReply) {
	text, err := json.Marshal(r)
	if err != nil {
		return // there is nothing in a reply that can't be written
	}
	c.out = append(append(c.out, text...), 0)
}

// flush sends what the socket takes.
func (c *varlinkClient) flush() bool {
	for len(c.out) > 0 {
		n, err := unix.SendmsgN(c.fd, c.out, nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return true
		case err != nil:
			return false
		default:
			c.out = c.out[n:]
		}
	}
	c.out = nil
	return true
}
