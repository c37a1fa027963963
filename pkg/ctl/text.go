package ctl

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Width of text on a terminal: combining marks take no cell, East Asian wide characters and most pictographs two.

func runeWidth(r rune) int {
	switch {
	case r == 0 || unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case r >= 0x1100 && (r <= 0x115f || r >= 0x2e80 && r <= 0xa4cf && r != 0x303f || r >= 0xac00 && r <= 0xd7a3 ||
		r >= 0xf900 && r <= 0xfaff || r >= 0xfe30 && r <= 0xfe6f || r >= 0xff00 && r <= 0xff60 || r >= 0xffe0 && r <= 0xffe6 ||
		r >= 0x1f300 && r <= 0x1f64f || r >= 0x1f900 && r <= 0x1f9ff || r >= 0x20000 && r <= 0x3fffd):
		return 2
	}
	return 1
}

func textWidth(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

// ellipsize cuts s to width cells with … in it, percent of what is kept standing before the …: 100 cuts the end, 0 the beginning.
func ellipsize(s string, width, percent int) string {
	if textWidth(s) <= width {
		return s
	}
	if width <= 0 {
		return ""
	}
	runes := []rune(s)
	head := (width*percent + 50) / 100
	if head > width-1 {
		head = width - 1
	}
	tail := width - 1 - head
	var front, back strings.Builder
	used := 0
	for _, r := range runes {
		if used += runeWidth(r); used > head {
			break
		}
		front.WriteRune(r)
	}
	at, used := len(runes), 0
	for at > 0 && used+runeWidth(runes[at-1]) <= tail {
		at--
		used += runeWidth(runes[at])
	}
	back.WriteString(string(runes[at:]))
	ellipsis := "…"
	return front.String() + ellipsis + back.String()
}

// oneLine is the text up to its first line end.
func oneLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

// validText replaces what is not UTF-8, so that widths can be told.
func validText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "�")
}

func spaces(n int) string {
	if n <= 0 {
		return ""
	}
	return strings.Repeat(" ", n)
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// nearest is the closest of the words to s, or "" when none is near.
func nearest(s string, words []string) string {
	best, distance := "", 1<<30
	for _, w := range words {
		if d := editDistance(s, w); d < distance {
			best, distance = w, d
		}
	}
	if distance > 5 {
		return ""
	}
	return best
}

// editDistance is Levenshtein's, over bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		last := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			last, row[j] = row[j], min(row[j]+1, row[j-1]+1, last+cost)
		}
	}
	return row[len(b)]
}
