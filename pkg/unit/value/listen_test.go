package value

import (
	"strings"
	"testing"
)

// What systemd 257 dumps of sockets with these settings; "!" is refused.
func TestParseListen(t *testing.T) {
	for text, want := range map[string]string{
		"/run/x": "/run/x", "@abs": "@abs", "@": "!", "rel": "!", "80": "[::]:80", "+80": "[::]:80", "0x50": "[::]:80", "0": "!", "65536": "!", "65535": "[::]:65535",
		"1.2.3.4:80": "1.2.3.4:80", "1.2.3.4:": "!", "1.2.3.4:080": "!", "1.2.3.4:80%lo": "1.2.3.4:80", "localhost:80": "!", "lo:80": "!", "0.0.0.0:80": "0.0.0.0:80",
		"[::1]:80": "[::1]:80", "[::1]": "!", "::1:80": "!", "[::]:80": "[::]:80", "[fe80::1]:80%lo": "[fe80::1]:80%lo", "[fe80::1%lo]:80": "!", "[::ffff:1.2.3.4]:80": "[::ffff:1.2.3.4]:80", "[1.2.3.4]:80": "!",
		"vsock:2:1234": "vsock:2:1234", "vsock::1234": "vsock::1234", "vsock:1234": "!", "vsock:-1:1234": "!", "vsock:2:": "!", "vsock-stream:2:5": "vsock:2:5", "vsock-foo:2:5": "!", "": "!",
		"/" + strings.Repeat("a", 106): "/" + strings.Repeat("a", 106), "/" + strings.Repeat("a", 107): "!",
		"@" + strings.Repeat("a", 106): "@" + strings.Repeat("a", 106), "@" + strings.Repeat("a", 107): "!",
	} {
		a, err := ParseListen(text)
		if want == "!" {
			if err == nil {
				t.Errorf("%s: read as %s", text, a)
			}
			continue
		}
		if err != nil || a.String() != want {
			t.Errorf("%s: %s, %v, want %s", text, a, err, want)
		}
		if again, err := ParseListen(a.Format()); err != nil || again != a {
			t.Errorf("%s: format %s is read as %+v, %v", text, a.Format(), again, err)
		}
	}
	if a, _ := ParseListen("80"); a.Format() != "80" || !a.PortOnly {
		t.Errorf("port: %+v", a)
	}
}

func TestParseListenNetlink(t *testing.T) {
	for text, want := range map[string]string{
		"route 1361": "route 1361", "route": "route 0", "kobject-uevent 1": "kobject-uevent 1", "audit 1 2": "!", "5 7": "nflog 7", "foo": "!", "": "!", "99 1": "99 1", "route -1": "!",
	} {
		a, err := ParseListenNetlink(text)
		if want == "!" {
			if err == nil {
				t.Errorf("%s: read as %s", text, a)
			}
			continue
		}
		if err != nil || a.String() != want {
			t.Errorf("%s: %s, %v, want %s", text, a, err, want)
		}
		if again, err := ParseListenNetlink(a.String()); err != nil || again != a {
			t.Errorf("%s: %s is read as %+v, %v", text, a, again, err)
		}
	}
}
