package gptauto

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-init/muster/pkg/generator/output"
)

// image makes a disk with a partition of 64 KiB for each type, and what begins it at given offsets.
func image(list []Partition, content map[int]map[int]string) []byte {
	const first = 64 << 10
	disk := make([]byte, first*(len(list)+2))
	le := binary.LittleEndian
	entries := disk[1024 : 1024+128*128]
	for i, p := range list {
		e := entries[i*128:]
		copy(e, bytesOf(p.Type))
		copy(e[16:], bytesOf(p.UUID))
		le.PutUint64(e[32:], uint64(first*(i+1)/512))
		le.PutUint64(e[40:], uint64(first*(i+2)/512-1))
		le.PutUint64(e[48:], p.Flags)
		for offset, text := range content[i] {
			copy(disk[first*(i+1)+offset:], text)
		}
	}
	h := disk[512 : 512+headerBytes]
	copy(h, "EFI PART")
	le.PutUint32(h[8:], 0x10000)
	le.PutUint32(h[12:], headerBytes)
	le.PutUint64(h[72:], 2)
	le.PutUint32(h[80:], 128)
	le.PutUint32(h[84:], 128)
	le.PutUint32(h[88:], crc32.ChecksumIEEE(entries))
	le.PutUint32(h[16:], crc32.ChecksumIEEE(h))
	return disk
}

func bytesOf(guid string) []byte {
	b, _ := hex.DecodeString(strings.ReplaceAll(guid, "-", ""))
	b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7] = b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6]
	return b
}

func reader(disk []byte, base uint64) func(uint64, int) ([]byte, error) {
	return func(offset uint64, n int) ([]byte, error) {
		offset += base
		if offset > uint64(len(disk)) || uint64(n) > uint64(len(disk))-offset {
			return nil, errors.New("behind the end")
		}
		return disk[offset : offset+uint64(n)], nil
	}
}

const rootX86 = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"

// observed is the disk that systemd 257 was watched on; see want below.
func observed() []Partition {
	var list []Partition
	for i, kind := range []string{rootX86, typeHome, typeSrv, typeVar, typeTmp, typeSwap, typeESP, typeXbootldr} {
		list = append(list, Partition{Type: kind, UUID: "00000000-0000-0000-0000-00000000000" + string(rune('1'+i)), Flags: flagGrow})
	}
	list[2].Flags |= flagReadOnly
	list[4].Flags |= flagNoAuto
	return list
}

func TestObserved(t *testing.T) {
	fat := map[int]string{54: "FAT16   ", 510: "\x55\xaa"}
	ext4 := map[int]string{1024 + 56: "\x53\xef", 1024 + 0x60: "\x40"}
	disk := image(observed(), map[int]map[int]string{0: ext4, 1: {0: "LUKS\xba\xbe"}, 2: ext4, 3: ext4, 4: ext4, 5: {4086: "SWAPSPACE2"}, 6: fat, 7: fat})
	list, err := ReadTable(reader(disk, 0), 512)
	if err != nil || len(list) != 8 {
		t.Fatal(list, err)
	}
	for i := range list {
		list[i].FSType = Probe(reader(disk, list[i].Start))
		list[i].Node = "/dev/disk/by-diskseq/13-part" + string(rune('1'+i))
	}
	no := func(string) bool { return false }
	yes := func(string) bool { return true }
	in := Input{Disk: list, RootType: rootX86, MachineID: "0123456789abcdef0123456789abcdef", Cryptsetup: "/usr/bin/systemd-cryptsetup", Taken: no, Exists: yes, HasFsck: yes}
	tree := Generate(in)
	if diff := cmp.Diff(strings.Split(strings.TrimSpace(want), "\n"), settings(tree)); diff != "" {
		t.Error("systemd - muster +\n" + diff)
	}
	if m := tree.Messages(); len(m) != 1 || !strings.Contains(m[0], "another installation") {
		t.Error(m)
	}

	// What fstab names, or what is used already, is left alone; one swap in fstab means that the administrator chose.
	in.Fstab = "/dev/x /home ext4 defaults 0 0\n/dev/y none swap sw 0 0\n# /srv\n"
	in.Taken = func(path string) bool { return path == "/boot" }
	got := strings.Join(settings(Generate(in)), "\n")
	for _, gone := range []string{"home", "swap", "boot.mount"} {
		if strings.Contains(got, gone) {
			t.Errorf("%s is made all the same:\n%s", gone, got)
		}
	}
	if !strings.Contains(got, "srv.mount") || !strings.Contains(got, "efi.mount") {
		t.Error("others are missing:\n" + got)
	}
	in.Fstab, in.EFI, in.LoaderUUID = "", true, "00000000-0000-0000-0000-00000000000f"
	if got := strings.Join(settings(Generate(in)), "\n"); strings.Contains(got, "efi.mount") {
		t.Error("an ESP that the machine was not booted from is mounted")
	}
	for _, line := range []string{"systemd.gpt_auto=no", "systemd.gpt-auto=0"} {
		in.CommandLine = line
		if got := settings(Generate(in)); len(got) > 0 {
			t.Errorf("%s: %q", line, got)
		}
	}
}

