package value

import (
	"errors"
	"strconv"
)

// Causes every error of this package wraps one of.
var (
	ErrInvalid = errors.New("invalid")
	ErrRange   = errors.New("out of range")
)

// Error says which grammar refused which text.
type Error struct {
	Noun   string // the grammar, "time span"
	Text   string // the offending text, at most 80 bytes of it
	Detail string // more than the cause says, may be empty
	Err    error  // ErrInvalid or ErrRange
}

const errorTextMax = 80

func (e *Error) Error() string {
	s := e.Noun + " " + strconv.Quote(e.Text) + ": "
	if e.Detail != "" {
		return s + e.Detail
	}
	return s + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

func newError(noun, text, detail string, cause error) error {
	if len(text) > errorTextMax {
		text = text[:errorTextMax]
	}
	return &Error{Noun: noun, Text: text, Detail: detail, Err: cause}
}

func invalid(noun, text string) error { return newError(noun, text, "", ErrInvalid) }

func invalidf(noun, text, detail string) error { return newError(noun, text, detail, ErrInvalid) }

func outOfRange(noun, text string) error { return newError(noun, text, "", ErrRange) }
