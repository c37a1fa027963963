package sandbox

import (
	"strconv"
	"strings"
)

// userdbSocket answers for all sources of users and groups
// (systemd-userdbd.service(8)).
var userdbSocket = "/run/systemd/userdb/io.systemd.Multiplexer"

// lookupTimeoutMSec bounds each look-up outside the files.
const lookupTimeoutMSec = 5000

const maxReply = 1 << 20

func userdbUser(name string) (userEntry, bool, error) {
	reply, err := userdbCall("GetUserRecord", "userName", "uid", name)
	if err != nil {
		return userEntry{}, false, err
	}
	e := userEntry{name: jsonString(reply, "userName"), home: jsonString(reply, "homeDirectory"), shell: jsonString(reply, "shell")}
	uid, ok := jsonUint(reply, "uid")
	gid, ok2 := jsonUint(reply, "gid")
	if !ok2 {
		gid, ok2 = uid, ok // a record without a group has one of the same number
	}
	e.uid, e.gid = uid, gid
	if e.shell == "" {
		e.shell = "/bin/sh"
	}
	return e, ok && ok2 && e.name != "", nil
}

func userdbGroup(name string) (uint32, bool, error) {
	reply, err := userdbCall("GetGroupRecord", "groupName", "gid", name)
	if err != nil {
		return 0, false, err
	}
	gid, ok := jsonUint(reply, "gid")
	return gid, ok, nil
}

func userdbCall(method, byName, byNumber, name string) (string, error) {
	key, arg := byName, strconv.Quote(name)
	if _, err := strconv.ParseUint(name, 10, 32); err == nil {
		key, arg = byNumber, name
	}
	reply, err := varlinkCall(userdbSocket, "io.systemd.UserDatabase."+method, `{"`+key+`":`+arg+`,"service":"io.systemd.Multiplexer"}`, lookupTimeoutMSec, maxReply)
	if err == nil && jsonString(reply, "error") != "" {
		err = errNoEntry
	}
	return reply, err
}

// jsonString finds the first string member of that name. User records hold
// the names asked for once, at their top level, before any nested section.
func jsonString(text, name string) string {
	rest, ok := jsonMember(text, name)
	if !ok || rest == "" || rest[0] != '"' {
		return ""
	}
	for i := 1; i < len(rest); i++ {
		switch rest[i] {
		case '\\':
			i++
		case '"':
			s, err := strconv.Unquote(strings.ReplaceAll(rest[:i+1], `\/`, "/"))
			if err != nil {
				return ""
			}
			return s
		}
	}
	return ""
}

func jsonUint(text, name string) (uint32, bool) {
	rest, ok := jsonMember(text, name)
	if !ok {
		return 0, false
	}
	end := 0
	for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
		end++
	}
	n, err := strconv.ParseUint(rest[:end], 10, 32)
	return uint32(n), err == nil
}

func jsonMember(text, name string) (string, bool) {
	_, rest, ok := strings.Cut(text, `"`+name+`"`)
	if !ok {
		return "", false
	}
	rest = strings.TrimLeft(rest, " \t\r\n")
	if rest == "" || rest[0] != ':' {
		return "", false
	}
	return strings.TrimLeft(rest[1:], " \t\r\n"), true
}
