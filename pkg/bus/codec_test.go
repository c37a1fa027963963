package bus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
)

// godbusDecode reads b with godbus. Its bounds are looser than ours.
func godbusDecode(b []byte) (*dbus.Message, error) { return dbus.DecodeMessage(bytes.NewReader(b)) }

// normal turns Decode's values and godbus' into one comparable form.
func normal(v any) any {
	switch x := v.(type) {
	case Variant:
		return []any{"variant", x.Signature().String(), normal(x.Value())}
	case DictEntry:
		return []any{normal(x.Key), normal(x.Value)}
	case Signature:
		return "sig:" + x.String()
	case dbus.UnixFDIndex:
		return int64(x)
	case UnixFD:
		return int64(x)
	case float64:
		return math.Float64bits(x)
	case nil:
		return nil
	}
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Slice:
		if r.Len() > 0 && r.Type().Elem() == dictType {
			m := map[any]any{}
			for i := range r.Len() {
				e := r.Index(i).Interface().(DictEntry)
				m[normal(e.Key)] = normal(e.Value)
			}
			return m
		}
		out := []any{}
		for i := range r.Len() {
			out = append(out, normal(r.Index(i).Interface()))
		}
		return out
	case reflect.Map:
		if r.Len() == 0 {
			return []any{}
		}
		m := map[any]any{}
		for it := r.MapRange(); it.Next(); {
			m[normal(it.Key().Interface())] = normal(it.Value().Interface())
		}
		return m
	}
	return v
}

