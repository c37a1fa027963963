package busapi

import (
	"strings"

	"github.com/muster-init/muster/pkg/bus"
)

// Credentials are those of one connection of the message bus, as the bus itself has them from the kernel.
type Credentials struct {
	UID uint32
	PID int32 // 0: not known
}

// forAnybody are the methods that need no privilege: those that only read, and those that give up what the caller has. Everything else is for
// root and the manager's own user; a method that is forgotten here is refused, not allowed.
var forAnybody = map[string]bool{
	"Subscribe": true, "Unsubscribe": true, "UnrefUnit": true, "Unref": true, "LoadUnit": true,
	"AttachProcessesToUnit": true, "AttachProcesses": true, // they look themselves, see mayAttach
	"LookupDynamicUserByName": true, "LookupDynamicUserByUID": true, "Dump": true, "DumpByFileDescriptor": true,
	"DumpUnitsMatchingPatterns": true, "DumpUnitsMatchingPatternsByFileDescriptor": true,
}

// needsPrivilege says whether a method is refused to ordinary users.
func (m *method) needsPrivilege() bool {
	if m.privileged {
		return true
	}
	return !forAnybody[m.name] && !strings.HasPrefix(m.name, "Get") && !strings.HasPrefix(m.name, "List")
}

// aboutCaller are the methods that may mean the caller itself, by an empty name or pid 0, or that look who it is.
var aboutCaller = map[string]bool{"GetUnit": true, "GetUnitByPID": true, "GetUnitByInvocationID": true, "AttachProcessesToUnit": true, "AttachProcesses": true,
	"StartAuxiliaryScope": true}

// pid is the caller's process, 0 if that isn't known.
func (k *call) pid() int {
	if k.c.Private {
		return int(k.c.Conn.Peer().PID)
	}
	return int(k.who.PID)
}

// waitingMax bounds the calls of one peer that wait until it is known who it is, waitingPeersMax the peers.
const (
	waitingMax      = 64
	waitingPeersMax = 256
)

// hold keeps a call that came over the message bus until the bus has said who sent it. Later calls of the same peer wait behind it, because calls
// of one peer are answered in their order. It reports false when the call can be served now.
func (s *Server) hold(k *call) bool {
	if k.c.Private {
		return false
	}
	if queue, waits := s.waiting[k.msg.Sender]; waits {
		s.queue(k, queue)
		return true
	}
	return false
}

// queue puts a call behind those of its peer. The descriptors that came with it stay open until it is served.
func (s *Server) queue(k *call, queue []*call) {
	if len(queue) >= waitingMax {
		k.fail(bus.Errorf(bus.ErrLimitsExceeded, "Too many calls wait until it is known who sent them."))
		return
	}
	kept := *k.msg
	kept.FDs = append([]int(nil), k.msg.FDs...)
	for i := range k.msg.FDs {
		k.msg.FDs[i] = -1
	}
	k.msg = &kept
	s.waiting[k.msg.Sender] = append(queue, k)
}

// identify makes k.who known. It reports false when the bus has to be asked first: then the call is served again with the answer.
func (s *Server) identify(k *call) (known bool, err error) {
	if k.known {
		return true, nil
	}
	if k.c.Private {
		p := k.c.Conn.Peer()
		k.known, k.who = true, Credentials{UID: p.UID, PID: int32(p.PID)}
		return true, nil
	}
	if who, ok := s.b.PeerCredentials(k.msg.Sender); ok {
		k.known, k.who = true, who
		return true, nil
	}
	if len(s.waiting) >= waitingPeersMax {
		return false, bus.Errorf(bus.ErrLimitsExceeded, "Too many peers wait until it is known who they are.")
	}
	sender := k.msg.Sender
	s.queue(k, nil)
	s.b.AskCredentials(sender, func(who Credentials, err error) { s.identified(sender, who, err) })
	return false, nil
}

// identified serves the calls that waited for the credentials of their sender.
func (s *Server) identified(sender string, who Credentials, err error) {
	queue := s.waiting[sender]
	delete(s.waiting, sender)
	for _, k := range queue {
		if _, there := s.clients[k.c]; there && err == nil {
			k.known, k.who = true, who
			s.serve(k)
		} else if there {
			k.fail(bus.Errorf(bus.ErrAccessDenied, "Access denied: the message bus doesn't say who asks: %v", err))
		}
		k.msg.CloseFDs()
	}
}

// authorize lets root and the manager's own user do everything; others may read. Who is not allowed may be so by polkit, which is not asked: the
// answer is what systemd gives without a polkit service. wait: the call is served again later.
func (s *Server) authorize(k *call, m *method) (wait bool, err error) {
	switch {
	case k.c.Private:
		return false, nil
	case m.needsPrivilege():
		return s.privilege(k)
	case aboutCaller[m.name]:
		known, err := s.identify(k)
		return !known && err == nil, err
	}
	return false, nil
}

// privilege is the check itself.
func (s *Server) privilege(k *call) (wait bool, err error) {
	known, err := s.identify(k)
	switch {
	case err != nil:
		return false, err
	case !known:
		return true, nil
	case k.who.UID == 0 || k.who.UID == s.b.Facts().UID:
		return false, nil
	}
	return false, bus.Errorf(bus.ErrAccessDenied, "Access denied")
}
