package sandbox

import (
	"bufio"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// userdb is a server of our own for the calls the executor makes.
func userdb(t *testing.T, reply func(call string) string) {
	t.Helper()
	old := userdbSocket
	userdbSocket = filepath.Join(t.TempDir(), "userdb")
	l, err := net.Listen("unix", userdbSocket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); userdbSocket = old })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			call, err := bufio.NewReader(c).ReadString(0)
			if err == nil {
				_, _ = c.Write([]byte(reply(strings.TrimSuffix(call, "\x00")) + "\x00"))
			}
			c.Close()
		}
	}()
}

func TestUserdb(t *testing.T) {
	var calls []string
	userdb(t, func(call string) string {
		calls = append(calls, call)
		switch {
		case strings.Contains(call, "GetGroupRecord"):
			return `{"parameters":{"record":{"groupName":"team","gid":4711},"incomplete":false}}`
		case strings.Contains(call, "lennard"):
			return `{"parameters":{"record":{"userName":"lennard","uid":60101,"realName":"L \"x\"","homeDirectory":"\/home\/lennard","shell":"/bin/zsh","disposition":"regular"},"incomplete":false}}`
		}
		return `{"error":"io.systemd.UserDatabase.NoRecordFound","parameters":{}}`
	})
	e, ok, err := userdbUser("lennard")
	if want := (userEntry{name: "lennard", home: "/home/lennard", shell: "/bin/zsh", uid: 60101, gid: 60101}); err != nil || !ok || e != want {
		t.Errorf("%+v, %v, %v", e, ok, err)
	}
	if gid, ok, err := userdbGroup("team"); err != nil || !ok || gid != 4711 {
		t.Errorf("%d, %v, %v", gid, ok, err)
	}
	if _, ok, err := userdbUser("60999"); ok || err == nil {
		t.Errorf("found what is not there: %v", err)
	}
	want := `{"method":"io.systemd.UserDatabase.GetUserRecord","parameters":{"uid":60999,"service":"io.systemd.Multiplexer"}}`
	if got := calls[len(calls)-1]; got != want {
		t.Errorf("call %s", got)
	}
	if e, err := lookupUser("lennard"); err != nil || e.uid != 60101 {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestUserdbGarbage(t *testing.T) {
	for _, text := range []string{"", "{", `{"userName":`, `{"userName":"x`, `{"userName":"x","uid":-1}`, `{"userName":"x","uid":99999999999}`, `"userName"`} {
		userdb(t, func(string) string { return text })
		if e, ok, _ := userdbUser("x"); ok {
			t.Errorf("%q gives %+v", text, e)
		}
	}
}

func TestPasswd(t *testing.T) {
	text := "root:x:0:0:root:/root:/bin/bash\nbad\nalso:x:y:1::/:/\nweb:x:33:34::/var/www:/usr/sbin/nologin\n"
	if e, ok := findUser(text, "web"); !ok || e != (userEntry{"web", "/var/www", "/usr/sbin/nologin", 33, 34}) {
		t.Errorf("%+v %v", e, ok)
	}
	if e, ok := findUser(text, "33"); !ok || e.name != "web" {
		t.Errorf("%+v %v", e, ok)
	}
	if _, ok := findUser(text, "also"); ok {
		t.Error("an entry without a number")
	}
	if gid, ok := findGroup("a:x:1:\nb:x:2:web,x\n", "b"); !ok || gid != 2 {
		t.Error(gid, ok)
	}
}