// TestInitrd is what systemd 257 was seen to write with root=gpt-auto rw on an EFI machine.
func TestInitrd(t *testing.T) {
	in := Input{CommandLine: "root=gpt-auto rw", Initrd: true, EFI: true, LoaderUUID: "x", Cryptsetup: "/cs", Fsck: "/fsck", HasFsck: func(string) bool { return true }}
	got := strings.Join(settings(Generate(in)), "\n")
	for _, want := range []string{
		"sysroot.mount What=/dev/gpt-auto-root", "sysroot.mount Options=rw,nodev,suid,exec", "sysroot.mount Before=initrd-root-fs.target",
		`sysroot.mount After=blockdev@dev-gpt\x2dauto\x2droot.target`, "initrd-root-fs.target.requires/sysroot.mount -> ../sysroot.mount",
		`initrd-root-device.target.d/50-root-device.conf Requires=dev-gpt\x2dauto\x2droot.device`,
		`dev-gpt\x2dauto\x2droot\x2dluks.device.wants/systemd-cryptsetup@root.service -> ../systemd-cryptsetup@root.service`,
		"dev-mapper-root.device.d/50-job-timeout.conf JobTimeoutSec=infinity", "sysroot.mount Requires=systemd-fsck-root.service",
		"systemd-fsck-root.service ExecStart=/fsck /dev/gpt-auto-root", `systemd-fsck-root.service BindsTo=dev-gpt\x2dauto\x2droot.device`,
	} {
		if !strings.Contains(got+"\n", want+"\n") {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if strings.Contains(got, "cryptsetup.target.requires") {
		t.Error("the root need not be encrypted, so nothing may require that it is unlocked")
	}
	for _, line := range []string{"root=/dev/sda1", "root=gpt-auto rd.systemd.gpt_auto=0", "roothash=aa"} {
		in.CommandLine = line
		if got := settings(Generate(in)); len(got) > 0 {
			t.Errorf("%s: %q", line, got)
		}
	}
}

func TestVarUUID(t *testing.T) {
	if got := varUUID("0123456789abcdef0123456789abcdef"); got != "c0c46eff-e386-4746-a2bd-0962cd326ea2" {
		t.Error(got)
	}
	if got := varUUID("uninitialized"); got != "" {
		t.Error(got)
	}
}

func TestDamagedTables(t *testing.T) {
	good := image(observed(), nil)
	for name, damage := range map[string]func(d []byte){
		"magic": func(d []byte) { d[512] = 'X' }, "header": func(d []byte) { d[512+80] = 1 }, "entries": func(d []byte) { d[1024+5]++ },
		"short": func(d []byte) { clear(d[512:]) },
	} {
		d := append([]byte(nil), good...)
		damage(d)
		if list, err := ReadTable(reader(d, 0), 512); err == nil || list != nil {
			t.Errorf("%s: %v, %v", name, list, err)
		}
	}
	if _, err := ReadTable(reader(good[:700], 0), 512); err == nil {
		t.Error("a disk that ends in its table was read")
	}
}

func FuzzReadTable(f *testing.F) {
	f.Add(image(observed(), nil)[:20000])
	f.Add([]byte("x"))
	f.Fuzz(func(t *testing.T, disk []byte) {
		list, err := ReadTable(reader(disk, 0), 512)
		if err != nil && list != nil {
			t.Error("both a table and an error")
		}
		Probe(reader(disk, 0))
	})
}

// settings lists what a tree holds, without what is for people.
func settings(tree *output.Tree) []string {
	var list []string
	for _, f := range tree.Files() {
		switch {
		case f.Shipped != "":
			list = append(list, f.Path+" -> "+f.Shipped)
		case f.Target != "":
			list = append(list, f.Path+" -> "+f.Target)
		}
		for line := range strings.Lines(f.Text) {
			line = strings.TrimSpace(line)
			if line != "" && line[0] != '#' && line[0] != '[' && !strings.HasPrefix(line, "Description=") {
				list = append(list, f.Path+" "+line)
			}
		}
	}
	return list
}

// want is what systemd 257 wrote for this disk.
const want = `
-.mount.wants/systemd-growfs-root.service -> systemd-growfs-root.service
boot.automount Where=/boot
boot.automount TimeoutIdleSec=120
boot.mount Requires=systemd-fsck@dev-disk-by\x2ddiskseq-13\x2dpart8.service
boot.mount After=systemd-fsck@dev-disk-by\x2ddiskseq-13\x2dpart8.service
boot.mount After=blockdev@dev-disk-by\x2ddiskseq-13\x2dpart8.target
boot.mount What=/dev/disk/by-diskseq/13-part8
boot.mount Where=/boot
boot.mount Type=vfat
boot.mount Options=umask=0077,rw,nodev,nosuid,noexec,nosymfollow
cryptsetup.target.requires/systemd-cryptsetup@home.service -> ../systemd-cryptsetup@home.service
dev-disk-by\x2ddiskseq-13\x2dpart2.device.wants/systemd-cryptsetup@home.service -> ../systemd-cryptsetup@home.service
dev-disk-by\x2ddiskseq-13\x2dpart6.swap After=blockdev@dev-disk-by\x2ddiskseq-13\x2dpart6.target
dev-disk-by\x2ddiskseq-13\x2dpart6.swap What=/dev/disk/by-diskseq/13-part6
dev-mapper-home.device.d/50-job-timeout.conf JobTimeoutSec=infinity
dev-mapper-home.device.requires/systemd-cryptsetup@home.service -> ../systemd-cryptsetup@home.service
efi.automount Where=/efi
efi.automount TimeoutIdleSec=120
efi.mount Requires=systemd-fsck@dev-disk-by\x2ddiskseq-13\x2dpart7.service
efi.mount After=systemd-fsck@dev-disk-by\x2ddiskseq-13\x2dpart7.service
efi.mount After=blockdev@dev-disk-by\x2ddiskseq-13\x2dpart7.target
efi.mount What=/dev/disk/by-diskseq/13-part7
efi.mount Where=/efi
efi.mount Type=vfat
efi.mount Options=umask=0077,rw,nodev,nosuid,noexec,nosymfollow
home.mount Before=local-fs.target
home.mount Requires=systemd-fsck@dev-mapper-home.service
home.mount After=systemd-fsck@dev-mapper-home.service
home.mount After=blockdev@dev-mapper-home.target
home.mount What=/dev/mapper/home
home.mount Where=/home
home.mount Options=rw,nodev,suid,exec
home.mount.wants/systemd-growfs@home.service -> systemd-growfs@.service
local-fs.target.d/50-order-systemd-growfs-root.service.conf After=systemd-growfs-root.service
local-fs.target.d/50-order-systemd-growfs@home.service.conf After=systemd-growfs@home.service
local-fs.target.requires/home.mount -> ../home.mount
local-fs.target.requires/srv.mount -> ../srv.mount
local-fs.target.wants/boot.automount -> ../boot.automount
local-fs.target.wants/efi.automount -> ../efi.automount
local-fs.target.wants/systemd-remount-fs.service -> systemd-remount-fs.service
srv.mount Before=local-fs.target
srv.mount Requires=systemd-fsck@dev-disk-by\x2ddiskseq-13\x2dpart3.service
srv.mount After=systemd-fsck@dev-disk-by\x2ddiskseq-13\x2dpart3.service
srv.mount After=blockdev@dev-disk-by\x2ddiskseq-13\x2dpart3.target
srv.mount What=/dev/disk/by-diskseq/13-part3
srv.mount Where=/srv
srv.mount Type=ext4
srv.mount Options=norecovery,discard,ro,nodev,suid,exec
swap.target.wants/dev-disk-by\x2ddiskseq-13\x2dpart6.swap -> ../dev-disk-by\x2ddiskseq-13\x2dpart6.swap
systemd-cryptsetup@home.service DefaultDependencies=no
systemd-cryptsetup@home.service IgnoreOnIsolate=true
systemd-cryptsetup@home.service After=cryptsetup-pre.target systemd-udevd-kernel.socket systemd-tpm2-setup-early.service
systemd-cryptsetup@home.service Before=blockdev@dev-mapper-%i.target
systemd-cryptsetup@home.service Wants=blockdev@dev-mapper-%i.target
systemd-cryptsetup@home.service Conflicts=umount.target
systemd-cryptsetup@home.service Before=umount.target cryptsetup.target
systemd-cryptsetup@home.service BindsTo=dev-disk-by\x2ddiskseq-13\x2dpart2.device
systemd-cryptsetup@home.service After=dev-disk-by\x2ddiskseq-13\x2dpart2.device
systemd-cryptsetup@home.service Type=oneshot
systemd-cryptsetup@home.service RemainAfterExit=yes
systemd-cryptsetup@home.service TimeoutSec=infinity
systemd-cryptsetup@home.service KeyringMode=shared
systemd-cryptsetup@home.service OOMScoreAdjust=500
systemd-cryptsetup@home.service ImportCredential=cryptsetup.*
systemd-cryptsetup@home.service ExecStart=/usr/bin/systemd-cryptsetup attach home /dev/disk/by-diskseq/13-part2 "" ""
systemd-cryptsetup@home.service ExecStop=/usr/bin/systemd-cryptsetup detach home
systemd-remount-fs.service.d/50-remount-rw.conf Environment=SYSTEMD_REMOUNT_ROOT_RW=1
`
