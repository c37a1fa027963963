package sandbox

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// seal makes an encrypted credential as systemd-creds does.
func seal(t testing.TB, kind string, key []byte, name string, notAfter uint64, data []byte) []byte {
	t.Helper()
	return sealFor(t, nil, kind, key, name, notAfter, data)
}

func sealFor(t testing.TB, user *scope, kind string, key []byte, name string, notAfter uint64, data []byte) []byte {
	t.Helper()
	head, err := hex.DecodeString(kind)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []uint32{32, 1, 12, 16} {
		head = binary.LittleEndian.AppendUint32(head, n)
	}
	vector := []byte("any 12 bytes")
	head = append(head, vector...)
	head = append(head, make([]byte, 4)...)
	sum := sha256.Sum256(key)
	if user != nil {
		head = binary.LittleEndian.AppendUint64(head, scopeAll)
		sum = user.key(sum)
	}
	plain := binary.LittleEndian.AppendUint64(nil, 1)
	plain = binary.LittleEndian.AppendUint64(plain, notAfter)
	plain = binary.LittleEndian.AppendUint32(plain, uint32(len(name)))
	plain = append(plain, name...)
	for len(plain)%8 != 0 {
		plain = append(plain, 0)
	}
	block, err := aes.NewCipher(sum[:])
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return gcm.Seal(head, vector, append(plain, data...), head)
}

const never = ^uint64(0)

var ana = scope{1000, "ana", [16]byte{1, 2, 3}}

func me() (*scope, error) { return &ana, nil }

// TestRecordedScope: what systemd-creds 257 made with --uid=.
func TestRecordedScope(t *testing.T) {
	for _, r := range recordedScoped {
		blob, err := unbase64([]byte(r.blob))
		if err != nil {
			t.Fatal(err)
		}
		secret := bytes.Repeat([]byte("k"), 4096)
		who := func() (*scope, error) { return &r.user, nil }
		got, err := openCredential(blob, "x", 1000, func() ([]byte, error) { return secret, nil }, who)
		if err != nil || string(got) != "the secret" {
			t.Errorf("%s: %q, %v", r.user.name, got, err)
		}
	}
}

func TestOpenCredential(t *testing.T) {
	key := bytes.Repeat([]byte("k"), 4096)
	secret := func() ([]byte, error) { return key, nil }
	data := []byte("the secret")
	changed := seal(t, keyHost, key, "web", never, data)
	changed[len(changed)-20] ^= 1
	header := seal(t, keyHost, key, "web", never, data)
	header[44] ^= 1
	for _, c := range []struct {
		what string
		blob []byte
		want error
	}{
		{"host key", seal(t, keyHost, key, "web", never, data), nil},
		{"no key", seal(t, keyNull, nil, "web", never, data), nil},
		{"any name", seal(t, keyHost, key, "", never, data), nil},
		{"not over yet", seal(t, keyHost, key, "web", 1000, data), nil},
		{"over", seal(t, keyHost, key, "web", 999, data), errExpired},
		{"other machine", seal(t, keyHost, []byte("other"), "web", never, data), errWrongKey},
		{"ciphertext changed", changed, errWrongKey},
		{"padding changed", header, errWrongKey},
		{"TPM2", seal(t, keyBoth, key, "web", never, data), errTPM2},
		{"this user", sealFor(t, &ana, keyHostScoped, key, "web", never, data), nil},
		{"another user", sealFor(t, &scope{1001, "bob", ana.machine}, keyHostScoped, key, "web", never, data), errScope},
		{"another user of the same name", sealFor(t, &scope{1001, "ana", ana.machine}, keyHostScoped, key, "web", never, data), errScope},
		{"another machine", sealFor(t, &scope{1000, "ana", [16]byte{}}, keyHostScoped, key, "web", never, data), errScope},
		{"user without flags", seal(t, keyHostScoped, key, "web", never, data), errNotCredential},
		{"unknown key", seal(t, "00000000000000000000000000000000", key, "web", never, data), errNotCredential},
	} {
		got, err := openCredential(c.blob, "web", 1000, secret, me)
		if !errors.Is(err, c.want) || c.want == nil && !bytes.Equal(got, data) {
			t.Errorf("%s: %q, %v, want %v", c.what, got, err, c.want)
		}
	}
	if _, err := openCredential(seal(t, keyHost, key, "web", never, data), "mail", 1000, secret, me); err == nil || err.Error() != `is called "web" inside` {
		t.Errorf("another name: %v", err)
	}
	if _, err := openCredential(seal(t, keyHost, key, "web", never, data), "web", 1000, func() ([]byte, error) { return nil, unix.ENOENT }, me); !errors.Is(err, unix.ENOENT) {
		t.Errorf("no host key: %v", err)
	}
	// Cut anywhere, it is refused and never more than that.
	whole := seal(t, keyHost, key, "web", never, data)
	scoped := sealFor(t, &ana, keyHostScoped, key, "web", never, data)
	for n := range scoped {
		if _, err := openCredential(scoped[:n], "web", 1000, secret, me); err == nil {
			t.Errorf("the first %d bytes pass", n)
		}
	}
	for n := range whole {
		if _, err := openCredential(whole[:n], "web", 1000, secret, me); err == nil {
			t.Errorf("the first %d bytes pass", n)
		}
	}
}

func FuzzOpenCredential(f *testing.F) {
	key := []byte("key")
	f.Add(seal(f, keyHost, key, "web", never, []byte("x")))
	f.Add(seal(f, keyNull, nil, "", 0, nil))
	f.Fuzz(func(t *testing.T, blob []byte) {
		_, _ = openCredential(blob, "web", 1, func() ([]byte, error) { return key, nil }, me)
		if data, err := unwrap(blob, "web", 1); err == nil && len(data) > len(blob) {
			t.Fatal("more came out than went in")
		}
	})
}

// recordedScoped were made with a host key of 4096 times the letter k.
var recordedScoped = []struct {
	user scope
	blob string
}{
	{scope{0, "root", recordedMachine}, "VbntHThZTUOoMZ0uuzMqxiAAAAABAAAADAAAABAAAAALlSrZrrxJ4h+MfWIAAAAABwAAAAAAAAD7GY2WATOf/4aAw7tSlWNjY5FWM6TrfPPLOeuOHQ0NR5LVZKWaEMYuJB8hQFGi/JdjSQ=="},
	{scope{1000, "ana", recordedMachine}, "VbntHThZTUOoMZ0uuzMqxiAAAAABAAAADAAAABAAAABY2ckgTBBKslMBfe0AAAAABwAAAAAAAADHHEZjJJJyObChvXqnRM9jMd6CTXKu3z1bqbHPVeNgHdMp3ZtVIwk/gbiL+RjXqvGdqw=="},
}

var recordedMachine = [16]byte{0x9e, 0xd7, 0x4c, 0x87, 0xc5, 0x07, 0x51, 0xe3, 0x02, 0xd3, 0xed, 0x59, 0x14, 0x5b, 0x99, 0xf0}
