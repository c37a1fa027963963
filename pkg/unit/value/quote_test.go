package value

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestSplitWords(t *testing.T) {
	for _, test := range []struct {
		text, separators string
		flags            WordFlags
		want             []string
		bad              bool
	}{
		{"", "", 0, nil, false},
		{"  a  b ", "", 0, []string{"a", "b"}, false},
		{`a "b c" d`, "", 0, []string{"a", `"b`, `c"`, "d"}, false},
		{`a "b c"d 'e f'`, "", WordUnquote, []string{"a", "b cd", "e f"}, false},
		{`a "b c"d`, "", WordKeepQuote, []string{"a", `"b c"d`}, false},
		{`a "b`, "", WordUnquote, []string{"a"}, true},
		{`a "b`, "", WordUnquote | WordRelax, []string{"a", "b"}, false},
		{`a\ b c\`, "", 0, []string{"a b"}, true},
		{`a\ b c\`, "", WordRelax, []string{"a b", "c"}, false},
		{`c\`, "", WordUnescapeRelax, []string{`c\`}, false},
		{`"c\`, "", WordUnquote | WordUnescapeRelax, nil, true},
		{`"c\`, "", WordUnquote | WordUnescapeRelax | WordRelax, []string{`c\`}, false},
		{`a\tb\x41 \s`, "", WordCUnescape, []string{"a\tbA", " "}, false},
		{`a\qb`, "", WordCUnescape, nil, true},
		{`a\qb`, "", WordCUnescape | WordUnescapeRelax, []string{`a\qb`}, false},
		{`a\:b:c`, ":", WordUnescapeSeparators, []string{"a:b", "c"}, false},
		{`a\:b\\:c`, ":", WordCUnescape | WordUnescapeSeparators, []string{`a:b\`, "c"}, false},
		{`a\b c`, "", WordRetainEscape, []string{`a\b`, "c"}, false},
		{"a::b:", ":", 0, []string{"a", "b"}, false},
		{"a::b:", ":", WordDontCoalesce, []string{"a", "", "b", ""}, false},
		{":", ":", WordDontCoalesce, []string{"", ""}, false},
		{"", ":", WordDontCoalesce, []string{""}, false},
		{"''", "", WordUnquote, []string{""}, false},
		{"a,b c", "," + whitespace, 0, []string{"a", "b", "c"}, false},
	} {
		got, err := SplitWords(test.text, test.separators, test.flags)
		if !slices.Equal(got, test.want) || (err != nil) != test.bad {
			t.Errorf("%q by %q flags %d: %q, %v, want %q", test.text, test.separators, test.flags, got, err, test.want)
		}
		if err != nil && (!errors.Is(err, ErrQuote) || !errors.Is(err, ErrInvalid)) {
			t.Errorf("%q: error %v is not about quoting", test.text, err)
		}
	}
}

func TestExtractWord(t *testing.T) {
	word, rest, ok, err := ExtractWord(" a b  c ", "", 0)
	if word != "a" || rest != "b  c " || !ok || err != nil {
		t.Errorf("%q %q %v %v", word, rest, ok, err)
	}
	if _, rest, ok, err = ExtractWord(`"a`, "", WordUnquote); rest != `"a` || ok || err == nil {
		t.Errorf("broken: %q %v %v", rest, ok, err)
	}
}

func TestCUnescape(t *testing.T) {
	for text, want := range map[string]string{
		`a\n\t\\\"\'\s\a\b\f\r\v`: "a\n\t\\\"' \a\b\f\r\v", `\x41\101\u00e9\U0001F600`: "AAé😀", `\xff\377`: "\xff\xff", `\x00`: "!", `\000`: "!", `\400`: "!", `\x4`: "!", `\q`: "!", `\`: "!", `\u12`: "!", `\U00110000`: "!", `\x+1`: "!", `\ud800`: "\xed\xa0\x80", "": "",
	} {
		got, err := CUnescape(text)
		if want == "!" {
			if err == nil {
				t.Errorf("%s: read as %q", text, got)
			}
			if relaxed := CUnescapeRelaxed(text); relaxed != text {
				t.Errorf("%s: relaxed %q", text, relaxed)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", text, got, err, want)
		}
	}
}

func TestShellMaybeQuote(t *testing.T) {
	for text, want := range map[string]string{
		"": `""`, "a": "a", "a b": `"a b"`, "$A": `"\$A"`, "a\tb": `"a\tb"`, "é": "é", "\xff": `"\377"`, "é\xff": `"é\377"`, `"`: `"\""`, "'": `"'"`, `\`: `"\\"`, "`": "\"\\`\"", "{a}~#%=,": "{a}~#%=,", "*": `"*"`, ";": `";"`, "!": `"!"`, "\x7f": `"\177"`,
	} {
		if got := ShellMaybeQuote(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	if got := ShellQuoteCommandLine([]string{"/bin/sh", "-c", "a b"}); got != `/bin/sh -c "a b"` {
		t.Errorf("command line: %s", got)
	}
	if got := XEscape("a b\\c\n", " "); got != `a\x20b\x5cc\x0a` {
		t.Errorf("x escape: %s", got)
	}
}

func TestErrorTextIsBounded(t *testing.T) {
	_, err := ParseBool(strings.Repeat("x", 1<<20))
	if err == nil || len(err.Error()) > 200 || !errors.Is(err, ErrInvalid) {
		t.Errorf("error: %.300v", err)
	}
}
