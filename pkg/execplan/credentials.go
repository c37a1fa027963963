package execplan

import (
	"strings"

	"github.com/muster-init/muster/pkg/execplan/plan"
)

// Where credentials are received and kept (systemd.exec(5), Credentials).
var credentialStores = []string{"/run/credentials/@system", "/etc/credstore", "/run/credstore", "/usr/local/lib/credstore", "/usr/lib/credstore"}

// Where encrypted ones are.
var encryptedStores = []string{"/run/credentials/@encrypted", "/etc/credstore.encrypted", "/run/credstore.encrypted", "/usr/local/lib/credstore.encrypted", "/usr/lib/credstore.encrypted"}

const credentialsRoot = "/run/credentials"

// CredentialsDirectory is where a unit of a system manager finds its
// credentials. It is mounted when the unit has any, for whoever ends the
// activation to unmount.
func CredentialsDirectory(unitName string) string { return credentialsRoot + "/" + unitName }

func userCredentialsDirectory(prefixes plan.Prefixes, unitName string) string {
	return prefixes[plan.DirRuntime] + "/credentials/" + unitName
}

// credentials are gathered by the executor.
func (b *builder) credentials() error {
	s := b.s
	if !s.HasCredentials() {
		return nil
	}
	c := &plan.Credentials{Received: credentialStores, ReceivedEncrypted: encryptedStores}
	if own, ok := plan.LookupEnv(b.ctx.OwnEnv, "CREDENTIALS_DIRECTORY"); ok {
		c.Received = append([]string{own}, credentialStores...)
	}
	if own, ok := plan.LookupEnv(b.ctx.OwnEnv, "ENCRYPTED_CREDENTIALS_DIRECTORY"); ok {
		c.ReceivedEncrypted = append([]string{own}, encryptedStores...)
	}
	c.Dir = CredentialsDirectory(b.u.Name)
	if b.ctx.UserMode {
		// Since systemd 258: what users keep for their own services.
		own := []string{b.p.Prefixes[plan.DirConfiguration] + "/credstore", b.p.Prefixes[plan.DirRuntime] + "/credstore"}
		c.Received = append(own, c.Received...)
		c.ReceivedEncrypted = append([]string{own[0] + ".encrypted", own[1] + ".encrypted"}, c.ReceivedEncrypted...)
		c.Dir = userCredentialsDirectory(b.p.Prefixes, b.u.Name)
	}
	switch b.ctx.Phase {
	case phaseCondition, phaseStartPre, phaseStart:
		c.Write = true
	}
	for _, l := range s.LoadCredential {
		c.Load = append(c.Load, plan.Credential{ID: l.ID, Path: strings.TrimSuffix(l.Path, "/")})
	}
	for _, l := range s.LoadCredentialEncrypted {
		c.Load = append(c.Load, plan.Credential{ID: l.ID, Path: strings.TrimSuffix(l.Path, "/"), Encrypted: true})
	}
	for _, d := range s.SetCredentialEncrypted {
		c.Set = append(c.Set, plan.CredentialData{ID: d.ID, Data: d.Data, Encrypted: true})
	}
	for _, d := range s.SetCredential {
		c.Set = append(c.Set, plan.CredentialData{ID: d.ID, Data: d.Data})
	}
	for _, i := range s.ImportCredential {
		c.Import = append(c.Import, plan.CredentialImport{Glob: i.Glob, Rename: i.Rename})
	}
	b.p.Credentials = c
	b.tier2("credentials")
	return nil
}
