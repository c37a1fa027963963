package journal

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func lines(r *LineReader, chunks ...string) []string {
	var out []string
	emit := func(o Output) {
		text := string(o.Text)
		if len(text) > 60 {
			text = fmt.Sprintf("%.3s…%d", text, len(text))
		}
		out = append(out, fmt.Sprintf("%d %s %d", o.Priority, text, o.Break))
	}
	for _, c := range chunks {
		r.Write([]byte(c), emit)
	}
	r.Close(emit)
	return out
}

// TestLines: what a service wrote and what journald 257 made of it.
func TestLines(t *testing.T) {
	for in, want := range map[string]string{
		"plain\n":                              "6 plain 0",
		"  lead and trail \t \n":               "6   lead and trail 0",
		"\n\n":                                 "",
		"   \n":                                "6     0",
		"<3>three\n":                           "3 three 0",
		"<30>thirty\n":                         "6 <30>thirty 0",
		"<03>x\n<003>y\n<0003>z\n":             "3 x 0|3 y 0|6 <0003>z 0",
		"<9>nine\n<8>e\n":                      "6 <9>nine 0|6 <8>e 0",
		"<>empty\n<3\n<\n<7":                   "6 <>empty 0|6 <3 0|6 < 0|6 <7 3",
		"<3> sp\n":                             "3  sp 0",
		"<3>\n":                                "",
		"a\x00b\n":                             "6 a 1|6 b 0",
		"cr\r\n":                               "6 cr 0",
		"tab\there\n":                          "6 tab\there 0",
		strings.Repeat("x", 50000) + "\nafter": "6 xxx…49152 2|6 xxx…848 0|6 after 3",
		"<3>" + strings.Repeat("y", 50000) + "\n": "3 yyy…49149 2|6 yyy…851 0",
		strings.Repeat("z", 49152) + "\nn\n":      "6 zzz…49152 2|6 n 0",
		"last without":                            "6 last without 3",
		"":                                        "",
	} {
		r := LineReader{Priority: PriInfo, LevelPrefix: true}
		if got := strings.Join(lines(&r, in), "|"); got != want {
			t.Errorf("%.40q: %q, want %q", in, got, want)
		}
		// The same in pieces.
		r = LineReader{Priority: PriInfo, LevelPrefix: true}
		var chunks []string
		for i := 0; i < len(in); i += 7 {
			chunks = append(chunks, in[i:min(i+7, len(in))])
		}
		if got := strings.Join(lines(&r, chunks...), "|"); got != want {
			t.Errorf("%.40q in pieces: %q, want %q", in, got, want)
		}
	}
}

func TestLinesKeepFacility(t *testing.T) {
	r := LineReader{Priority: 30, LevelPrefix: true}
	if got := lines(&r, "<3>a\nb\n"); strings.Join(got, "|") != "27 a 0|30 b 0" {
		t.Errorf("%q", got)
	}
	r = LineReader{Priority: 5}
	if got := lines(&r, "<3>a\n"); strings.Join(got, "|") != "5 <3>a 0" {
		t.Errorf("%q", got)
	}
}

func TestLineMemoryIsBounded(t *testing.T) {
	r := LineReader{LineMax: 1000}
	n := 0
	chunk := bytes.Repeat([]byte("x"), 300)
	for range 1000 {
		r.Write(chunk, func(o Output) { n += len(o.Text) })
		if r.Pending() >= 1000 || cap(r.rest) > 4096 {
			t.Fatalf("%d bytes are held, %d reserved", r.Pending(), cap(r.rest))
		}
	}
	r.Close(func(o Output) { n += len(o.Text) })
	if n != 300_000 {
		t.Errorf("%d bytes came out", n)
	}
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("<3>a\nb\x00c\r\n   \nlast"), uint8(3), uint8(20))
	f.Add([]byte("<7><8>\n<003>x"), uint8(1), uint8(5))
	f.Fuzz(func(t *testing.T, in []byte, cut, most uint8) {
		collect := func(r *LineReader, parts ...[]byte) string {
			var b strings.Builder
			emit := func(o Output) {
				if len(o.Text) == 0 || len(o.Text) > r.LineMax || o.Priority&^7 != 24 || bytes.ContainsAny(o.Text, "\n\x00") {
					t.Fatalf("%+v", o)
				}
				fmt.Fprintf(&b, "%d %q %d\n", o.Priority, o.Text, o.Break)
			}
			for _, p := range parts {
				r.Write(p, emit)
			}
			r.Close(emit)
			return b.String()
		}
		size := int(most) + 1
		whole := collect(&LineReader{Priority: 30, LevelPrefix: true, LineMax: size}, in)
		at := min(int(cut), len(in))
		if split := collect(&LineReader{Priority: 30, LevelPrefix: true, LineMax: size}, in[:at], in[at:]); split != whole {
			t.Fatalf("whole:\n%s\nsplit at %d:\n%s", whole, at, split)
		}
	})
}
