package value

import "strings"

// ParseEnum reads one of a set of words, as they are written.
func ParseEnum[T ~string](noun, s string, values ...T) (T, error) {
	for _, v := range values {
		if string(v) == s {
			return v, nil
		}
	}
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = string(v)
	}
	return "", invalidf(noun, s, "not one of "+strings.Join(words, ", "))
}

// ParseBoolOrEnum reads a boolean, which gives no or yes, or one of a set of
// words.
func ParseBoolOrEnum[T ~string](noun, s string, no, yes T, values ...T) (T, error) {
	if b, err := ParseBool(s); err == nil {
		if b {
			return yes, nil
		}
		return no, nil
	}
	return ParseEnum(noun, s, values...)
}
