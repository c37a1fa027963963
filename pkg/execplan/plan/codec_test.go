package plan

import (
	"errors"
	"math/rand"
	"reflect"
	"testing"
	"testing/quick"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-init/muster/pkg/unit/value"
)

func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for range 300 {
		v, ok := quick.Value(reflect.TypeFor[Plan](), r)
		if !ok {
			t.Fatal("a plan has a field that cannot be made up")
		}
		p := v.Interface().(Plan)
		b := Encode(&p)
		got, err := Decode[Plan](b)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(&p, got); d != "" {
			t.Fatal(d)
		}
		// Cut anywhere, it is refused and never more than that.
		for range 20 {
			if _, err := Decode[Plan](b[:r.Intn(len(b))]); !errors.Is(err, ErrCodec) {
				t.Fatalf("a cut plan: %v", err)
			}
		}
	}
}

func TestForeignBytes(t *testing.T) {
	f := Failure{Status: 203, Setting: "ExecStart", Path: "/x", Errno: 2, Message: "no such file or directory"}
	b := Encode(&f)
	if _, err := Decode[Plan](b); !errors.Is(err, ErrCodec) {
		t.Errorf("a failure passes for a plan: %v", err)
	}
	if _, err := Decode[Failure](append(b, 0)); !errors.Is(err, ErrCodec) {
		t.Errorf("bytes too many: %v", err)
	}
	if got := f.Error(); got != "ExecStart=: /x: no such file or directory" {
		t.Error(got)
	}
}

func FuzzDecode(f *testing.F) {
	p := Plan{Unit: "a.service", Argv: []string{"x"}, Filters: []Filter{{Code: []Insn{{Code: 6}}}}}
	f.Add(Encode(&p)[8:])
	f.Fuzz(func(t *testing.T, b []byte) {
		whole := append(Encode(&p)[:8:8], b...)
		got, err := Decode[Plan](whole)
		if err != nil {
			return
		}
		again, err := Decode[Plan](Encode(got))
		if err != nil || !reflect.DeepEqual(got, again) {
			t.Fatalf("%v: %+v, %+v", err, got, again)
		}
	})
}

func TestMergeEnv(t *testing.T) {
	got := UnsetEnv(value.MergeEnvironment([]string{"A=1", "B=2", "bad", "=x"}, []string{"A=3", "C=4"}), []string{"B", "C=5"})
	if d := cmp.Diff([]string{"A=3", "C=4"}, got); d != "" {
		t.Error(d)
	}
}

func TestMessages(t *testing.T) {
	a, b := Failure{Setting: "PrivateNetwork", Message: "x"}, Failure{Status: 203, Setting: "ExecStart"}
	stream := append(Message(&a), Message(&b)...)
	var got []Failure
	var have []byte
	for _, c := range stream {
		have = append(have, c)
		f, rest, err := NextMessage(have)
		if err != nil {
			t.Fatal(err)
		}
		if f != nil {
			got = append(got, *f)
		}
		have = rest
	}
	if d := cmp.Diff([]Failure{a, b}, got); d != "" || len(have) != 0 {
		t.Error(d, len(have))
	}
	if _, _, err := NextMessage([]byte{255, 255, 255, 255, 0}); !errors.Is(err, ErrCodec) {
		t.Error(err)
	}
}
