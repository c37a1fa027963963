package varlink

import (
	"encoding/json"
	"errors"

	"golang.org/x/sys/unix"
)

// request is what a client sends.
type request struct {
	Method     string          `json:"method"`
	Parameters json.RawMessage `json:"parameters,omitempty"`
	More       bool            `json:"more,omitempty"`
	Oneway     bool            `json:"oneway,omitempty"`
}

type reply struct {
	Error      string `json:"error,omitempty"`
	Parameters any    `json:"parameters"`
	Continues  bool   `json:"continues,omitempty"`
}

// Call is one call of a client. It is answered by [Call.Reply], [Call.Fail] or [Call.Stream].
type Call struct {
	Method     string
	Parameters json.RawMessage // nil: there are none
	More       bool            // the client takes more than one answer
	oneway     bool
	client     *client
}

// Errors that every varlink service has. Those with a name in their parameters are made by the functions of Call.
const (
	ExpectedMore     = "org.varlink.service.ExpectedMore"
	MethodNotFound   = "org.varlink.service.MethodNotFound"
	InvalidParameter = "org.varlink.service.InvalidParameter"
	PermissionDenied = "org.varlink.service.PermissionDenied"
)

// Info is the answer to org.varlink.service.GetInfo.
type Info struct {
	Vendor     string   `json:"vendor"`
	Product    string   `json:"product"`
	Version    string   `json:"version"`
	URL        string   `json:"url"`
	Interfaces []string `json:"interfaces"`
}

// Decode reads the parameters into v, a pointer to a struct. What has the wrong type is answered at once, and false is given then.
func (c *Call) Decode(v any) bool {
	if len(c.Parameters) == 0 {
		return true
	}
	err := json.Unmarshal(c.Parameters, v)
	if err == nil {
		return true
	}
	name := ""
	if e := (*json.UnmarshalTypeError)(nil); errors.As(err, &e) {
		name = e.Field
	}
	c.Fail(InvalidParameter, map[string]string{"parameter": name})
	return false
}

// Reply answers with one or more sets of parameters; who didn't ask for more gets the first.
func (c *Call) Reply(params ...any) {
	if !c.More && len(params) > 1 {
		params = params[:1]
	}
	for i, p := range params {
		c.queue(reply{Parameters: p, Continues: i < len(params)-1})
	}
}

// Fail answers with an error; params may be nil.
func (c *Call) Fail(name string, params any) {
	if params == nil {
		params = struct{}{}
	}
	c.queue(reply{Error: name, Parameters: params})
}

// Unknown answers a call of a method that there isn't.
func (c *Call) Unknown() { c.Fail(MethodNotFound, map[string]string{"method": c.Method}) }

func (c *Call) queue(r reply) {
	if !c.oneway {
		c.client.queue(r)
	}
}

// Peer is the pid of the process that connected, as this pid namespace knows it, 0 for one outside of it.
func (c *Call) Peer() (pid int32, err error) {
	cred, err := unix.GetsockoptUcred(c.client.fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, err
	}
	return cred.Pid, nil
}

// Stream is a call that stays open and is answered again and again; what the client calls after it waits.
type Stream struct {
	Gone   func() // called once, when the client has left or was dropped; it must not send
	client *client
}

// Stream keeps a call open. The caller has checked that the client takes more than one answer.
func (c *Call) Stream() *Stream {
	s := &Stream{client: c.client}
	c.client.stream = s
	return s
}

// Send answers the open call once more. A client for which too much waits by then is dropped.
func (s *Stream) Send(params any) {
	c := s.client
	if c.gone {
		return
	}
	c.queue(reply{Parameters: params, Continues: true})
	if len(c.out) > outBytes {
		c.drop()
		return
	}
	c.goOn()
}
