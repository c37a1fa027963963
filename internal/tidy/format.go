package tidy

import "go/format"

// Format finds files that gofmt would change.
func (t *Tree) Format() []Finding {
	var out []Finding
	for _, f := range t.Files {
		text, err := format.Source([]byte(f.Text))
		if err != nil || string(text) != f.Text {
			out = append(out, Finding{"format", f.Path, "gofmt -w " + f.Path})
		}
	}
	return out
}
