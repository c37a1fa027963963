package sandbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// scope is whom a credential is encrypted for: systemd-creds(1), --uid=.
type scope struct {
	uid     uint32
	name    string
	machine [16]byte
}

// scopeAll are the flags of a credential that is bound to the number and the
// name of the user and to the machine; there is no other kind.
const scopeAll = 1<<0 | 1<<1 | 1<<2

// key derives the user's key from the machine's: a keyed hash of the flags, the
// number (32 bits), the machine and the name with a final NUL.
func (s *scope) key(system [sha256.Size]byte) (sum [sha256.Size]byte) {
	mac := hmac.New(sha256.New, system[:])
	data := binary.LittleEndian.AppendUint64(nil, scopeAll)
	data = binary.LittleEndian.AppendUint32(data, s.uid)
	data = append(data, s.machine[:]...)
	data = append(append(data, s.name...), 0)
	mac.Write(data) // which never fails
	mac.Sum(sum[:0])
	return sum
}

// ownScope is that of the manager, root for the system: the user of the unit
// doesn't count.
func ownScope() (*scope, error) {
	const file = "/etc/machine-id"
	uid := unix.Getuid()
	e, err := lookupUser(strconv.Itoa(uid))
	if err != nil {
		return nil, fmt.Errorf("uid %d: %w", uid, err)
	}
	s := &scope{uid: uint32(uid), name: e.name}
	text, err := readFile(file, 64)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if id := strings.TrimSpace(string(text)); len(id) == 2*len(s.machine) {
		if _, err := hex.Decode(s.machine[:], []byte(id)); err == nil {
			return s, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", file, unix.EINVAL)
}

const (
	// credentialSocket is where systemd-creds.socket listens for those who may not read the machine's key.
	credentialSocket = "/run/systemd/io.systemd.Credentials"
	// credentialTimeoutMSec is the wait for it; a TPM2 takes seconds.
	credentialTimeoutMSec = 60_000
)

// refusals are what the service says of a credential, by the end of the error's name.
var refusals = map[string]error{
	"NameMismatch": errors.New("has another name inside"),
	"TimeMismatch": errExpired,
	"BadScope":     errScope,
	"BadFormat":    errNotCredential,
	"NoSuchUser":   errNoEntry,
}

// decryptByService has a credential of this user opened, since systemd 258. (A user's manager of 257 reads the machine's key itself, which it
// isn't allowed to.)
func decryptByService(blob []byte, name string) ([]byte, error) {
	parameters := `{"name":` + strconv.Quote(name) + `,"blob":"` + base64.StdEncoding.EncodeToString(blob) + `","scope":"user"}`
	reply, err := varlinkCall(credentialSocket, "io.systemd.Credentials.Decrypt", parameters, credentialTimeoutMSec, encryptedMax*4/3)
	if err == unix.ENOENT || err == unix.ECONNREFUSED {
		return nil, fmt.Errorf("is encrypted for this user, and systemd-creds.socket, which opens such, is not there: %s: %w", credentialSocket, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", credentialSocket, err)
	}
	if text := jsonString(reply, "error"); text != "" {
		if err := refusals[text[strings.LastIndexByte(text, '.')+1:]]; err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w (%s)", errScope, text)
	}
	data, err := base64.StdEncoding.DecodeString(jsonString(reply, "data"))
	if err != nil {
		return nil, unix.EPROTO
	}
	return data, nil
}
