package unit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	systemd "github.com/coreos/go-systemd/v22/unit"
	"gopkg.in/ini.v1"
)

func lexAll(text string) []Line {
	var out []Line
	for lex := NewLexer(text); ; {
		l, ok := lex.Next()
		if !ok {
			return out
		}
		out = append(out, l)
	}
}

func TestLexer(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"plain":        {"[Unit]\nA=1\n B = 2 \n", "1 [Unit]; 2 [Unit] A=1; 3 [Unit] B=2"},
		"comments":     {"# x\n; y\n[A]\n  # z\nK=v # no comment\n", "3 [A]; 5 [A] K=v # no comment"},
		"continuation": {"[A]\nK=a \\\n  b\\\nc\nL=2", "1 [A]; 4 [A] K=a    b c; 5 [A] L=2"},
		"comment inside": {"[A]\nK=a \\\n# no\n  ; no\n b \\\n\nL=2\n",
			"1 [A]; 6 [A] K=a   b; 7 [A] L=2"},
		"escaped backslash": {"[A]\nK=a \\\\\nL=2\n", `1 [A]; 2 [A] K=a \\; 3 [A] L=2`},
		"at the end":        {"[A]\nK=a \\", "1 [A]; 2 [A] K=a"},
		"CRLF":              {"\ufeff[A]\r\nK=a \\\r\n b\r\nL=2\r\n", "1 [A]; 3 [A] K=a   b; 4 [A] L=2"},
		"CR alone":          {"[A]\rK=a\rL=2", "1 [A]; 2 [A] K=a; 3 [A] L=2"},
		"NUL":               {"[A]\nK=a\x00L=2\nM=3", "1 [A]; 2 [A] K=a; 3 [A] L=2; 4 [A] M=3"},
		"empty value":       {"[A]\nK=\nK= ", "1 [A]; 2 [A] K=; 3 [A] K="},
		"equals in value":   {"[A]\nK=a=b==", "1 [A]; 2 [A] K=a=b=="},
		"outside":           {"K=1\n[A]\n", "1 ! Assignment outside of section, ignoring.; 2 [A]"},
		"no equals":         {"[A]\nfoo\n=1\n", "1 [A]; 2 ! Missing '=', ignoring line.; 3 ! Missing key name before '=', ignoring line."},
		"header":            {"[A\nK=1\n", "1 ! Invalid section header '[A', ignoring the rest of the file."},
		"bad UTF-8":         {"[A]\nK=\xff\nL=1\n", `1 [A]; 2 ! String is not UTF-8 clean, ignoring the rest of the file: K=\xff`},
		"in a comment":      {"[A]\n# \xff\nL=1\n", "1 [A]; 3 [A] L=1"},
	} {
		var got []string
		for _, l := range lexAll(c.text) {
			switch {
			case l.Fault != "":
				got = append(got, fmt.Sprintf("%d ! %s", l.Number, l.Fault))
			case l.Key == "":
				got = append(got, fmt.Sprintf("%d [%s]", l.Number, l.Section))
			default:
				got = append(got, fmt.Sprintf("%d [%s] %s=%s", l.Number, l.Section, l.Key, l.Value))
			}
		}
		if s := strings.Join(got, "; "); s != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, s, c.want)
		}
	}
}

func TestLexerBounds(t *testing.T) {
	long := "[A]\nK=" + strings.Repeat("a", LineMax-2) + "\nL=1\n"
	if l := lexAll(long); len(l) != 3 || l[2].Key != "L" {
		t.Errorf("a line of exactly 1 MiB: %d lines", len(l))
	}
	long = "[A]\nK=" + strings.Repeat("a", LineMax) + "\nL=1\n"
	if l := lexAll(long); len(l) != 2 || l[1].Fatal != FaultLength {
		t.Errorf("a line beyond 1 MiB: %d lines", len(l))
	}
	joined := "[A]\nK=" + strings.Repeat(strings.Repeat("a", 1000)+"\\\n", 1200) + "\nL=1\n"
	if l := lexAll(joined); len(l) != 2 || l[1].Fatal != FaultLength {
		t.Errorf("a joined line beyond 1 MiB: %d lines", len(l))
	}
}

