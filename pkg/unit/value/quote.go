package value

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// WordFlags change how text is split into words.
type WordFlags uint16

// Flags of WordReader.
const (
	// WordUnquote removes quotes around words and parts of words.
	WordUnquote WordFlags = 1 << iota
	// WordKeepQuote heeds quotes but leaves them in the word.
	WordKeepQuote
	// WordCUnescape decodes C escapes. Without it a backslash makes the next
	// character stand for itself.
	WordCUnescape
	// WordUnescapeRelax keeps unknown escapes as they are, backslash included.
	WordUnescapeRelax
	// WordUnescapeSeparators lets a backslash protect separators and itself
	// where WordCUnescape would refuse them.
	WordUnescapeSeparators
	// WordRelax accepts a quote or an escape that is not finished at the end.
	WordRelax
	// WordRetainEscape gives backslashes no meaning.
	WordRetainEscape
	// WordDontCoalesce makes every separator count, so words can be empty.
	WordDontCoalesce
)

// ErrQuote is the cause when quotes do not end or an escape is unknown; it
// wraps ErrInvalid.
var ErrQuote = fmt.Errorf("broken quoting: %w", ErrInvalid)

func quoteError(text, detail string) error { return newError("word", text, detail, ErrQuote) }

// WordReader cuts words off the front of Rest, by the rules of unit files
// (systemd.syntax(7), Quoting).
type WordReader struct {
	Rest       string
	Separators string // white space when empty
	Flags      WordFlags
	done       bool
}

// Next is the next word; ok is false after the last. After an error Rest is
// where it was before the call.
func (r *WordReader) Next() (word string, ok bool, err error) {
	if r.done {
		return "", false, nil
	}
	s := wordScanner{text: r.Rest, separators: r.Separators, flags: r.Flags}
	if s.separators == "" {
		s.separators = whitespace
	}
	ok, err = s.scan()
	if err != nil {
		return "", false, err
	}
	r.Rest, r.done = s.text[s.at:], s.ended
	return string(s.word), ok, nil
}

// ExtractWord cuts the first word off s, separators coalesced. ok is false when
// s holds none.
func ExtractWord(s, separators string, flags WordFlags) (word, rest string, ok bool, err error) {
	r := WordReader{Rest: s, Separators: separators, Flags: flags}
	word, ok, err = r.Next()
	if err != nil {
		return "", s, false, err
	}
	return word, r.Rest, ok, nil
}

// SplitWords is all words of s.
func SplitWords(s, separators string, flags WordFlags) ([]string, error) {
	r := WordReader{Rest: s, Separators: separators, Flags: flags}
	var words []string
	for {
		word, ok, err := r.Next()
		if err != nil {
			return words, err
		}
		if !ok {
			return words, nil
		}
		words = append(words, word)
	}
}

// nextWordLenient is Next with a second try that keeps unknown escapes, as unit
// files are read: the first error then comes back as a warning.
func (r *WordReader) nextWordLenient() (word string, ok bool, warning, err error) {
	if word, ok, err = r.Next(); err == nil || r.Flags&WordCUnescape == 0 {
		return word, ok, nil, err
	}
	warning = err
	relaxed := *r
	relaxed.Flags |= WordUnescapeRelax
	if word, ok, err = relaxed.Next(); err != nil {
		return "", false, nil, err
	}
	relaxed.Flags = r.Flags
	*r = relaxed
	return word, ok, warning, nil
}

// wordScanner holds the state of cutting one word.
type wordScanner struct {
	text       string
	separators string
	flags      WordFlags
	at         int
	word       []byte
	ended      bool // the text was used up
}

func (s *wordScanner) has(f WordFlags) bool { return s.flags&f != 0 }

func (s *wordScanner) separator(c byte) bool { return strings.IndexByte(s.separators, c) >= 0 }

func (s *wordScanner) scan() (bool, error) {
	if !s.has(WordDontCoalesce) {
		s.skipSeparators()
		if s.at == len(s.text) {
			s.ended = true
			return false, nil
		}
	}
	quote := byte(0)
	for s.at < len(s.text) {
		c := s.text[s.at]
		switch {
		case c == '\\' && !s.has(WordRetainEscape):
			s.at++
			if err := s.escape(quote); err != nil {
				return false, err
			}
			continue
		case quote != 0 && c == quote:
			quote = 0
			if s.has(WordKeepQuote) {
				s.word = append(s.word, c)
			}
		case quote == 0 && (c == '\'' || c == '"') && s.has(WordUnquote|WordKeepQuote):
			quote = c
			if s.has(WordKeepQuote) {
				s.word = append(s.word, c)
			}
		case quote == 0 && s.separator(c):
			s.at++
			if !s.has(WordDontCoalesce) {
				s.skipSeparators()
			}
			return true, nil
		default:
			s.word = append(s.word, c)
		}
		s.at++
	}
	if quote != 0 && !s.has(WordRelax) {
		return false, quoteError(s.text, "quote is not closed")
	}
	s.ended = true
	return true, nil
}

func (s *wordScanner) skipSeparators() {
	for s.at < len(s.text) && s.separator(s.text[s.at]) {
		s.at++
	}
}

// escape deals with what follows a backslash.
func (s *wordScanner) escape(quote byte) error {
	if s.at == len(s.text) {
		switch {
		case s.has(WordUnescapeRelax) && (quote == 0 || s.has(WordRelax)):
			s.word = append(s.word, '\\')
			return nil
		case s.has(WordRelax):
			return nil
		}
		return quoteError(s.text, "backslash at the end")
	}
	c := s.text[s.at]
	if !s.has(WordCUnescape | WordUnescapeSeparators) {
		s.word = append(s.word, c)
		s.at++
		return nil
	}
	if s.has(WordCUnescape) {
		if r, isByte, n := decodeEscape(s.text[s.at:]); n > 0 {
			s.word = appendEscaped(s.word, r, isByte)
			s.at += n
			return nil
		}
	}
	switch {
	case s.has(WordUnescapeSeparators) && (s.separator(c) || c == '\\'):
		s.word = append(s.word, c)
	case s.has(WordUnescapeRelax):
		s.word = append(s.word, '\\', c)
	default:
		return quoteError(s.text, "unknown escape sequence")
	}
	s.at++
	return nil
}

func appendEscaped(b []byte, r rune, isByte bool) []byte {
	if isByte {
		return append(b, byte(r))
	}
	if r >= 0xd800 && r < 0xe000 {
		// Half of a surrogate pair is not a character; systemd encodes it all
		// the same.
		return append(b, 0xe0|byte(r>>12), 0x80|byte(r>>6)&0x3f, 0x80|byte(r)&0x3f)
	}
	return utf8.AppendRune(b, r)
}
