package plan

// MaxCredentials bounds all credentials of a unit together, in bytes
// (systemd.exec(5), LoadCredential=).
const MaxCredentials = 1 << 20

// Credentials are what is put into the unit's credentials directory.
type Credentials struct {
	Dir string // of this unit, absolute
	// Received are directories with credentials given to the manager or
	// installed on the system, the first that has one wins.
	Received []string
	// ReceivedEncrypted are those for encrypted ones.
	ReceivedEncrypted []string
	Write             bool // false: only use what an earlier command put there
	Load              []Credential
	Set               []CredentialData
	Import            []CredentialImport
}

// Credential is LoadCredential=. A Path without a slash in front names a
// received credential.
type Credential struct {
	ID, Path  string
	Encrypted bool
}

// CredentialData is SetCredential=, used where nothing was loaded.
type CredentialData struct {
	ID        string
	Data      []byte
	Encrypted bool
}

// CredentialImport is ImportCredential=: received credentials that match,
// under another name if Rename is set: that stands for the part before the
// wildcard, or for the whole name without one.
type CredentialImport struct {
	Glob, Rename string
}
