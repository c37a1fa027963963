package journal

import (
	"strconv"
	"unicode/utf8"
)

// maxKmsg is the length in bytes of the longest record every kernel takes in
// one write to /dev/kmsg; Linux 6.1 refuses more than 992.
const maxKmsg = 960

// AppendKmsg appends records for /dev/kmsg to dst, one per line of text:
//
//	<30>systemd[1]: Reached target …
//
// Each must be written by a write(2) of its own; record is called with each.
// Control characters, which the kernel would escape, are left to it. A line
// that is too long is cut at a character.
func AppendKmsg(buf []byte, facility, priority int, identifier string, pid int, text string, record func([]byte)) []byte {
	for len(text) > 0 {
		line := text
		for i := 0; i < len(text); i++ {
			if text[i] == '\n' {
				line = text[:i]
				break
			}
		}
		if len(line) < len(text) {
			text = text[len(line)+1:]
		} else {
			text = ""
		}
		if line == "" {
			continue
		}
		buf = appendRecord(buf[:0], facility, priority, identifier, pid, line)
		record(buf)
	}
	return buf
}

func appendRecord(buf []byte, facility, priority int, identifier string, pid int, line string) []byte {
	buf = append(buf, '<')
	buf = strconv.AppendInt(buf, int64(facility<<3|priority&7), 10)
	buf = append(buf, '>')
	buf = append(buf, clipTo(identifier, 64)...)
	if pid > 0 {
		buf = append(buf, '[')
		buf = strconv.AppendInt(buf, int64(pid), 10)
		buf = append(buf, ']')
	}
	buf = append(buf, ": "...)
	buf = append(buf, clipTo(line, maxKmsg-1-len(buf))...)
	return append(buf, '\n')
}

// clipTo cuts s to at most n bytes, not inside a character.
func clipTo(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for cut := n; cut > n-utf8.UTFMax && cut > 0; cut-- {
		if utf8.RuneStart(s[cut]) {
			return s[:cut]
		}
	}
	return s[:n]
}
