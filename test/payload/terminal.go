package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// answer is a person at a terminal. LINK,LOG,ANSWERS: a new terminal can be opened at LINK, what is written to it is appended to LOG, and each question,
// which is text that ends with "] ", is answered by one character. The file ANSWERS has lines "TEXT=CHARACTERS": questions with TEXT in them, and what
// was written since the last answer, take one after the other. All others get y.
func answer(argument string) error {
	parts := strings.Split(argument, ",")
	if len(parts) != 3 {
		return fmt.Errorf("want LINK,LOG,ANSWERS")
	}
	master, slave, err := openTerminal()
	if err != nil {
		return err
	}
	// As long as somebody has the other side open, reading here is no error.
	held, err := unix.Open(slave, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(held)
	rules, err := readRules(parts[2])
	if err != nil {
		return err
	}
	if err := os.Symlink(slave, parts[0]); err != nil {
		return err
	}
	log, err := os.OpenFile(parts[1], os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return err
	}
	defer log.Close()
	text, buf := "", make([]byte, 4096)
	for {
		n, err := master.Read(buf)
		if err != nil {
			return err
		}
		if _, err := log.Write(buf[:n]); err != nil {
			return err
		}
		if text += string(buf[:n]); !strings.HasSuffix(text, "] ") {
			continue
		}
		if _, err := master.Write([]byte{rules.next(text)}); err != nil {
			return err
		}
		text = ""
	}
}

// answers are the rules in their order, each with what is left of it.
type answers []struct{ text, left string }

func readRules(path string) (answers, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out answers
	for line := range strings.Lines(string(data)) {
		text, left, _ := strings.Cut(strings.TrimSpace(line), "=")
		out = append(out, struct{ text, left string }{text, left})
	}
	return out, nil
}

func (a answers) next(question string) byte {
	for i := range a {
		if r := &a[i]; r.left != "" && strings.Contains(question, r.text) {
			c := r.left[0]
			r.left = r.left[1:]
			return c
		}
	}
	return 'y'
}

func openTerminal() (master *os.File, slave string, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, "", err
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, "", err
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, "", err
	}
	return os.NewFile(uintptr(fd), "terminal"), "/dev/pts/" + strconv.Itoa(number), nil
}
