package value

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Pair is an environment variable.
type Pair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// String is the assignment NAME=value.
func (p Pair) String() string { return p.Name + "=" + p.Value }

const envMax = 2 << 20 // of one assignment, the kernel's ARG_MAX

// EnvNameIsValid says whether s may name a variable: letters, digits and
// underscores, not starting with a digit.
func EnvNameIsValid(s string) bool {
	if s == "" || isDigit(s[0]) || len(s) > envMax-2 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !isDigit(c) && c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}

// EnvValueIsValid says whether s may be the value of a variable: UTF-8, control
// characters but NUL included.
func EnvValueIsValid(s string) bool {
	return len(s) <= envMax-3 && utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}

// ParseEnvAssignment reads one NAME=value.
func ParseEnvAssignment(s string) (Pair, error) {
	name, val, ok := strings.Cut(s, "=")
	if !ok || !EnvNameIsValid(name) || !EnvValueIsValid(val) || len(s) > envMax-1 {
		return Pair{}, invalid("environment assignment", s)
	}
	return Pair{name, val}, nil
}

// ParseEnvAssignments reads the value of Environment=: quoted assignments
// divided by white space. Specifiers are expanded in each after unquoting. The
// good assignments are returned even when err tells of others.
func ParseEnvAssignments(s string, expand Expander) ([]Pair, error) {
	var pairs []Pair
	errs, err := eachWord(s, expand, func(word string) error {
		p, err := ParseEnvAssignment(word)
		if err == nil {
			pairs = append(pairs, p)
		}
		return err
	})
	return pairs, errors.Join(append(errs, err)...)
}

// ParseEnvNames reads a list of variable names as PassEnvironment= takes it.
func ParseEnvNames(s string, expand Expander) ([]string, error) {
	var names []string
	errs, err := eachWord(s, expand, func(word string) error {
		if !EnvNameIsValid(word) {
			return invalid("variable name", word)
		}
		names = append(names, word)
		return nil
	})
	return names, errors.Join(append(errs, err)...)
}

// ParseEnvNamesOrAssignments reads the list of UnsetEnvironment=: names, or
// assignments that must match in full.
func ParseEnvNamesOrAssignments(s string, expand Expander) ([]string, error) {
	var list []string
	errs, err := eachWord(s, expand, func(word string) error {
		if !EnvNameIsValid(word) {
			if _, err := ParseEnvAssignment(word); err != nil {
				return err
			}
		}
		list = append(list, word)
		return nil
	})
	return list, errors.Join(append(errs, err)...)
}

// eachWord calls use for every unquoted, unescaped and expanded word. What use
// and expand refuse is collected in errs; err is about broken quoting, which
// ends the list.
func eachWord(s string, expand Expander, use func(word string) error) (errs []error, err error) {
	r := WordReader{Rest: s, Flags: WordUnquote | WordCUnescape}
	for {
		word, ok, err := r.Next()
		if err != nil || !ok {
			return errs, err
		}
		resolved, err := expand.expand(word)
		if err != nil {
			errs = append(errs, fmt.Errorf("specifiers in %q: %w", word, err))
			continue
		}
		if err := use(resolved); err != nil {
			errs = append(errs, err)
		}
	}
}

// FormatEnvAssignments writes pairs as Environment= takes them.
func FormatEnvAssignments(pairs []Pair) string {
	words := make([]string, len(pairs))
	for i, p := range pairs {
		words[i] = QuoteWord(p.String())
	}
	return strings.Join(words, " ")
}

// ExpandEnv replaces variables in the words of a command line the way systemd
// does before execve (systemd.service(5), Command Lines):
//
//   - a word that is $NAME as a whole becomes the words of the value, none when
//     it is not set;
//   - ${NAME} anywhere becomes the value, unsplit, empty when it is not set;
//   - $$ becomes one dollar sign;
//   - a dollar sign elsewhere stays.
//
// unset and bad are the names that are not set, and those no variable can have.
func ExpandEnv(argv []string, lookup func(name string) (string, bool)) (words, unset, bad []string) {
	e := envExpansion{lookup: lookup}
	for _, arg := range argv {
		if len(arg) > 0 && arg[0] == '$' && (len(arg) == 1 || arg[1] != '{' && arg[1] != '$') {
			val := e.value(arg[1:])
			split, _ := SplitWords(val, whitespace, WordRelax|WordUnquote) // relaxed, never fails
			words = append(words, split...)
			continue
		}
		words = append(words, e.embedded(arg))
	}
	return words, e.unset, e.bad
}

// ExpandEnvString replaces ${NAME} and $$ in one string, see ExpandEnv.
func ExpandEnvString(s string, lookup func(name string) (string, bool)) string {
	e := envExpansion{lookup: lookup}
	return e.embedded(s)
}

type envExpansion struct {
	lookup     func(name string) (string, bool)
	unset, bad []string
}

func (e *envExpansion) value(name string) string {
	if !EnvNameIsValid(name) {
		e.bad = appendNew(e.bad, name)
		return ""
	}
	v, ok := e.lookup(name)
	if !ok {
		e.unset = appendNew(e.unset, name)
	}
	return v
}

func (e *envExpansion) embedded(s string) string {
	if strings.IndexByte(s, '$') < 0 {
		return s
	}
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '$')
		if i < 0 || i == len(s)-1 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		s = s[i:]
		if s[1] == '{' {
			if end := strings.IndexByte(s, '}'); end >= 0 {
				b.WriteString(e.value(s[2:end]))
				s = s[end+1:]
				continue
			}
			b.WriteString(s)
			return b.String()
		}
		b.WriteByte('$')
		if s[1] == '$' {
			s = s[2:]
		} else {
			s = s[1:]
		}
	}
}

func appendNew(list []string, s string) []string {
	for _, have := range list {
		if have == s {
			return list
		}
	}
	return append(list, s)
}

// MergeEnvironment puts layers of NAME=value assignments over each other: a name keeps the place of its first and the value of its last assignment. What
// is no assignment is left out.
func MergeEnvironment(layers ...[]string) []string {
	n := 0
	for _, l := range layers {
		n += len(l)
	}
	out := make([]string, 0, n)
	at := make(map[string]int, n)
	for _, l := range layers {
		for _, s := range l {
			name, _, ok := strings.Cut(s, "=")
			if !ok || name == "" {
				continue
			}
			if i, ok := at[name]; ok {
				out[i] = s
				continue
			}
			at[name] = len(out)
			out = append(out, s)
		}
	}
	return out
}
