package unit

import (
	"strings"

	"github.com/muster-init/muster/pkg/unit/value"
)

var syslogLevels = map[string]int32{
	"emerg": 0, "alert": 1, "crit": 2, "err": 3, "warning": 4, "notice": 5, "info": 6, "debug": 7,
}

var syslogFacilities = map[string]int32{
	"kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "syslog": 5, "lpr": 6, "news": 7, "uucp": 8, "cron": 9,
	"authpriv": 10, "ftp": 11, "local0": 16, "local1": 17, "local2": 18, "local3": 19, "local4": 20, "local5": 21,
	"local6": 22, "local7": 23,
}

var (
	kLogLevel    = kCodeEnum("log level", syslogLevels, false, 0)
	kLogLevelMax = kCodeEnum("log level", syslogLevels, true, -1)
	kLogFacility = kCodeEnum("log facility", syslogFacilities, false, 0)
)

// journalFieldValid is the rule for fields that don't come from the journal
// itself (systemd.journal-fields(7)).
func journalFieldValid(s string) bool {
	const longest = 64
	if s == "" || len(s) > longest || s[0] == '_' || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// kLogFields is LogExtraFields=.
var kLogFields = listKind("list of FIELD=value", func(c *Context, text string) ([]string, error) {
	return words(c, text, value.WordUnquote|value.WordCUnescape, func(s string) (string, error) {
		name, _, ok := strings.Cut(s, "=")
		if !ok || !journalFieldValid(name) {
			return "", errText("journal field ", quoted(s), " is not valid")
		}
		return s, nil
	})
}, formatWords, form[[]string]{sig: "aay",
	write: func(w BusWriter, v *[]string) {
		w.BeginArray("ay")
		for _, f := range *v {
			w.Bytes([]byte(f))
		}
		w.EndArray()
	},
	read: func(r BusReader, _ *[]string) ([]string, error) {
		var out []string
		r.BeginArray("ay")
		for r.More() {
			out = append(out, string(r.Bytes()))
		}
		r.EndArray()
		return assignList(out)
	},
})

// kLogPatterns is LogFilterPatterns=. The expression itself is PCRE2, which
// only the journal compiles.
var kLogPatterns = listKind("regular expression, ~ in front denies", func(_ *Context, text string) ([]LogFilterPattern, error) {
	word, deny := strings.CutPrefix(text, "~")
	return []LogFilterPattern{{Deny: deny, Pattern: strings.Clone(word)}}, nil
}, func(list []LogFilterPattern) []string {
	var out []string
	for _, p := range list {
		out = append(out, logPatternText(!p.Deny, p.Pattern))
	}
	return out
}, form[[]LogFilterPattern]{sig: "a(bs)",
	write: func(w BusWriter, v *[]LogFilterPattern) {
		w.BeginArray("(bs)")
		for _, p := range *v {
			w.BeginStruct()
			w.Bool(!p.Deny)
			w.String(p.Pattern)
			w.EndStruct()
		}
		w.EndArray()
	},
	read: func(r BusReader, _ *[]LogFilterPattern) ([]string, error) {
		var out []string
		r.BeginArray("(bs)")
		for r.More() {
			r.BeginStruct()
			allow := r.Bool()
			out = append(out, logPatternText(allow, r.String()))
			r.EndStruct()
		}
		r.EndArray()
		if len(out) == 0 {
			return one("")
		}
		return out, nil
	},
})

func logPatternText(allow bool, pattern string) string {
	if allow {
		return pattern
	}
	return "~" + pattern
}

// logNamespaceValid is the rule for names of journal instances.
func logNamespaceValid(s string) bool {
	const longest = 64 // leaves room for the names of its files
	return len(s) <= longest && value.FilenameIsValid(s) && ValidInstance(s) && value.StringIsSafe(s)
}

var kLogNamespace = kChecked("journal namespace", logNamespaceValid, false)
