package sandbox

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
)

// An encrypted credential, as systemd-creds(1) writes it in base64:
//
//	kind of key      16 bytes
//	sizes            4 × 32 bits: key, block, initialization vector, tag
//	vector           zeros up to a multiple of 8 follow
//	ciphertext       AES-256-GCM, everything before it is authenticated as well
//	tag
//
// and in the ciphertext
//
//	made at, not after   2 × 64 bits: µs since 1970, all ones for none
//	length of the name   32 bits
//	name                 zeros up to a multiple of 8 follow
//	data
//
// All numbers are little-endian. What is for one user only has 64 bits of flags
// between vector and ciphertext, which say what of the user goes into the key.
// What is sealed with a TPM2 has more there; it is recognized and refused.

// Kinds of keys.
const (
	keyHost       = "5a1c6a86df9d4096b1d5a65e0862f19a"
	keyHostScoped = "55b9ed1d38594d43a8319d2ebb332ac6"
	keyNull       = "058469daf6f54324800549da0f8ea2fb"
	keyTPM2       = "0c7cc07b117645919c4b0bea08bc20fe"
	keyTPM2PK     = "faf7eb9341e3412ca1a436f95a29362f"
	keyBoth       = "93a894094874449090caf2fc93cab553"
	keyBothScoped = "ef4ac13679a9480ea7db68897f9f165d"
	keyBothPK     = "af4950a849134eb1a73846304ff30c05"
	keyBothPKSc   = "adbc4ca3efb64201ba881b6f2e4095ea"
)

const (
	// hostSecret holds the machine's key: 16 bytes that tell whose it is, then the key.
	hostSecret    = "/var/lib/systemd/credential.secret"
	hostSecretID  = 16
	hostSecretMax = 16 << 10
	// encryptedMax bounds an encrypted credential in bytes, before and after base64.
	encryptedMax = plan.MaxCredentials + 128<<10
	gcmVector    = 12
	gcmTag       = 16
)

// Complaints about encrypted credentials.
var (
	errNotCredential = errors.New("is not an encrypted credential")
	errTPM2          = errors.New("is sealed with a TPM2, which muster doesn't use: encrypt it with systemd-creds encrypt --with-key=host")
	errScope         = errors.New("was not encrypted with the key of this machine for this user, or was changed since")
	errWrongKey      = errors.New("was not encrypted with the key of this machine, or was changed since")
	errExpired       = errors.New("has expired")
	errNullKey       = errors.New("is encrypted with no key, which Secure Boot with a TPM2 forbids")
)

// unbase64 decodes a text with white space anywhere in it.
func unbase64(text []byte) ([]byte, error) {
	text = bytes.Map(func(r rune) rune {
		switch r {
		case ' ', '\t', '\n', '\r':
			return -1
		}
		return r
	}, text)
	data, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil {
		return nil, errNotCredential
	}
	return data, nil
}

// decrypt opens an encrypted credential that must be called name. It reads the
// machine's key if that is needed. A user's manager can't: it asks the service
// that may, for what is encrypted for its user.
func decrypt(blob []byte, name string, userMode bool) ([]byte, error) {
	if userMode && isScoped(blob) {
		return decryptByService(blob, name)
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME, &now); err != nil {
		return nil, err
	}
	return openCredential(blob, name, uint64(now.Nano()/1000), readHostSecret, ownScope)
}

// isScoped says whether a credential is encrypted for one user.
func isScoped(blob []byte) bool {
	if len(blob) < 16 {
		return false
	}
	switch hex.EncodeToString(blob[:16]) {
	case keyHostScoped, keyBothScoped, keyBothPKSc:
		return true
	}
	return false
}

// openCredential is decrypt with the time in µs and the ways to the key and to who we are given.
func openCredential(blob []byte, name string, nowUSec uint64, secret func() ([]byte, error), who func() (*scope, error)) ([]byte, error) {
	const fixed = 32
	if len(blob) < fixed {
		return nil, errNotCredential
	}
	var key []byte
	var user *scope
	var err error
	switch hex.EncodeToString(blob[:16]) {
	case keyHost:
		if key, err = secret(); err != nil {
			return nil, err
		}
	case keyNull:
		if tpm2WithSecureBoot() {
			return nil, errNullKey
		}
	case keyHostScoped:
		if key, err = secret(); err != nil {
			return nil, err
		}
		if user, err = who(); err != nil {
			return nil, err
		}
	case keyTPM2, keyTPM2PK, keyBoth, keyBothScoped, keyBothPK, keyBothPKSc:
		return nil, errTPM2
	default:
		return nil, errNotCredential
	}
	size := func(i int) uint32 { return binary.LittleEndian.Uint32(blob[16+4*i:]) }
	if size(0) != sha256.Size || size(1) != 1 || size(2) != gcmVector || size(3) != gcmTag {
		return nil, errNotCredential
	}
	header, wrong := (fixed+gcmVector+7)&^7, errWrongKey
	sum := sha256.Sum256(key)
	if user != nil {
		if len(blob) < header+8 || binary.LittleEndian.Uint64(blob[header:]) != scopeAll {
			return nil, errNotCredential
		}
		sum = user.key(sum)
		header, wrong = header+8, errScope
	}
	if len(blob) < header+gcmTag {
		return nil, errNotCredential
	}
	block, err := aes.NewCipher(sum[:])
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	plain, err := gcm.Open(nil, blob[fixed:fixed+gcmVector], blob[header:], blob[:header])
	if err != nil {
		return nil, wrong
	}
	return unwrap(plain, name, nowUSec)
}

// unwrap checks what was encrypted with the data.
func unwrap(plain []byte, name string, nowUSec uint64) ([]byte, error) {
	const fixed = 20
	if len(plain) < fixed {
		return nil, errNotCredential
	}
	notAfter, length := binary.LittleEndian.Uint64(plain[8:]), uint64(binary.LittleEndian.Uint32(plain[16:]))
	end := (fixed + length + 7) &^ 7
	if end > uint64(len(plain)) {
		return nil, errNotCredential
	}
	if inner := string(plain[fixed : fixed+length]); inner != "" && inner != name {
		return nil, fmt.Errorf("is called %q inside", inner)
	}
	if notAfter != ^uint64(0) && nowUSec > notAfter {
		return nil, errExpired
	}
	return plain[end:], nil
}

// readHostSecret reads the machine's key, which must be root's alone.
func readHostSecret() ([]byte, error) {
	var st unix.Stat_t
	if err := unix.Stat(hostSecret, &st); err != nil {
		return nil, fmt.Errorf("%s: %w", hostSecret, err)
	}
	if st.Uid != 0 || st.Mode&0o077 != 0 {
		return nil, fmt.Errorf("%s: readable by others than root: %w", hostSecret, unix.EPERM)
	}
	data, err := readFile(hostSecret, hostSecretMax)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", hostSecret, err)
	}
	if len(data) <= hostSecretID {
		return nil, fmt.Errorf("%s: %w", hostSecret, unix.EINVAL)
	}
	return data[hostSecretID:], nil
}

// tpm2WithSecureBoot: a machine that could have sealed the credential, and that
// promises to run only what is signed, must not take one that anybody can make.
func tpm2WithSecureBoot() bool {
	const variable = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
	chips, err := readDir("/sys/class/tpmrm")
	if err != nil || len(chips) == 0 {
		return false
	}
	const attributes, room = 4, 16
	data, err := readFile(variable, room)
	return err == nil && len(data) > attributes && data[attributes] == 1
}
