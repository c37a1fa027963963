package value

import (
	"strconv"
	"strings"
)

// FileSystemGroup is a set of RestrictFileSystems= (systemd.exec(5)).
type FileSystemGroup struct {
	Name, Doc string
	// Members are its file systems with the numbers by which the kernel knows them (linux/magic.h), "NAME=NUMBER, NUMBER NAME=NUMBER[OTHER]…":
	// OTHER is the name that people know the number by.
	Members string
}

// FileSystemGroups are all of them; the last has everything that is known.
var FileSystemGroups = [...]FileSystemGroup{
	{"@basic-api", "what every system has mounted", "cgroup=0x27e0eb cgroup2=0x63677270 devpts=0x1cd1 devtmpfs=0x1021994[tmpfs] mqueue=0x19800202 proc=0x9fa0 sysfs=0x62656572"},
	{"@anonymous", "file systems behind descriptors only", "anon_inodefs=0x9041934 pipefs=0x50495045 sockfs=0x534f434b"},
	{"@application", "file systems of programs in user space", "autofs=0x187 fuse=0x65735546 overlay=0x794c7630"},
	{"@auxiliary-api", "interfaces of the kernel that few programs need", "binfmt_misc=0x42494e4d configfs=0x62656570 efivarfs=0xde5e81e4 fusectl=0x65735543 hugetlbfs=0x958458f6 rpc_pipefs=0x67596969 securityfs=0x73636673"},
	{"@common-block", "on disks of today", "btrfs=0x9123683e erofs=0xe0f5e1e2 exfat=0x2011bab0 ext4=0xef53 f2fs=0xf2f52010 iso9660=0x9660 ntfs3=0x7366746e squashfs=0x73717368 udf=0x15013346 vfat=0x4d44 xfs=0x58465342"},
	{"@historical-block", "on disks of other times", "ext2=0xef53[ext4] ext3=0xef53[ext4] minix=0x137f, 0x138f, 0x2468, 0x2478, 0x4d5a"},
	{"@network", "from other machines", "afs=0x6b414653, 0x5346414f ceph=0xc36400 cifs=0xff534d42, 0xfe534d42 gfs=0x1161970[gfs2] gfs2=0x1161970 ncp=0x564c[ncpfs] ncpfs=0x564c nfs=0x6969[nfs4] nfs4=0x6969 ocfs2=0x7461636f orangefs=0x20030529 pvfs2=0x20030529[orangefs] smb3=0xff534d42[cifs] smbfs=0x517b"},
	{"@privileged-api", "interfaces of the kernel for administrators", "bpf=0xcafe4a11 debugfs=0x64626720 pstore=0x6165676c tracefs=0x74726163"},
	{"@security", "interfaces of security modules", "apparmorfs=0x5a3c69f0 selinuxfs=0xf97cff8c smackfs=0x43415d53"},
	{"@temporary", "in memory", "ramfs=0x858458f6 tmpfs=0x1021994"},
	{"@known", "all that are known here", "" +
		"apparmorfs=0x5a3c69f0 adfs=0xadf5 affs=0xadff afs=0x6b414653, 0x5346414f anon_inodefs=0x9041934 autofs=0x187 balloon-kvm=0x13661366 " +
		"bcachefs=0xca451a4e bdev=0x62646576 binder=0x6c6f6f70 binfmt_misc=0x42494e4d bpf=0xcafe4a11 btrfs=0x9123683e btrfs_test_fs=0x73727279 " +
		"cpuset=0x27e0eb[cgroup] ceph=0xc36400 cgroup2=0x63677270 cgroup=0x27e0eb cifs=0xff534d42, 0xfe534d42 coda=0x73757245 configfs=0x62656570 " +
		"cramfs=0x28cd3d45 dax=0x64646178 debugfs=0x64626720 devmem=0x454d444d devpts=0x1cd1 devtmpfs=0x1021994[tmpfs] dmabuf=0x444d4142 ecryptfs=0xf15f " +
		"efivarfs=0xde5e81e4 efs=0x414a53 erofs=0xe0f5e1e2 ext2=0xef53[ext4] ext3=0xef53[ext4] ext4=0xef53 exfat=0x2011bab0 f2fs=0xf2f52010 " +
		"fuseblk=0x65735546[fuse] fuse=0x65735546 fusectl=0x65735543 gfs=0x1161970[gfs2] gfs2=0x1161970 hostfs=0xc0ffee hpfs=0xf995e849 hugetlbfs=0x958458f6 " +
		"iso9660=0x9660 jffs2=0x72b6 minix=0x137f, 0x138f, 0x2468, 0x2478, 0x4d5a mqueue=0x19800202 msdos=0x4d44[vfat] ncp=0x564c[ncpfs] ncpfs=0x564c " +
		"nfs=0x6969[nfs4] nfs4=0x6969 nilfs2=0x3434 nsfs=0x6e736673 ntfs=0x5346544e ntfs3=0x7366746e ocfs2=0x7461636f openpromfs=0x9fa1 orangefs=0x20030529 " +
		"overlay=0x794c7630 pidfs=0x50494446 pipefs=0x50495045 ppc-cmm=0xc7571590 proc=0x9fa0 pstore=0x6165676c pvfs2=0x20030529[orangefs] qnx4=0x2f " +
		"qnx6=0x68191122 ramfs=0x858458f6 resctrl=0x7655821 reiserfs=0x52654973 rpc_pipefs=0x67596969 secretmem=0x5345434d securityfs=0x73636673 " +
		"selinuxfs=0xf97cff8c shiftfs=0x6a656a62 smackfs=0x43415d53 smb3=0xff534d42[cifs] smbfs=0x517b sockfs=0x534f434b squashfs=0x73717368 sysfs=0x62656572 " +
		"tmpfs=0x1021994 tracefs=0x74726163 udf=0x15013346 usbdevfs=0x9fa2 vboxsf=0x786f4256 vfat=0x4d44 v9fs=0x1021997 xenfs=0xabba1974 xfs=0x58465342 " +
		"z3fold=0x33 zonefs=0x5a4f4653 zsmalloc=0x58295829 "},
}

// FileSystemMagic gives the numbers of a file system or of all in a group; ok is false if nothing has that name.
func FileSystemMagic(name string) (magic []uint32, ok bool) {
	group := &FileSystemGroups[len(FileSystemGroups)-1]
	for i := range FileSystemGroups {
		if g := &FileSystemGroups[i]; g.Name == name {
			group, ok = g, true
		}
	}
	whole := ok
	for member := range strings.FieldsSeq(strings.ReplaceAll(group.Members, ", ", ",")) {
		have, numbers, _ := strings.Cut(member, "=")
		if !whole && have != name {
			continue
		}
		ok = true
		numbers, _, _ = strings.Cut(numbers, "[")
		for number := range strings.SplitSeq(numbers, ",") {
			n, _ := strconv.ParseUint(number, 0, 32) // the test reads them all
			magic = append(magic, uint32(n))
		}
	}
	return magic, ok
}
