package bus

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
)

// FuzzParse feeds foreign bytes: what we accept godbus must read the same way,
// and our encoding of it must mean the same again.
func FuzzParse(f *testing.F) {
	raw, err := sample(f).Append(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	for _, m := range []*Message{call("M"), call("M", []string{"a"}, map[string]Variant{"k": MakeVariant(true)}), NewSignal("/", "a.b", "S")} {
		raw, err := m.withSerial(5).Append(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		f.Add(bigEndian(f, raw))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b, nil)
		if err != nil {
			return
		}
		valid := ValidateBody(m.Signature, m.Body, m.BigEndian, nil)
		args, err := m.DecodeArgs()
		if (err == nil) != (valid == nil) && err != errManyValues {
			t.Fatalf("Skip says %v, Decode says %v", valid, err)
		}
		if err != nil {
			return
		}
		g, err := godbusDecode(b)
		switch {
		case err == nil:
			if d := cmp.Diff(normalArgs(g.Body), normalArgs(args)); d != "" {
				t.Fatalf("godbus reads something else:\n%s", d)
			}
		case !godbusRefuses(err):
			t.Fatalf("godbus refuses %+v: %v", m, err)
		}
		again(t, m, args)
	})
}

// godbusRefuses: unlike the specification godbus does not ignore unknown
// header fields, flags and types, and reserves some names.
func godbusRefuses(err error) bool {
	for _, text := range []string{"invalid header", "invalid flags", "invalid message type", "invalid path", "invalid interface", "invalid error name"} {
		if strings.Contains(err.Error(), text) {
			return true
		}
	}
	return false
}

// again encodes args under m's signature and expects to read them back.
func again(t *testing.T, m *Message, args []any) {
	var e Encoder
	for i, sig := 0, m.Signature; sig != ""; i++ {
		var first string
		first, sig = splitType(sig)
		e.Value(first, args[i])
	}
	if e.Err() != nil {
		t.Fatalf("%q of %#v: %v", m.Signature, args, e.Err())
	}
	c := *m
	c.SetBody(m.Signature, &e)
	raw, err := c.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Parse(raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := back.DecodeArgs()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(normalArgs(args), normalArgs(got)); d != "" {
		t.Fatalf("re-encoded:\n%s", d)
	}
	if g, err := godbusDecode(raw); err == nil {
		if d := cmp.Diff(normalArgs(g.Body), normalArgs(got)); d != "" {
			t.Fatalf("godbus reads our encoding differently:\n%s", d)
		}
	}
}

// normalArgs is normal for an argument list, with maps flattened so that keys
// of any kind compare (NaN is not equal to itself).
func normalArgs(args []any) string {
	out := ""
	for _, a := range args {
		out += fmt.Sprintf("%#v\n", normal(a))
	}
	return out
}

// bigEndian re-encodes a message with godbus in the other byte order.
func bigEndian(f testing.TB, raw []byte) []byte {
	g, err := godbusDecode(raw)
	if err != nil {
		f.Fatal(err)
	}
	var buf bytes.Buffer
	if err := g.EncodeTo(&buf, binary.BigEndian); err != nil {
		f.Fatal(err)
	}
	b := buf.Bytes()
	binary.BigEndian.PutUint32(b[8:], 5)
	return b
}

// FuzzBody feeds arguments of any signature to both decoders. godbus does not
// check padding, termination and text, so it may accept more.
func FuzzBody(f *testing.F) {
	m := sample(f)
	f.Add(m.Signature, m.Body)
	f.Add("a{sv}v", []byte("\x10\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00a\x00\x02au\x00\x00\x00\x00\x00\x00\x01y\x00\x07"))
	f.Add("aaya(yv)", []byte("\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, sig string, body []byte) {
		if !ValidSignature(sig) || sig == "" || strings.Contains(sig, "h") {
			return
		}
		d := NewDecoder(body, false, nil)
		args, err := d.Decode(sig)
		if err == nil {
			err = d.Done()
		}
		if valid := ValidateBody(sig, body, false, nil); (valid == nil) != (err == nil) && err != errManyValues {
			t.Fatalf("Skip says %v, Decode says %v", valid, err)
		}
		if err != nil {
			return
		}
		c := call("M").withSerial(1)
		c.Signature, c.Body = sig, body
		raw, err := c.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		g, err := godbusDecode(raw)
		if err != nil && !strings.Contains(err.Error(), "depth limit") {
			t.Fatalf("godbus refuses: %v", err)
		}
		if err == nil && normalArgs(g.Body) != normalArgs(args) {
			t.Fatalf("godbus reads %s, we %s", normalArgs(g.Body), normalArgs(args))
		}
		again(t, c, args)
	})
}

// FuzzSignature compares our judgement with godbus'.
func FuzzSignature(f *testing.F) {
	for _, s := range []string{"", "a{sv}", "a(sa(sv))", "(", "a{vs}", "aaay", "a{s(iu)}x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ok := ValidSignature(s)
		_, err := dbus.ParseSignature(s)
		if ok && err != nil {
			t.Fatalf("%q: we accept, godbus says %v", s, err)
		}
		if !ok && err == nil && godbusSound(s) {
			t.Fatalf("%q: we refuse (%v), godbus accepts", s, checkSignature(s))
		}
	})
}

