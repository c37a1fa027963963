package unit

import (
	"net/netip"
	"strings"

	"github.com/muster-init/muster/pkg/unit/value"
)

// internetAddress checks PORT, ADDRESS:PORT, [ADDRESS]:PORT with an optional
// %SCOPE behind.
func internetAddress(s string) (string, error) {
	if port, err := value.ParseUint(s, 16); err == nil && port > 0 {
		return s, nil
	}
	bad := errText("socket address ", quoted(s), " is not valid")
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 {
		return "", bad
	}
	host, port := s[:colon], s[colon+1:]
	if inner, ok := strings.CutPrefix(host, "["); ok {
		end := strings.IndexByte(inner, ']')
		if end < 0 || end != len(inner)-1 {
			return "", bad
		}
		host = inner[:end]
		if i := strings.IndexByte(port, '%'); i >= 0 { // scope
			port = port[:i]
		}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Is6() != strings.HasPrefix(s, "[") {
		return "", bad
	}
	if n, err := value.ParseUint(port, 16); err != nil || n == 0 {
		return "", bad
	}
	return s, nil
}
