package facts

import (
	"os"
	"strings"
)

// KernelCommandLine is the text of the kernel command line as the service
// manager sees it: $SYSTEMD_PROC_CMDLINE if that is set; in a container the
// arguments of process 1, since /proc/cmdline is the host's; else
// /proc/cmdline.
func KernelCommandLine(root string, inContainer bool) (string, error) {
	if isReal(root) {
		if text, ok := os.LookupEnv("SYSTEMD_PROC_CMDLINE"); ok {
			return text, nil
		}
	}
	if !inContainer {
		return read(root, "proc/cmdline")
	}
	text, err := read(root, "proc/1/cmdline")
	if err != nil {
		return "", err
	}
	var words []string
	for i, arg := range strings.Split(strings.TrimSuffix(text, "\x00"), "\x00") {
		if i > 0 { // not the program itself
			words = append(words, quoteWord(arg))
		}
	}
	return strings.Join(words, " "), nil
}

func quoteWord(s string) string {
	if s != "" && !strings.ContainsAny(s, " \t\n\r'\"\\") {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// SplitCommandLine splits a kernel command line into words: quotes of both
// kinds group and vanish, a backslash takes the next character as it is, an
// open quote ends at the end of the text (observed: systemd 252).
func SplitCommandLine(text string) []string {
	var words []string
	var word strings.Builder
	inWord := false
	quote := byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\' && i+1 < len(text):
			i++
			word.WriteByte(text[i])
			inWord = true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteByte(c)
		case c == '"' || c == '\'':
			quote, inWord = c, true
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words
}

// CommandLineHas tells whether the words have argument: exactly if it has an
// "=", otherwise also as a key with any value.
func CommandLineHas(words []string, argument string) bool {
	for _, w := range words {
		if w == argument {
			return true
		}
		if !strings.Contains(argument, "=") && strings.HasPrefix(w, argument+"=") {
			return true
		}
	}
	return false
}

// CommandLineValue is the value of the last key=value word; ok also for a bare
// key, with value "". Dashes and underscores in keys are the same.
func CommandLineValue(words []string, key string) (value string, ok bool) {
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		if strings.ReplaceAll(k, "-", "_") == strings.ReplaceAll(key, "-", "_") {
			value, ok = v, true
		}
	}
	return value, ok
}