// sample is a message with arguments of every type.
func sample(t testing.TB) *Message {
	m := NewCall("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "StartTransientUnit")
	m.Serial, m.Sender = 7, ":1.42"
	var e Encoder
	e.Byte(200)
	e.Bool(true)
	e.Int16(-2)
	e.Uint16(65535)
	e.Int32(-3)
	e.Uint32(1 << 31)
	e.Int64(math.MinInt64)
	e.Uint64(math.MaxUint64)
	e.Double(-1.5)
	e.String("grüße")
	e.ObjectPath("/a/b_1")
	e.Signature("a{sv}(ii)")
	e.Strings([]string{"", "x", "yz"})
	a := e.BeginArray('(')
	for i := range 3 {
		e.Struct()
		e.String(strings.Repeat("n", i))
		e.VariantUint64(uint64(i))
	}
	e.EndArray(a)
	a = e.BeginArray('{')
	e.Entry("One")
	e.VariantStrings([]string{"p", "q"})
	e.Entry("Two")
	e.Variant("a(iiqu)")
	in := e.BeginArray('(')
	e.Struct()
	e.Int32(1)
	e.Int32(2)
	e.Uint16(3)
	e.Uint32(4)
	e.EndArray(in)
	e.EndArray(a)
	e.ByteArray([]byte{1, 2, 3})
	a = e.BeginArray('t')
	e.EndArray(a)
	e.Struct()
	e.Byte(1)
	e.Struct()
	e.Double(2)
	if e.Err() != nil {
		t.Fatal(e.Err())
	}
	m.SetBody("ybnqiuxtdsogasa(sv)a{sv}ayat(y(d))", &e)
	return m
}

func TestEncodeIsReadByGodbus(t *testing.T) {
	m := sample(t)
	if err := ValidateBody(m.Signature, m.Body, false, nil); err != nil {
		t.Fatal(err)
	}
	raw, err := m.Append([]byte{9, 9, 9}) // alignment counts from the message
	if err != nil {
		t.Fatal(err)
	}
	raw = raw[3:]
	g, err := godbusDecode(raw)
	if err != nil {
		t.Fatal(err)
	}
	want := []any{
		byte(200), true, int16(-2), uint16(65535), int32(-3), uint32(1 << 31), int64(math.MinInt64), uint64(math.MaxUint64),
		-1.5, "grüße", ObjectPath("/a/b_1"), dbus.ParseSignatureMust("a{sv}(ii)"), []string{"", "x", "yz"},
		[][]any{{"", MakeVariant(uint64(0))}, {"n", MakeVariant(uint64(1))}, {"nn", MakeVariant(uint64(2))}},
		map[string]Variant{
			"One": MakeVariant([]string{"p", "q"}),
			"Two": dbus.MakeVariantWithSignature([][]any{{int32(1), int32(2), uint16(3), uint32(4)}}, dbus.ParseSignatureMust("a(iiqu)")),
		},
		[]byte{1, 2, 3}, []uint64{}, []any{byte(1), []any{2.0}},
	}
	if d := cmp.Diff(normal(want), normal(g.Body)); d != "" {
		t.Errorf("godbus reads something else:\n%s", d)
	}
	own, err := Parse(raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(m, own); d != "" {
		t.Errorf("header:\n%s", d)
	}
	got, err := own.DecodeArgs()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(normal(want), normal(got)); d != "" {
		t.Errorf("we read something else:\n%s", d)
	}
}

func TestGodbusIsReadByUs(t *testing.T) {
	body := []any{
		byte(1), true, int16(-1), uint16(2), int32(-3), uint32(4), int64(-5), uint64(6), 7.25, "s", ObjectPath("/"),
		dbus.ParseSignatureMust("as"), []string{"a"}, []ObjectPath{"/x"}, []bool{true, false}, []float64{1, 2}, []int64{-1},
		map[string]Variant{"k": MakeVariant("v")}, map[string]string{"a": "b"}, map[uint32][]string{1: {"z"}},
		[][]string{{"a", "b"}, {}}, struct {
			A byte
			B struct{ C, D uint64 }
		}{1, struct{ C, D uint64 }{2, 3}},
		[]struct {
			A string
			B Variant
		}{{"x", MakeVariant(MakeVariant(uint16(9)))}},
		[]Variant{MakeVariant(int16(1)), MakeVariant([]string{})},
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		g := &dbus.Message{Type: dbus.TypeSignal, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldPath: MakeVariant(ObjectPath("/p")), dbus.FieldInterface: MakeVariant("a.b"),
			dbus.FieldMember: MakeVariant("M"), dbus.FieldSignature: MakeVariant(dbus.SignatureOf(body...)),
		}, Body: body}
		var buf bytes.Buffer
		if err := g.EncodeTo(&buf, order); err != nil {
			t.Fatal(err)
		}
		raw := buf.Bytes()
		order.PutUint32(raw[8:], 99)
		m, err := Parse(raw, nil)
		if err != nil {
			t.Fatal(err)
		}
		if m.Serial != 99 || m.Path != "/p" || m.Interface != "a.b" || m.Member != "M" || m.Type != TypeSignal {
			t.Errorf("header %+v", m)
		}
		got, err := m.DecodeArgs()
		if err != nil {
			t.Fatal(err)
		}
		back, err := godbusDecode(raw)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(normal(back.Body), normal(got)); d != "" {
			t.Errorf("%v:\n%s", order, d)
		}
		// What we decoded, encoded again, means the same.
		var e Encoder
		for i, sig := 0, m.Signature; sig != ""; i++ {
			var first string
			first, sig = splitType(sig)
			e.Value(first, got[i])
		}
		if e.Err() != nil {
			t.Fatal(e.Err())
		}
		d := NewDecoder(e.Bytes(), false, nil)
		again, err := d.Decode(m.Signature)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(normal(got), normal(again)); d != "" {
			t.Errorf("re-encoded:\n%s", d)
		}
	}
}

func TestAppendDeducesGodbusSignature(t *testing.T) {
	type pair struct {
		Name  string
		Value Variant
	}
	for _, v := range []any{
		byte(1), true, int16(1), uint16(1), int32(1), uint32(1), int64(1), uint64(1), 1.5, "s", ObjectPath("/"),
		[]string{"a"}, []string(nil), []pair{{"a", MakeVariant(true)}}, map[string]Variant{"a": MakeVariant([]byte{1})},
		map[string]uint32{}, [][]string{{"a"}}, pair{"x", MakeVariant(pair{"y", MakeVariant("z")})}, dbus.ParseSignatureMust("as"),
	} {
		var e Encoder
		sig := e.Append(v)
		if e.Err() != nil {
			t.Errorf("%T: %v", v, e.Err())
			continue
		}
		if want := dbus.SignatureOf(v).String(); sig != want {
			t.Errorf("%T: signature %s, godbus %s", v, sig, want)
		}
		if err := ValidateBody(sig, e.Bytes(), false, nil); err != nil {
			t.Errorf("%T: %v", v, err)
		}
	}
	for _, v := range []any{nil, func() {}, make(chan int), struct{ a int }{1}, []any{}, complex(1, 1), []any{nil}} {
		var e Encoder
		if sig := e.Append(v); e.Err() == nil {
			t.Errorf("%T: accepted as %q", v, sig)
		}
	}
}

func TestValueRefusesOtherTypes(t *testing.T) {
	for _, c := range []struct {
		sig string
		v   any
	}{
		{"s", 1}, {"u", int32(1)}, {"i", int64(1)}, {"i", int(1) << 40}, {"as", "x"}, {"(ss)", []any{"a"}}, {"(s)", []any{"a", "b"}},
		{"a{sv}", []string{"a"}}, {"v", "x"}, {"g", "s"}, {"h", 1}, {"o", "not a path"}, {"s", nil}, {"", "x"}, {"ss", "x"}, {"i", UnixFD(1)},
	} {
		var e Encoder
		if e.Value(c.sig, c.v); e.Err() == nil {
			t.Errorf("%q accepts %T", c.sig, c.v)
		}
	}
}

func TestStringsAreMadeValid(t *testing.T) {
	var e Encoder
	e.String("a\x00b\xffc")
	d := NewDecoder(e.Bytes(), false, nil)
	if got := d.String(); got != "a\uFFFDb\uFFFDc" || d.Done() != nil {
		t.Errorf("%q, %v", got, d.Err())
	}
}

func TestValidText(t *testing.T) {
	for n := range 30 {
		for i := range n {
			for _, bad := range []string{"\x00", "\xff", "\xc3", "\xed\xa0\x80"} {
				if s := strings.Repeat("a", i) + bad + strings.Repeat("z", n-i); validText(s) {
					t.Errorf("%q", s)
				}
			}
			for _, good := range []string{"\x01", "\x7f", "é", "\u20ac", "\U0001f600"} {
				if s := strings.Repeat("\x01", i) + good + strings.Repeat("z", n-i); !validText(s) {
					t.Errorf("%q", s)
				}
			}
		}
	}
}

func TestUnitPathsInPlace(t *testing.T) {
	for _, name := range []string{"", "a.service", "0-x@y\\x2d.socket", strings.Repeat("é", 100)} {
		var a, b Encoder
		a.Byte(1)
		b.Byte(1)
		a.UnitPath(name)
		b.ObjectPath(UnitPath(name))
		if !bytes.Equal(a.Bytes(), b.Bytes()) || b.Err() != nil {
			t.Errorf("%q: %q, want %q (%v)", name, a.Bytes(), b.Bytes(), b.Err())
		}
	}
}

func TestEncoderErrors(t *testing.T) {
	for name, f := range map[string]func(*Encoder){
		"path":      func(e *Encoder) { e.ObjectPath("a") },
		"signature": func(e *Encoder) { e.Signature("a") },
		"fd":        func(e *Encoder) { e.UnixFD(-1) },
		"fds": func(e *Encoder) {
			for range MaxFDs + 1 {
				e.UnixFD(0)
			}
		},
	} {
		var e Encoder
		if f(&e); e.Err() == nil {
			t.Errorf("%s: no error", name)
		}
		if e.Reset(); e.Err() != nil || e.Len() != 0 {
			t.Errorf("%s: Reset keeps something", name)
		}
	}
}

func TestDecoderErrors(t *testing.T) {
	for _, c := range []struct{ name, sig, body, want string }{
		{"short", "u", "\x01\x00", "inside"},
		{"bool", "b", "\x02\x00\x00\x00", "boolean"},
		{"padding", "yu", "\x01\x01\x00\x00\x01\x00\x00\x00", "padding"},
		{"not terminated", "s", "\x01\x00\x00\x00ab", "terminated"},
		{"nul", "s", "\x02\x00\x00\x00a\x00\x00", "NUL"},
		{"utf8", "s", "\x01\x00\x00\x00\xff\x00", "UTF-8"},
		{"long string", "s", "\xff\xff\xff\xffa\x00", "inside"},
		{"path", "o", "\x01\x00\x00\x00a\x00", "path"},
		{"signature", "g", "\x01(\x00", "structure"},
		{"signature end", "g", "\x01sx", "terminated"},
		{"variant of two", "v", "\x02ss\x00", "more than one"},
		{"variant of none", "v", "\x00\x00", "no complete type"},
		{"array over the end", "au", "\x08\x00\x00\x00\x01\x00\x00\x00", "inside"},
		{"array in pieces", "au", "\x05\x00\x00\x00\x01\x00\x00\x00\x01", "whole"},
		{"array element over its end", "as", "\x05\x00\x00\x00\x01\x00\x00\x00a\x00\x00\x00", "inside"},
		{"array too long", "ay", "\x01\x00\x00\x04", "64 MiB"},
		{"fd", "h", "\x00\x00\x00\x00", "index 0 of 0"},
		{"rest", "y", "\x01\x01", "after the last"},
		{"struct short", "(ss)", "", "inside"},
	} {
		err := ValidateBody(c.sig, []byte(c.body), false, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Skip: %v", c.name, err)
		}
		d := NewDecoder([]byte(c.body), false, nil)
		if c.sig == "(ss)" {
			continue // an empty body is aligned
		}
		_, err = d.Decode(c.sig)
		if err == nil {
			err = d.Done()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Decode: %v", c.name, err)
		}
	}
}

func TestVariantsNestAtMost64(t *testing.T) {
	body := func(n int) []byte {
		var e Encoder
		for range n - 1 {
			e.Variant("v")
		}
		e.VariantBool(true)
		return e.Bytes()
	}
	if err := ValidateBody("v", body(maxDepth-1), false, nil); err != nil {
		t.Error(err)
	}
	if err := ValidateBody("v", body(maxDepth+1), false, nil); !errors.Is(err, errDepth) {
		t.Errorf("got %v", err)
	}
	d := NewDecoder(body(10000), false, nil)
	if _, err := d.Decode("v"); !errors.Is(err, errDepth) {
		t.Errorf("got %v", err)
	}
}

func TestDecodeBoundsValues(t *testing.T) {
	var e Encoder
	a := e.BeginArray('v')
	for range maxValues + 1 {
		e.Variant("y")
		e.Byte(1)
	}
	e.EndArray(a)
	d := NewDecoder(e.Bytes(), false, nil)
	if _, err := d.Decode("av"); !errors.Is(err, errManyValues) {
		t.Errorf("got %v", err)
	}
}

func TestSignatures(t *testing.T) {
	deep := strings.Repeat("a", 32) + "y"
	structs := strings.Repeat("(", 32) + "y" + strings.Repeat(")", 32)
	for _, s := range []string{"", "s", "a{sv}", "a(ssa{oa{sv}})", deep, structs, "aaaay", "a{y(ii)}", strings.Repeat("s", 255)} {
		if !ValidSignature(s) {
			t.Errorf("%q refused", s)
		}
	}
	for _, s := range []string{"a", "(", ")", "()", "a{", "a{s", "a{ss", "a{sss}", "a{vs}", "a{(s)s}", "{sv}", "z", "a" + deep,
		"(" + structs + ")", strings.Repeat("s", 256), "a{}", "a{s}", "aa", "e", "r", "s\x00"} {
		if ValidSignature(s) {
			t.Errorf("%q accepted", s)
		}
	}
}

func TestNames(t *testing.T) {
	check := func(f func(string) bool, what string, good, bad []string) {
		for _, s := range good {
			if !f(s) {
				t.Errorf("%s %q refused", what, s)
			}
		}
		for _, s := range append(bad, "", "a b", "a\x00b", "ä.b", strings.Repeat("a", 200)+"."+strings.Repeat("b", 200)) {
			if f(s) {
				t.Errorf("%s %q accepted", what, s)
			}
		}
	}
	check(ValidPath, "path", []string{"/", "/a", "/a_1/B"}, []string{"a", "//", "/a/", "/a//b", "/a-b"})
	check(ValidInterface, "interface", []string{"a.b", "_a.b1.C"}, []string{"a", ".a.b", "a.b.", "a..b", "a.1b", "a-b.c", ":1.2"})
	check(ValidMember, "member", []string{"A", "_a1"}, []string{"1a", "a.b", "a-b", strings.Repeat("a", 256)})
	check(ValidBusName, "bus name", []string{":1.5", "a.b-c", ":a.1"}, []string{"a", ":", ":1", "a.1", "-", "1.2"})
}

func TestPreparedEntry(t *testing.T) {
	entry := PrepareEntry("Name", "s")
	var plain, prepared Encoder
	for _, e := range []*Encoder{&plain, &prepared} {
		mark := e.BeginArray('{')
		for range 2 {
			if e == &plain {
				e.Entry("Name")
				e.Variant("s")
			} else {
				e.Prepared(entry)
			}
			e.String("odd")
		}
		e.EndArray(mark)
	}
	if !bytes.Equal(plain.Bytes(), prepared.Bytes()) {
		t.Errorf("%q, want %q", prepared.Bytes(), plain.Bytes())
	}
}
