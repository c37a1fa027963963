package manager

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/busapi"
	"github.com/muster-init/muster/pkg/engine/machine"
)

// peersMax bounds the credentials that are remembered. A bus has fewer connections than that; a peer that floods it with new ones only makes the
// manager ask again.
const peersMax = 1024

// peers are the credentials of connections of the message bus, by unique name. The bus never gives a unique name twice, so what it said holds
// until the connection ends.
type peers struct{ known map[string]busapi.Credentials }

// get finds the credentials of a connection.
func (p *peers) get(name string) (busapi.Credentials, bool) {
	c, ok := p.known[name]
	return c, ok
}

func (p *peers) put(name string, c busapi.Credentials) {
	if len(p.known) >= peersMax || p.known == nil {
		p.known = map[string]busapi.Credentials{}
	}
	p.known[name] = c
}

// gone forgets a connection that has ended.
func (p *peers) gone(name string) { delete(p.known, name) }

// credentials asks the bus who a connection is.
func (br *broker) credentials(name string, done func(busapi.Credentials, error)) {
	br.call("GetConnectionCredentials", func(msg *bus.Message, err error) {
		var c busapi.Credentials
		if err == nil {
			c, err = readCredentials(msg)
		}
		if err == nil {
			br.peers.put(name, c)
		}
		done(c, err)
	}, name)
}

var errNoUID = errors.New("the message bus knows no user ID")

// readCredentials reads an a{sv} with UnixUserID and ProcessID among others.
func readCredentials(msg *bus.Message) (c busapi.Credentials, err error) {
	d, err := msg.Args("a{sv}")
	if err != nil {
		return c, err
	}
	found := false
	for list := d.BeginArray('{'); d.More(list); {
		d.Struct()
		name := d.String()
		sig := d.Variant()
		switch {
		case name == "UnixUserID" && sig == "u":
			c.UID, found = d.Uint32(), true
		case name == "ProcessID" && sig == "u":
			c.PID = int32(d.Uint32())
		default:
			d.Skip(sig)
		}
	}
	if err := d.Err(); err != nil {
		return c, err
	}
	if !found {
		return c, errNoUID
	}
	return c, nil
}

func (b backend) PeerCredentials(name string) (busapi.Credentials, bool) {
	if b.m.bus.broker == nil {
		return busapi.Credentials{}, false
	}
	return b.m.bus.broker.peers.get(name)
}

func (b backend) AskCredentials(name string, done func(busapi.Credentials, error)) {
	if b.m.bus.broker == nil {
		done(busapi.Credentials{}, bus.ErrClosed)
		return
	}
	b.m.bus.broker.credentials(name, done)
}

// deadline is when a call to the message bus, or the handshake of a private client, has taken too long.
func (b *busSource) deadline() uint64 {
	next := machine.Never
	if b.broker != nil {
		if d := b.broker.conn.NextDeadline(); d != 0 {
			next = d
		}
	}
	for c := range b.greeting {
		if d := c.Conn.NextDeadline(); d != 0 {
			next = min(next, d)
		}
	}
	return next
}

// expire ends what has taken too long.
func (b *busSource) expire() {
	now := clock(unix.CLOCK_MONOTONIC)
	for c := range b.greeting {
		switch {
		case c.Conn.Ready():
			delete(b.greeting, c)
		case c.Conn.NextDeadline() <= now:
			if err := c.Conn.Expire(now); err != nil {
				b.drop(c, err)
			}
		}
	}
	if br := b.broker; br != nil {
		if d := br.conn.NextDeadline(); d != 0 && d <= now {
			if err := br.conn.Expire(now); err != nil {
				br.lost(err)
			}
		}
	}
}
