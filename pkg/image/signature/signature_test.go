package signature_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/muster-init/muster/pkg/image/signature"
)

// What is in testdata openssl 3.0 made: `openssl smime -sign -nocerts -noattr -binary`, and the same with cms where the key is an elliptic curve's.
func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// place copies certificates into a new directory.
func place(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), read(t, name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCheck(t *testing.T) {
	hash, err := hex.DecodeString(string(read(t, "hash")))
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.Clone(hash)
	other[31] ^= 1
	for _, c := range []struct {
		file  string
		hash  []byte
		known []string
		want  string // part of the error
	}{
		{"rsa.p7s", hash, []string{"rsa.crt"}, ""}, {"rsa.p7s", hash, []string{"ec.crt", "rsa.crt"}, ""},
		{"ec.p7s", hash, []string{"rsa.crt", "ec.crt"}, ""}, {"rsa-attributes.p7s", hash, []string{"rsa.crt"}, ""},
		{"both.p7s", hash, []string{"rsa.crt", "ec.crt"}, ""}, {"attached.p7s", hash, []string{"rsa.crt"}, ""},
		{"both.p7s", hash, []string{"rsa.crt"}, "No certificate"}, // each signer must be known
		{"rsa.p7s", hash, []string{"ec.crt"}, "No certificate"}, {"rsa.p7s", hash, nil, "no certificate"},
		// A certificate that the signature brings along vouches for nobody.
		{"rsa-attributes.p7s", hash, []string{"ec.crt"}, "No certificate"}, {"rsa-attributes.p7s", hash, nil, "no certificate"},
		{"rsa.p7s", other, []string{"rsa.crt"}, "verification error"}, {"ec.p7s", other, []string{"ec.crt"}, "verification failure"},
		{"rsa-attributes.p7s", other, []string{"rsa.crt"}, "mismatch"}, {"attached.p7s", other, []string{"rsa.crt"}, "something else"},
		{"hash", hash, []string{"rsa.crt"}, "signature"}, {"rsa.crt", hash, []string{"rsa.crt"}, "signature"},
	} {
		err := signature.Check(c.hash, read(t, c.file), signature.Certificates([]string{place(t, c.known...)}))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s by %v: %v, want %q", c.file, c.known, err, c.want)
		}
	}
}

// TestBroken: no change of one byte makes a good signature, or ends the program.
func TestBroken(t *testing.T) {
	hash, _ := hex.DecodeString(string(read(t, "hash")))
	known := signature.Certificates([]string{place(t, "rsa.crt", "ec.crt")})
	for _, file := range []string{"rsa.p7s", "ec.p7s"} {
		good := read(t, file)
		passed := 0
		for i := range good {
			bad := bytes.Clone(good)
			bad[i] ^= 0x55
			if signature.Check(hash, bad, known) == nil {
				passed++ // of what nobody looks at: versions, names of algorithms beside the one that is used
			}
			if signature.Check(hash, good[:i], known) == nil {
				t.Errorf("%s: good with %d of %d bytes", file, i, len(good))
			}
		}
		if passed > 40 {
			t.Errorf("%s: %d bytes may be anything", file, passed)
		}
	}
}

func TestCertificates(t *testing.T) {
	first, second := place(t, "rsa.crt"), place(t, "rsa.crt", "ec.crt")
	if n := len(signature.Certificates([]string{filepath.Join(first, "missing"), first, second})); n != 2 {
		t.Errorf("%d certificates, want 2: one name counts once", n)
	}
	// The first directory masks what the others have.
	mask := t.TempDir()
	if err := os.Symlink("/dev/null", filepath.Join(mask, "rsa.crt")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(mask, "ec.crt"), []byte("no certificate"), 0o644); err != nil {
		t.Fatal(err)
	}
	if list := signature.Certificates([]string{mask, second}); len(list) != 0 {
		t.Errorf("%d certificates through masks", len(list))
	}
}

func TestMain(m *testing.M) {
	signature.Directories = nil
	os.Exit(m.Run())
}

func TestRequest(t *testing.T) {
	request := func(text string) (int, string) {
		var out bytes.Buffer
		return signature.Main(strings.NewReader(text), &out), out.String()
	}
	good := string(read(t, "hash")) + "\n" + string(read(t, "rsa.p7s"))
	if status, out := request(good); status != 1 || out != signature.ErrUnknown.Error() {
		t.Errorf("nobody is known: %d %q", status, out)
	}
	signature.Directories = []string{place(t, "rsa.crt")}
	defer func() { signature.Directories = nil }()
	if status, out := request(good); status != 0 || out != "" {
		t.Errorf("good: %d %q", status, out)
	}
	for _, bad := range []string{"", "\n", "zz\n", good[:70], good[1:]} {
		if status, out := request(bad); status != 1 || out == "" {
			t.Errorf("%.20q: %d %q", bad, status, out)
		}
	}
}
