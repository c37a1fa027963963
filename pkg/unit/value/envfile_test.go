package value

import (
	"strings"
	"testing"
)

// What the manager of systemd 252 read from an os-release of these bytes, but
// for the comment with a backslash at its end, which follows 254.
func TestParseEnvFile(t *testing.T) {
	for text, want := range map[string]string{
		"ID=a b\n": "ID=a b", `ID="a b"`: "ID=a b", `ID='a b'`: "ID=a b", `ID=a "b" c`: `ID=a "b" c`, `ID="a" "b"`: "ID=ab", `ID="a"b"c"`: `ID=ab"c"`, `ID='a'"b"c`: "ID=abc",
		"ID=a\\\nb": "ID=ab", "ID=\"a\\\nb\"": "ID=ab", "ID='a\\\nb'": "ID=a\\\nb", `ID=a\nb`: "ID=anb", `ID="a\nb\"c\$d\` + "`" + `e\\f"`: "ID=a\\nb\"c$d`e\\f", `ID='a\nb'`: `ID=a\nb`,
		"ID=a   \n": "ID=a", "ID=  a": "ID=a", "ID = a": "ID=a", "  ID=a": "ID=a", "#ID=a\nID=b": "ID=b", ";ID=a\nID=b": "ID=b", "#x\\\nID=b": "ID=b", "ID=a #c": "ID=a #c", "ID=a;c": "ID=a;c",
		"export ID=a\nB=x": "B=x !", "ID=a\r\nB=b\r\n": "ID=a|B=b", "ID\nB=b": "B=b", "ID=\nB=b": "ID=|B=b", "ID=\"a\nb\"\nB=c": "ID=a\nb|B=c", `ID="a`: "ID=a", `ID='a`: "ID=a", `ID=a\`: "ID=a", `ID="a\`: "ID=a",
		"ID=a\nID=b": "ID=a|ID=b", "ID=$HOME": "ID=$HOME", `ID=a\ b`: "ID=a b", "ID=a\\ \n": "ID=a ", "ID=\"a\" \\\n b": "ID=a b", "ID=a\\\n\nB=b": "ID=a|B=b", "ID=\"x\"\\\n\"y\"": `ID=x"y"`, `ID=\"a\"`: `ID="a"`,
		"ID=a\tb\t\n": "ID=a\tb", `ID="a" # c`: "ID=a# c", `ID=a'b'`: "ID=a'b'", `ID='a'\''b'`: "ID=a''b'", "=x\nID=a": "ID=a !", "ID==a": "ID==a", "ID=a=b": "ID=a=b", "ID=\xff\nB=b": "!", "1A=x\nID=b": "ID=b !", "ID=\x01": "ID=\x01",
		"\xef\xbb\xbfID=a\nB=b": "B=b !", "ID=a\\\r\nB=b": "ID=a|B=b", "ID=\"a\r\nb\"": "ID=a\r\nb", "ID=\"a\\\r\nb\"": "ID=a\\\r\nb", "ID=a\x00b": "!", `ID=  "a"  `: "ID=a", `ID="a"  b  `: "ID=ab", "ID=''": "ID=", `ID="" a`: "ID=a",
		"ID=a \\\n\n": "ID=a ", "ID=a\\  \n": "ID=a ", "ID=\\\na": "ID=a", "ID=\"a\"\\ \n": "ID=a ", "\\\nID=a": "ID=a", "I\\\nD=a": "D=a", "ID=a\n\\#x\nB=b": "ID=a|B=b", "": "", "\n\n": "", "A": "", "A=": "A=",
	} {
		pairs, err := ParseEnvFile([]byte(text))
		var got []string
		for _, p := range pairs {
			got = append(got, p.String())
		}
		s := strings.Join(got, "|")
		if err != nil {
			s = strings.TrimPrefix(s+" !", " ")
		}
		if s != want {
			t.Errorf("%q: %q, want %q", text, s, want)
		}
	}
}
