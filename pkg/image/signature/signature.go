// Package signature judges the signature of a root hash where the kernel doesn't vouch for it: by the certificates that an administrator
// put into verity.d (systemd.exec(5), RootHashSignature=). It is linked into muster-verity only.
//
// Invariants:
//
//  1. A certificate counts because of where it lies. Chains, dates and what a signature brings along are not looked at.
//  2. What is signed is the root hash as text, in lower case and without a newline; each signer must be known.
package signature

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/smallstep/pkcs7"

	"github.com/muster-init/muster/pkg/kernel/facts"
)

// Directories are searched for certificates. Of two files with one name the first counts.
var Directories = []string{"/etc/verity.d", "/run/verity.d", "/usr/local/lib/verity.d", "/usr/lib/verity.d"}

// Bounds, in bytes and files.
const (
	maxRequest      = 128 << 10
	maxCertificate  = 1 << 20
	maxCertificates = 1024
)

// ErrUnknown: nobody whose certificate is in verity.d has signed.
var ErrUnknown = errors.New("no certificate in verity.d is the signer's")

// Check says whether der, a detached PKCS#7 signature, is that of rootHash by holders of these certificates.
func Check(rootHash, der []byte, known []*x509.Certificate) error {
	p7, err := pkcs7.Parse(der)
	if err != nil {
		return fmt.Errorf("signature: %w", err)
	}
	text := hex.EncodeToString(rootHash)
	if len(p7.Content) > 0 && string(p7.Content) != text {
		return errors.New("signature: it is for something else")
	}
	if len(known) == 0 {
		return ErrUnknown
	}
	p7.Content, p7.Certificates = []byte(text), known
	if err := p7.Verify(); err != nil {
		return fmt.Errorf("signature: %w", err)
	}
	return nil
}

// Certificates reads the *.crt files (PEM) of directories. Those that can't be read vouch for nobody.
func Certificates(directories []string) []*x509.Certificate {
	seen := map[string]bool{}
	var list []*x509.Certificate
	for _, dir := range directories {
		files, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, f := range files {
			name := f.Name()
			if seen[name] || strings.HasPrefix(name, ".") || !strings.HasSuffix(name, ".crt") || len(seen) >= maxCertificates {
				continue
			}
			seen[name] = true
			if c := certificate(filepath.Join(dir, name)); c != nil {
				list = append(list, c)
			}
		}
	}
	return list
}

// certificate reads the first one of a file, nil if there is none.
func certificate(path string) *x509.Certificate {
	if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() || st.Size() > maxCertificate {
		return nil // a link to /dev/null takes one away
	}
	rest, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil
		}
		if block.Type == "CERTIFICATE" {
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil
			}
			return c
		}
	}
}

// Main reads a request, a line with the root hash and then the signature, and answers with the exit status: 0 is a good signature. Why it is
// none goes to out.
func Main(in io.Reader, out io.Writer) int {
	err := serve(in)
	if err == nil {
		return 0
	}
	fmt.Fprint(out, err)
	return 1
}

func serve(in io.Reader) error {
	if !allowed() {
		return errors.New("systemd.allow_userspace_verity= is off")
	}
	data, err := io.ReadAll(io.LimitReader(in, maxRequest))
	if err != nil {
		return err
	}
	line, der, _ := strings.Cut(string(data), "\n")
	hash, err := hex.DecodeString(line)
	if err != nil || len(hash) == 0 {
		return errors.New("no root hash")
	}
	return Check(hash, []byte(der), Certificates(Directories))
}

// allowed says what the kernel command line has about it (kernel-command-line(7)).
func allowed() bool {
	text, err := facts.KernelCommandLine("", facts.DetectContainer("") != "")
	if err != nil {
		return true
	}
	on := true
	for word := range strings.FieldsSeq(text) {
		if v, ok := strings.CutPrefix(strings.ReplaceAll(word, "-", "_"), "systemd.allow_userspace_verity="); ok {
			on = !slices.Contains([]string{"0", "no", "n", "false", "f", "off"}, v)
		}
	}
	return on
}
