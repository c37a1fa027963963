package busapi

import (
	"github.com/muster-init/muster/pkg/bus"
)

// Client is one connection: a peer of the private socket, or the message bus, behind which there are many.
type Client struct {
	Conn *bus.Conn
	// Name identifies a private peer (":private.7") or is "bus".
	Name string
	// Private peers get every signal about units and jobs they subscribed to or caused; only root and the manager's own user get in.
	Private bool

	subscribed bool
	stake      bool // somebody behind the message bus has asked for a job or holds a reference
}

// caller is who sent a call, for references and causes.
func (c *Client) caller(msg *bus.Message) string {
	if c.Private {
		return c.Name
	}
	return msg.Sender
}

// call is one method call that is being served. It is answered exactly once, at once or later.
type call struct {
	s    *Server
	c    *Client
	msg  *bus.Message
	args bus.Decoder
	unit string // of unit objects
	job  uint32 // of job objects
	done bool

	known bool // who is filled in
	who   Credentials
}

// reply answers with what fill writes; sig is its signature.
func (k *call) reply(sig string, fill func(e *bus.Encoder)) {
	if k.done {
		return
	}
	k.done = true
	if !k.msg.WantsReply() {
		return
	}
	e := &k.s.scratch
	e.Reset()
	if fill != nil {
		fill(e)
	}
	out := k.msg.Reply()
	out.SetBody(sig, e)
	k.s.send(k.c, out)
}

// ok answers without a value.
func (k *call) ok() { k.reply("", nil) }

// fail answers with an error.
func (k *call) fail(err error) {
	if k.done {
		return
	}
	k.done = true
	if k.msg.WantsReply() {
		k.s.send(k.c, k.msg.ErrorReply(err))
	}
}
