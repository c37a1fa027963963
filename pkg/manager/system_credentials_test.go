package manager

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCredentialsFrom(t *testing.T) {
	list, problems := credentialsFrom([]string{
		"quiet", "systemd.set_credential=a:plain:with colon", "systemd.set_credential_binary=b:aGVsbG8=", `"systemd.set_credential=c:quoted"`,
		"systemd.set_credential=nocolon", "systemd.set_credential=../x:y", "systemd.set_credential_binary=d:!!",
	})
	want := []received{{"a", []byte("plain:with colon")}, {"b", []byte("hello")}, {"c", []byte("quoted")}}
	if len(problems) != 3 || len(list) != len(want) {
		t.Fatalf("%v, problems %v", list, problems)
	}
	for i, w := range want {
		if list[i].name != w.name || string(list[i].data) != string(w.data) {
			t.Errorf("%q %q, want %q %q", list[i].name, list[i].data, w.name, w.data)
		}
	}
}

func TestSMBIOSCredentials(t *testing.T) {
	raw := append([]byte{11, 5, 0, 0, 3}, "io.systemd.credential:a=x=y\x00other:b=c\x00io.systemd.credential.binary:d=aGk=\x00\x00"...)
	list := smbiosCredentials(raw)
	if len(list) != 2 || list[0].name != "a" || string(list[0].data) != "x=y" || list[1].name != "d" || string(list[1].data) != "hi" {
		t.Errorf("%v", list)
	}
	for n := range raw {
		smbiosCredentials(raw[:n]) // cut anywhere, it must not panic
	}
}

func TestInitrdCredentials(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "@initrd")
	if list := initrdCredentials(dir); len(list) != 0 {
		t.Errorf("%v out of nothing", list)
	}
	if err := os.MkdirAll(filepath.Join(dir, "directory"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a.cred"), []byte("of the initrd"), 0o400); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	list := initrdCredentials(dir)
	if len(list) != 1 || list[0].name != "a.cred" || string(list[0].data) != "of the initrd" {
		t.Errorf("%v", list)
	}
	if _, err := os.Lstat(filepath.Join(dir, "a.cred")); err == nil {
		t.Error("it is in two places")
	}
}
