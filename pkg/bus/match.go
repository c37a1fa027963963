package bus

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Match is a match rule: empty fields match everything.
type Match struct {
	Type          Type // 0: any
	Sender        string
	Destination   string
	Interface     string
	Member        string
	Path          ObjectPath
	PathNamespace ObjectPath
	Arg0Namespace string
	// Args holds argN=, ArgPaths argNpath=, N from 0 to 63.
	Args     map[int]string
	ArgPaths map[int]string
	// Eavesdrop is kept for the bus; Matches ignores it.
	Eavesdrop bool
}

// ParseMatch parses a match rule: type='signal',interface='a.b',arg0='x'.
func ParseMatch(rule string) (Match, error) {
	var m Match
	seen := map[string]bool{}
	for rest := rule; ; {
		rest = strings.TrimLeft(rest, " \t\r\n,")
		if rest == "" {
			return m, nil
		}
		k, after, ok := strings.Cut(rest, "=")
		if !ok {
			return m, fmt.Errorf("match rule: %q is not key=value", clip(rest))
		}
		v, next, err := unquoteMatch(after)
		if err != nil {
			return m, err
		}
		k = strings.TrimRight(k, " \t")
		if seen[k] {
			return m, fmt.Errorf("match rule: %s= is there twice", clip(k))
		}
		seen[k] = true
		if err := m.set(k, v); err != nil {
			return m, err
		}
		if m.Path != "" && m.PathNamespace != "" {
			return m, errors.New("match rule: both path= and path_namespace=")
		}
		rest = next
	}
}

// unquoteMatch reads a value up to a comma outside of quotes. Inside single
// quotes everything is literal, outside \' is a quote.
func unquoteMatch(s string) (value, rest string, err error) {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\'':
			quoted = !quoted
		case c == ',' && !quoted:
			return b.String(), s[i+1:], nil
		case c == '\\' && !quoted && i+1 < len(s) && s[i+1] == '\'':
			b.WriteByte('\'')
			i++
		default:
			b.WriteByte(c)
		}
	}
	if quoted {
		return "", "", errors.New("match rule: quote is not closed")
	}
	return b.String(), "", nil
}

func (m *Match) set(k, v string) error {
	ok := true
	switch k {
	case "type":
		m.Type = typeByName(v)
		ok = m.Type != 0
	case "sender":
		m.Sender, ok = v, ValidBusName(v)
	case "destination":
		m.Destination, ok = v, ValidBusName(v)
	case "interface":
		m.Interface, ok = v, ValidInterface(v)
	case "member":
		m.Member, ok = v, ValidMember(v)
	case "path":
		m.Path, ok = ObjectPath(v), ValidPath(v)
	case "path_namespace":
		m.PathNamespace, ok = ObjectPath(v), ValidPath(v)
	case "arg0namespace":
		m.Arg0Namespace = v
		ok = ValidBusName(v) || ValidMember(v)
	case "eavesdrop":
		m.Eavesdrop, ok = v == "true", v == "true" || v == "false"
	default:
		return m.setArg(k, v)
	}
	if !ok {
		return fmt.Errorf("match rule: %s=%q is not valid", k, clip(v))
	}
	return nil
}

func typeByName(s string) Type {
	for t := TypeCall; t <= TypeSignal; t++ {
		if t.String() == s {
			return t
		}
	}
	return 0
}

func (m *Match) setArg(k, v string) error {
	num, ok := strings.CutPrefix(k, "arg")
	num, isPath := strings.CutSuffix(num, "path")
	n, err := strconv.Atoi(num)
	if !ok || err != nil || n < 0 || n > 63 || num != strconv.Itoa(n) {
		return fmt.Errorf("match rule: unknown key %q", clip(k))
	}
	set := &m.Args
	if isPath {
		set = &m.ArgPaths
	}
	if *set == nil {
		*set = map[int]string{}
	}
	(*set)[n] = v
	return nil
}

// Matches reports whether msg fits the rule. Sender is compared as text: a
// well-known name does not match its owner's unique one.
func (m *Match) Matches(msg *Message) bool {
	switch {
	case m.Type != 0 && m.Type != msg.Type,
		m.Sender != "" && m.Sender != msg.Sender,
		m.Destination != "" && m.Destination != msg.Destination,
		m.Interface != "" && m.Interface != msg.Interface,
		m.Member != "" && m.Member != msg.Member,
		m.Path != "" && m.Path != msg.Path,
		m.PathNamespace != "" && !underPath(string(msg.Path), string(m.PathNamespace)):
		return false
	}
	if len(m.Args) == 0 && len(m.ArgPaths) == 0 && m.Arg0Namespace == "" {
		return true
	}
	return m.matchArgs(msg)
}

func underPath(p, space string) bool {
	if space == "/" || p == space {
		return true
	}
	rest, ok := strings.CutPrefix(p, space)
	return ok && rest[0] == '/'
}

func (m *Match) matchArgs(msg *Message) bool {
	left := len(m.Args) + len(m.ArgPaths)
	if m.Arg0Namespace != "" {
		left++
	}
	d := msg.Decoder()
	for i, sig := 0, msg.Signature; sig != "" && left > 0; i++ {
		var first string
		first, sig = splitType(sig)
		if first != "s" && first != "o" {
			d.Skip(first)
			continue
		}
		v := d.String()
		if d.Err() != nil {
			return false
		}
		if want, ok := m.Args[i]; ok {
			if first != "s" || v != want {
				return false
			}
			left--
		}
		if want, ok := m.ArgPaths[i]; ok {
			if !matchArgPath(v, want) {
				return false
			}
			left--
		}
		if i == 0 && m.Arg0Namespace != "" {
			rest, ok := strings.CutPrefix(v, m.Arg0Namespace)
			if first != "s" || !ok || rest != "" && rest[0] != '.' {
				return false
			}
			left--
		}
	}
	return left == 0 && d.Err() == nil
}

// matchArgPath: equal, or one ends in a slash and begins the other.
func matchArgPath(v, want string) bool {
	return v == want || strings.HasSuffix(want, "/") && strings.HasPrefix(v, want) ||
		strings.HasSuffix(v, "/") && strings.HasPrefix(want, v)
}

// String is the rule as text that ParseMatch and a bus read back.
func (m *Match) String() string {
	var b strings.Builder
	add := func(k, v string) {
		if v == "" {
			return
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(k + "='" + strings.ReplaceAll(v, "'", `'\''`) + "'")
	}
	if m.Type != 0 {
		add("type", m.Type.String())
	}
	add("sender", m.Sender)
	add("destination", m.Destination)
	add("interface", m.Interface)
	add("member", m.Member)
	add("path", string(m.Path))
	add("path_namespace", string(m.PathNamespace))
	add("arg0namespace", m.Arg0Namespace)
	for i := range 64 {
		if v, ok := m.Args[i]; ok {
			add("arg"+strconv.Itoa(i), v)
		}
		if v, ok := m.ArgPaths[i]; ok {
			add("arg"+strconv.Itoa(i)+"path", v)
		}
	}
	if m.Eavesdrop {
		add("eavesdrop", "true")
	}
	return b.String()
}
