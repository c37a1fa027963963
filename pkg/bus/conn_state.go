package bus

import "errors"

// ConnState is a connection between two executions of the manager. It is
// plain data; descriptors are numbers that the caller carries over execve, see
// Descriptors.
type ConnState struct {
	Server bool
	FD     int
	Peer   Peer
	GUID   string
	FDPass bool
	Serial uint32
	// In is input that is no whole message yet, Out output not sent yet.
	In     []byte       `json:",omitempty"`
	InFDs  []int        `json:",omitempty"`
	Out    []byte       `json:",omitempty"`
	OutFDs []ConnOutput `json:",omitempty"`
}

// ConnOutput are descriptors that go out with byte At of ConnState.Out.
type ConnOutput struct {
	At  int
	FDs []int
}

// Descriptors are pointers to all descriptor numbers of the state, so that the
// caller can clear FD_CLOEXEC and renumber.
func (s *ConnState) Descriptors() []*int {
	list := []*int{&s.FD}
	for i := range s.InFDs {
		list = append(list, &s.InFDs[i])
	}
	for i := range s.OutFDs {
		for k := range s.OutFDs[i].FDs {
			list = append(list, &s.OutFDs[i].FDs[k])
		}
	}
	return list
}

// Detach takes the state out of the connection, which is closed without
// closing anything; its pending calls end with ErrDisconnected, as no function
// survives an execve. A connection that has failed or is still in its
// handshake cannot be carried over: close it, the peer will connect again.
func (c *Conn) Detach() (*ConnState, error) {
	if c.err != nil {
		return nil, c.err
	}
	if !c.ready || len(c.hello) > 0 {
		return nil, ErrNotReady
	}
	s := &ConnState{
		Server: c.isSrv, FD: c.fd, Peer: c.peer, GUID: c.guid, FDPass: c.fdPass, Serial: c.serial,
		In: c.in, InFDs: c.inFDs, Out: c.out[c.outPos:],
	}
	for _, q := range c.outFDs {
		s.OutFDs = append(s.OutFDs, ConnOutput{At: int(q.at - c.sent), FDs: q.fds})
	}
	c.fd, c.in, c.inFDs, c.out, c.outPos, c.outFDs = -1, nil, nil, nil, 0, nil
	c.Close()
	return s, nil
}

// RestoreConn makes a connection of a state, whose content becomes its.
func RestoreConn(s *ConnState, limits Limits) (*Conn, error) {
	limits.setDefaults()
	c := &Conn{
		fd: s.FD, peer: s.Peer, limits: limits, isSrv: s.Server, guid: s.GUID, ready: true, fdPass: s.FDPass,
		in: s.In, inFDs: s.InFDs, out: s.Out, serial: s.Serial,
	}
	last := -1
	for _, o := range s.OutFDs {
		if o.At <= last || o.At >= len(s.Out) || len(o.FDs) > MaxFDs {
			return nil, errors.New("connection state: descriptors at a place without output")
		}
		last = o.At
		c.outFDs = append(c.outFDs, queuedFDs{at: uint64(o.At), fds: o.FDs})
	}
	return c, nil
}
