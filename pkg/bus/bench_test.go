package bus

import (
	"fmt"
	"strings"
	"testing"
)

var propertyNames = func() []string {
	names := make([]string, 401)
	for i := range names {
		names[i] = fmt.Sprintf("SomePropertyName%d", i)
	}
	return names
}()

// encodeAll is the body of a GetAll("") reply as big as a service's.
func encodeAll(e *Encoder) {
	a := e.BeginArray('{')
	for i, n := range propertyNames {
		e.Entry(n)
		switch i % 5 {
		case 0:
			e.VariantString("some value here")
		case 1:
			e.VariantBool(true)
		case 2:
			e.VariantUint64(1 << 60)
		case 3:
			e.VariantUint32(5)
		case 4:
			e.VariantStrings(nil)
		}
	}
	e.EndArray(a)
}

func BenchmarkEncodeGetAll(b *testing.B) {
	srv, _ := connPair(b, ServerConfig{}, Limits{})
	var e Encoder
	r := &Message{Type: TypeReply, ReplySerial: 5}
	b.ReportAllocs()
	for b.Loop() {
		e.Reset()
		encodeAll(&e)
		r.SetBody("a{sv}", &e)
		if _, err := srv.Queue(r); err != nil {
			b.Fatal(err)
		}
		srv.out = srv.out[:0]
	}
	b.SetBytes(int64(e.Len()))
}

func BenchmarkEncodeSmallReply(b *testing.B) {
	srv, _ := connPair(b, ServerConfig{}, Limits{})
	var e Encoder
	r := &Message{Type: TypeReply, ReplySerial: 5}
	b.ReportAllocs()
	for b.Loop() {
		e.Reset()
		e.VariantString("active")
		r.SetBody("v", &e)
		if _, err := srv.Queue(r); err != nil {
			b.Fatal(err)
		}
		srv.out = srv.out[:0]
	}
}

func BenchmarkDecodeSmallCall(b *testing.B) {
	m := NewCall(ManagerName, UnitPath("nginx.service"), "org.freedesktop.DBus.Properties", "Get").withSerial(4)
	var e Encoder
	e.String("org.freedesktop.systemd1.Unit")
	e.String("ActiveState")
	m.SetBody("ss", &e)
	raw, err := m.Append(nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		m, err := Parse(raw, nil)
		if err != nil {
			b.Fatal(err)
		}
		d, err := m.Args("ss")
		if err != nil || d.String() == "" || d.String() == "" || d.Done() != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeGetAll(b *testing.B) {
	var e Encoder
	encodeAll(&e)
	b.ReportAllocs()
	for b.Loop() {
		d := NewDecoder(e.Bytes(), false, nil)
		if _, err := d.Decode("a{sv}"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidateGetAll(b *testing.B) {
	var e Encoder
	encodeAll(&e)
	b.ReportAllocs()
	for b.Loop() {
		if err := ValidateBody("a{sv}", e.Bytes(), false, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkGetOverSocket is one property read, both ends in this process.
func BenchmarkGetOverSocket(b *testing.B) {
	srv, cli := connPair(b, ServerConfig{}, Limits{})
	var e, re Encoder
	m := NewCall(ManagerName, UnitPath("nginx.service"), "org.freedesktop.DBus.Properties", "Get")
	b.ReportAllocs()
	for b.Loop() {
		e.Reset()
		e.String("org.freedesktop.systemd1.Unit")
		e.String("ActiveState")
		m.SetBody("ss", &e)
		answered := false
		if _, err := cli.Call(m, 0, func(*Message, error) { answered = true }); err != nil {
			b.Fatal(err)
		}
		if err := cli.OnWritable(); err != nil {
			b.Fatal(err)
		}
		calls, err := srv.OnReadable()
		if err != nil || len(calls) != 1 {
			b.Fatal(err)
		}
		re.Reset()
		re.VariantString("active")
		r := calls[0].Reply()
		r.SetBody("v", &re)
		if _, err := srv.Queue(r); err != nil {
			b.Fatal(err)
		}
		if err := srv.OnWritable(); err != nil {
			b.Fatal(err)
		}
		replies, err := cli.OnReadable()
		if err != nil || len(replies) != 1 || !cli.Deliver(replies[0]) || !answered {
			b.Fatal(err)
		}
	}
}

func TestHotPathsDoNotAllocate(t *testing.T) {
	srv, _ := connPair(t, ServerConfig{}, Limits{})
	var e Encoder
	r := &Message{Type: TypeReply, ReplySerial: 5}
	encode := func() {
		e.Reset()
		encodeAll(&e)
		r.SetBody("a{sv}", &e)
		if _, err := srv.Queue(r); err != nil {
			t.Fatal(err)
		}
		srv.out = srv.out[:0]
	}
	encode()
	if n := testing.AllocsPerRun(100, encode); n > 0 {
		t.Errorf("encoding allocates %v times", n)
	}
	if err := ValidateBody("a{sv}", e.Bytes(), false, nil); err != nil {
		t.Error(err)
	}
	raw, err := NewCall("a.b", "/", "c.d", strings.Repeat("M", 20)).withSerial(1).Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := Parse(raw, nil); err != nil {
			t.Fatal(err)
		}
	}); n > 3 {
		t.Errorf("decoding allocates %v times", n)
	}
}