// godbusSound is false for what godbus is known to accept wrongly: variants as
// keys, empty
// structures, and depths it does not count our way.
func godbusSound(s string) bool {
	depth, most := 0, 0
	for i := range len(s) {
		switch s[i] {
		case 'a', '(', '{':
			depth++
			most = max(most, depth)
		case ')', '}':
			depth--
		}
	}
	return !strings.Contains(s, "()") && !strings.Contains(s, "{v") && most < 32
}

// FuzzConn feeds a server connection a whole stream in pieces.
func FuzzConn(f *testing.F) {
	stream := []byte(clientHello)
	for i := range 3 {
		var err error
		if stream, err = call("M", uint32(i)).withSerial(uint32(i + 1)).Append(stream); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(stream, uint16(40))
	f.Add(stream, uint16(70))
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		at := min(int(cut), len(in))
		whole, errWhole := feed(in)
		split, errSplit := feed(in[:at], in[at:])
		if (errWhole == nil) != (errSplit == nil) {
			t.Fatalf("whole %v, split at %d %v", errWhole, at, errSplit)
		}
		if d := cmp.Diff(whole, split); d != "" {
			t.Fatalf("split at %d:\n%s", at, d)
		}
	})
}

// feed runs a connection's input side without a socket.
func feed(parts ...[]byte) ([]*Message, error) {
	c, err := NewServerConn(-1, ServerConfig{GUID: testGUID, Limits: Limits{MessageBytes: 1 << 20}})
	if err != nil {
		return nil, err
	}
	var msgs []*Message
	for _, p := range parts {
		if len(p) == 0 {
			continue
		}
		c.in = append(c.in, p...)
		if msgs, err = c.consume(msgs); err != nil {
			return msgs, err
		}
	}
	return msgs, nil
}

// FuzzMatch: what parses prints as something that parses to the same.
func FuzzMatch(f *testing.F) {
	f.Add("type='signal',interface='a.b',arg0='it'\\''s',path_namespace='/a'")
	f.Add("arg63path=/x/,sender=:1.2,eavesdrop=true")
	f.Fuzz(func(t *testing.T, rule string) {
		m, err := ParseMatch(rule)
		if err != nil {
			return
		}
		back, err := ParseMatch(m.String())
		if err != nil {
			t.Fatalf("%q prints as %q: %v", rule, m.String(), err)
		}
		for _, x := range []*Match{&m, &back} {
			for k, v := range x.Args { // empty values are not printed
				if v == "" {
					delete(x.Args, k)
				}
			}
			for k, v := range x.ArgPaths {
				if v == "" {
					delete(x.ArgPaths, k)
				}
			}
			if len(x.Args) == 0 {
				x.Args = nil
			}
			if len(x.ArgPaths) == 0 {
				x.ArgPaths = nil
			}
		}
		if !reflect.DeepEqual(m, back) {
			t.Fatalf("%q: %+v, printed and parsed %+v", rule, m, back)
		}
		m.Matches(call("M", "x", ObjectPath("/a")))
	})
}

// FuzzLabel: escaping undoes itself and gives a valid path element.
func FuzzLabel(f *testing.F) {
	f.Add("nginx.service")
	f.Add("")
	f.Add("_")
	f.Add("1\xff/-")
	f.Fuzz(func(t *testing.T, s string) {
		if got := UnescapeLabel(EscapeLabel(s)); got != s {
			t.Fatalf("%q becomes %q", s, got)
		}
		if !ValidPath("/" + EscapeLabel(s)) {
			t.Fatalf("%q escapes to %q", s, EscapeLabel(s))
		}
		UnescapeLabel(s)
		_, _ = ParseAddress(s)
	})
}
