package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

// oomGroup is an entry of what systemd-oomd is told.
type oomGroup struct {
	Mode, Path, Property string
	Limit, Duration      *uint64
	Rules                []string
}

// oomTable plays systemd-oomd: it keeps what is watched, and writes that to a file after every message, a line for each entry.
type oomTable struct {
	file    string
	watched map[string]string
}

// take reads the parameters of a message.
func (t *oomTable) take(parameters json.RawMessage) error {
	var m struct{ Cgroups []oomGroup }
	if err := json.Unmarshal(parameters, &m); err != nil {
		return err
	}
	for _, g := range m.Cgroups {
		key := g.Path + "/ " + g.Property
		if g.Mode != "kill" {
			delete(t.watched, key)
			continue
		}
		line := key
		if g.Limit != nil {
			line += fmt.Sprint(" limit=", *g.Limit)
		}
		if g.Duration != nil {
			line += fmt.Sprint(" duration=", *g.Duration)
		}
		if len(g.Rules) > 0 {
			line += " rules=" + strings.Join(g.Rules, ",")
		}
		t.watched[key] = line
	}
	var lines []string
	for _, line := range t.watched {
		lines = append(lines, line+"\n")
	}
	slices.Sort(lines)
	return t.write(strings.Join(lines, ""))
}

func (t *oomTable) write(text string) error {
	if err := os.WriteFile(t.file+".new", []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(t.file+".new", t.file)
}

// messages reads varlink messages of a connection until it ends.
func messages(c net.Conn, each func(m json.RawMessage) error) error {
	r := bufio.NewReader(c)
	for {
		text, err := r.ReadBytes(0)
		if errors.Is(err, io.EOF) || err != nil && len(text) == 0 {
			return nil
		}
		if err == nil {
			err = each(text[:len(text)-1])
		}
		if err != nil {
			return err
		}
	}
}

// oomSubscribe asks the manager at SOCKET,FILE which control groups are to be watched, again and again when the connection is lost. An error ends it:
// the file has its name then.
func oomSubscribe(argument string) error {
	socket, file, _ := strings.Cut(argument, ",")
	for ; ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("unix", socket)
		if err != nil {
			continue // it is about to come back
		}
		t := &oomTable{file, map[string]string{}}
		if _, err := io.WriteString(c, `{"method":"io.systemd.ManagedOOM.SubscribeManagedOOMCGroups","more":true}`+"\x00"); err == nil {
			err = messages(c, func(m json.RawMessage) error {
				var reply struct {
					Error      string
					Parameters json.RawMessage
				}
				if err := json.Unmarshal(m, &reply); err != nil {
					return err
				}
				if reply.Error != "" {
					return errors.Join(errRefused, t.write(reply.Error+"\n"))
				}
				return t.take(reply.Parameters)
			})
			if errors.Is(err, errRefused) {
				return nil
			}
			if err != nil {
				return err
			}
		}
		if err := c.Close(); err != nil {
			return err
		}
	}
}

var errRefused = errors.New("refused")

// oomServe takes the reports of users' managers at SOCKET,FILE.
func oomServe(argument string) error {
	socket, file, _ := strings.Cut(argument, ",")
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	if err := os.Chmod(socket, 0o666); err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		t := &oomTable{file, map[string]string{}}
		err = messages(c, func(m json.RawMessage) error {
			var call struct {
				Method     string
				Oneway     bool
				Parameters json.RawMessage
			}
			if err := json.Unmarshal(m, &call); err != nil {
				return err
			}
			if call.Method != "io.systemd.oom.ReportManagedOOMCGroups" || !call.Oneway {
				return fmt.Errorf("call %s: unknown", m)
			}
			return t.take(call.Parameters)
		})
		if err != nil {
			return err
		}
		if err := c.Close(); err != nil {
			return err
		}
	}
}