// realFiles are unit files of this machine.
func realFiles(t testing.TB) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, dir := range []string{"/usr/lib/systemd/system", "/usr/lib/systemd/user", "/lib/systemd/system"} {
		for _, typ := range Types() {
			paths, err := filepath.Glob(dir + "/*." + typ.String())
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range paths {
				data, err := os.ReadFile(p)
				if err == nil && len(data) > 0 {
					out[p] = string(data)
				}
			}
		}
	}
	if len(out) == 0 {
		t.Log("this machine has no unit files; testdata stands in")
		paths, _ := filepath.Glob("testdata/*.good")
		for _, p := range paths {
			data, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			out[p] = string(data)
		}
	}
	return out
}

// TestLexerAgainstLibraries: on well-formed real files the lexer, ini.v1 and
// go-systemd see the same assignments.
func TestLexerAgainstLibraries(t *testing.T) {
	for path, text := range realFiles(t) {
		var ours []string
		bySection := map[string]map[string][]string{}
		for _, l := range lexAll(text) {
			if l.Fault != "" {
				t.Errorf("%s:%d: %s", path, l.Number, l.Fault)
			}
			if l.Key == "" {
				continue
			}
			ours = append(ours, l.Section+" "+l.Key+"="+l.Value)
			if bySection[l.Section] == nil {
				bySection[l.Section] = map[string][]string{}
			}
			bySection[l.Section][l.Key] = append(bySection[l.Section][l.Key], l.Value)
		}
		if strings.Contains(text, "\\\n") {
			continue // both libraries treat continuations otherwise
		}
		options, err := systemd.DeserializeOptions(strings.NewReader(text))
		if err != nil {
			t.Errorf("%s: go-systemd: %v", path, err)
			continue
		}
		var theirs []string
		for _, o := range options {
			theirs = append(theirs, o.Section+" "+o.Name+"="+o.Value)
		}
		if strings.Join(ours, "\n") != strings.Join(theirs, "\n") {
			t.Errorf("%s: go-systemd reads something else", path)
		}
		compareINI(t, path, text, bySection)
	}
}

func compareINI(t *testing.T, path, text string, ours map[string]map[string][]string) {
	t.Helper()
	f, err := ini.LoadSources(ini.LoadOptions{AllowShadows: true, AllowDuplicateShadowValues: true, IgnoreInlineComment: true,
		PreserveSurroundedQuote: true, KeyValueDelimiters: "="}, []byte(text))
	if err != nil {
		t.Errorf("%s: ini.v1: %v", path, err)
		return
	}
	for section, keys := range ours {
		for key, values := range keys {
			full := true
			for _, v := range values {
				full = full && v != "" // ini.v1 drops empty values
			}
			if got := f.Section(section).Key(key).ValueWithShadows(); full && strings.Join(got, "\n") != strings.Join(values, "\n") {
				t.Errorf("%s: [%s] %s: ini.v1 reads %q, we %q", path, section, key, got, values)
			}
		}
	}
}

// FuzzLexer: never panics, ends, and lines only grow.
func FuzzLexer(f *testing.F) {
	f.Add("[A]\nK=a \\\n# x\n b\n")
	f.Add("\ufeff[A]\r\nK=\xff\x00")
	f.Add("\\\n\\\n\\")
	f.Fuzz(func(t *testing.T, text string) {
		last := uint32(0)
		for _, l := range lexAll(text) {
			if l.Number < last {
				t.Fatalf("line %d after %d", l.Number, last)
			}
			last = l.Number
			if l.Fault == "" && l.Section == "" {
				t.Fatalf("line %d without a section", l.Number)
			}
		}
	})
}

// TestLexerIsLinear has 4 MB of line ends without a LF: with a search for it from each of them this took minutes.
func TestLexerIsLinear(t *testing.T) {
	for _, text := range []string{strings.Repeat("\x00", 4<<20), strings.Repeat("\r", 4<<20), strings.Repeat("a\x00", 2<<20) + "\n"} {
		want := 0
		if text[0] == 'a' {
			want = 2 << 20
		}
		if got := len(lexAll(text)); got != want {
			t.Errorf("%d lines, want %d", got, want)
		}
	}
}
