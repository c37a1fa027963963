package value

import (
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The recordings of unit settings are what `systemd --test --user` dumps of a
// service with that one setting and does not dump of one without it. They are
// made anew, as root on a machine that has it, by
//
//	go test ./pkg/unit/value -run TestUnitRecord -record-unit \
//	  "setpriv --reuid=65534 --regid=65534 --clear-groups /lib/systemd/systemd"
//
// so that the manager runs as nobody, and with units of a temporary directory
// only. For 257 it was a script that does the same in a Debian 13 root of its own.
var recordUnit = flagRecordUnit()

const unitsPerRun = 100

func TestUnitRecord(t *testing.T) {
	if *recordUnit == "" {
		return
	}
	settings := unitSettings(rand.New(rand.NewSource(7)))
	var lines []string
	for len(settings) > 0 {
		n := min(unitsPerRun, len(settings))
		lines = append(lines, dumpSettings(t, settings[:n])...)
		settings = settings[n:]
	}
	command := strings.Fields(*recordUnit)
	version, err := exec.Command(command[0], append(command[1:], "--version")...).Output()
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(version), "\n")
	text := "# " + first + "; made by TestUnitRecord -record-unit\n# directive, value, warned or silent, load state, lines of the dump\n" + strings.Join(lines, "\n") + "\n"
	if err := os.WriteFile(filepath.Join("testdata", "unit-"+strings.Fields(first)[1]+".tsv"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func dumpSettings(t *testing.T, settings [][2]string) []string {
	t.Helper()
	dir, err := os.MkdirTemp("", "value-record")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"basic", "shutdown", "sysinit"} {
		write(name+".target", "[Unit]\nDefaultDependencies=no\n")
	}
	const base = "[Unit]\nDescription=x\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStart=/bin/true\n"
	wants := "base.service"
	write("base.service", base)
	for i, s := range settings {
		name := fmt.Sprintf("unit%03d.service", i)
		write(name, base+s[0]+"="+s[1]+"\n")
		wants += " " + name
	}
	write("all.target", "[Unit]\nDefaultDependencies=no\nWants="+wants+"\n")
	run := filepath.Join(dir, "run")
	if err := os.Mkdir(run, 0o700); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(run, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	command := append(strings.Fields(*recordUnit), "--test", "--user", "--no-pager", "--unit=all.target")
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", "LC_ALL=C.UTF-8", "SYSTEMD_LOG_TARGET=console", "SYSTEMD_UNIT_PATH=" + dir, "XDG_RUNTIME_DIR=" + run}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out[:min(len(out), 2000)])
	}
	blocks, warned := dumpBlocks(string(out))
	known := map[string]bool{}
	for _, line := range blocks["base.service"] {
		known[line] = true
	}
	var rows []string
	for i, s := range settings {
		name := fmt.Sprintf("unit%03d.service", i)
		row := []string{s[0], strconv.Quote(s[1]), "silent", "loaded"}
		if warned[name] {
			row[2] = "warned"
		}
		if len(blocks[name]) == 0 {
			row[3] = "lost"
		}
		for _, line := range blocks[name] {
			switch {
			case strings.HasPrefix(line, "Unit Load State: "):
				row[3] = strings.TrimPrefix(line, "Unit Load State: ")
			case !known[line] && !strings.Contains(line, name) && !strings.HasPrefix(line, "-> Job"):
				row = append(row, strconv.Quote(line))
			}
		}
		rows = append(rows, strings.Join(row, "\t"))
	}
	return rows
}

// dumpBlocks are the trimmed lines of the dump by unit, and the units a message
// was logged about.
func dumpBlocks(out string) (blocks map[string][]string, warned map[string]bool) {
	blocks, warned = map[string][]string{}, map[string]bool{}
	unit := ""
	for line := range strings.SplitSeq(out, "\n") {
		if i := strings.Index(line, "/unit"); i >= 0 && strings.Contains(line[i:], ".service:") {
			warned[line[i+1:i+1+len("unit000.service")]] = true
		}
		text := strings.Replace(strings.Trim(line, "\t"), "→", "->", 1)
		switch {
		case strings.HasPrefix(text, "-> Unit "):
			unit = strings.TrimSuffix(strings.TrimPrefix(text, "-> Unit "), ":")
		case strings.HasPrefix(text, "-> By jobs"):
			unit = ""
		case unit != "":
			blocks[unit] = append(blocks[unit], text)
		}
	}
	return blocks, warned
}

func unitSettings(r *rand.Rand) [][2]string {
	var list [][2]string
	add := func(directive string, values ...string) {
		for _, v := range values {
			list = append(list, [2]string{directive, v})
		}
	}
	add("Environment", `A=b`, `A=b "C=d e" 'F=g\th' bad=1 "bad name=2"`, `A="b c"`, `A=b\ c`, `"A=b`, `A=b'`, `'A=\'b'`, `A=\x41\u00e9\101`, `A=\q`, `A=\`, `1A=b`, `A`, `=b`, `A=`, `A==b`, `A=$B`, `A=a"b c"d`, `"A"=b`, `A=b;c`, `"A=b"c`, `A=\x00`, `A=\x01`, `A=é`, `A=\xff`, `A=%%`, `A=\s\\\"\'`, `A="\n"`, ` A=b  C=d `, `A-B=c`, `é=c`, `A=b 'c`)
	add("PassEnvironment", `A B`, `A 1B "C" D=E`, `'A B'`)
	add("UnsetEnvironment", `A B=c`, `"B=c d" 1X`)
	add("SuccessExitStatus", "1 NOPERM SIGKILL TERM", "300", "256", "255 0", "EXEC KEYRING 75", "RTMIN+3 SIGRTMAX-1", "-1", "sigkill", "9 SIG9", `"1"`, "0x10", "010", "+5", "1,2", "TCPWRAP", "BPF EXCEPTION", "64 SIGTERM 65 x 66")
	add("RestartPreventExitStatus", "1 SIGTERM")
	add("CapabilityBoundingSet", "CAP_SYS_ADMIN 3", "", "~", "~CAP_KILL", "cap_kill CAP_kill", "CAP_FOO CAP_CHOWN", "62", "63", "64", "KILL", "~CAP_FOO", `"CAP_KILL"`, "CAP_KILL,CAP_CHOWN")
	add("AmbientCapabilities", "CAP_SYS_ADMIN 3", "", "~", "~CAP_KILL", "CAP_BPF 40")
	add("SecureBits", "keep-caps noroot", "noroot-locked no-setuid-fixup", "foo keep-caps", "keep-caps-locked no-setuid-fixup-locked", "")
	add("UMask", "022", "0022", "7777", "10000", "8", "0o22", "+22", " 22", "x", "-1", "", "0", "00000022", "0x12")
	add("RuntimeDirectoryMode", "755", "1777", "07777", "0")
	add("Nice", "5", "010", "0x5", "-20", "-21", "19", "20", "+5", "x", "0b11", "0o7", " 3", "-0", "--5", "1.5")
	add("OOMScoreAdjust", "-1000", "1000", "1001", "500", "+10", "-0x10")
	for _, limit := range []string{"LimitNOFILE", "LimitFSIZE", "LimitCPU", "LimitRTTIME", "LimitNICE", "LimitCORE", "LimitNPROC", "LimitRTPRIO"} {
		add(limit, "1", "100:200", "200:100", "infinity", "5:infinity", "infinity:5", "0", "-1", "+5", "1K", "1M:2M", "1s", "1500ms", "1min:2min", "-5", "+19", "+20", "-20", "-21", "40", "41", "1:", ":1", "1:2:3", "", "x", "1.5K", "0x10", "010", "18446744073709551615", "18446744073709551614", "1 : 2", " 5", "5us", "100us")
	}
	add("CPUAffinity", "0-3,5 7", "0", "3-1", "0-3 3-1 5", "x", "8191", "8192", "0,,1", "1-", "-1", "0-3-5", "0x3", "'1 2'", `"1"`, "0 - 3", "63 64 65", "127-130", "")
	add("NUMAMask", "0-3", "all", "1,3", "x")
	add("AllowedCPUs", "0-3,5 7", "0", "3-1", "")
	add("AllowedMemoryNodes", "0-1")
	add("NUMAPolicy", "default", "preferred", "bind", "interleave", "local", "1", "x")
	add("IOSchedulingClass", "none", "realtime", "best-effort", "idle", "0", "1", "2", "3", "4", "7", "8", "x", "-1")
	add("CPUSchedulingPolicy", "other", "batch", "idle", "fifo", "rr", "0", "1", "2", "3", "5", "6", "x")
	add("SyslogLevel", "emerg", "alert", "crit", "err", "error", "warning", "notice", "info", "debug", "0", "7", "8", "x")
	add("SyslogFacility", "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "local0", "local7", "3", "12", "127", "128", "x")
	add("KillSignal", "SIGTERM", "TERM", "15", "sigterm", "0", "64", "65", "32", "SIG32", "RTMIN", "RTMIN+0", "RTMIN+30", "RTMIN+31", "RTMAX", "RTMAX-1", "RTMAX-30", "RTMAX-31", "SIGRTMIN+5", "RTMIN-1", "RTMAX+1", "RTMIN+ 1", "POLL", "SIGPOLL", "CLD", "IOT", "SIGSIGTERM", "+15", "0xf", " 15", "STKFLT", "RTMIN+0x5", "RTMIN++5", "RTMIN+", "RTMIN 5")
	add("SystemCallErrorNumber", "EPERM", "1", "0", "4095", "4096", "-1", "EWOULDBLOCK", "EAGAIN", "ENOTSUP", "EOPNOTSUPP", "eperm", "kill", "EFOO", "EDEADLOCK", "EHWPOISON", "150")
	add("MemoryMax", "50%", "1.5G", "infinity", "0", "1K", "4096", "100%", "101%", "0%", "0.5%", "5‰", "5‱", "0.05%", "0.005%", "1E", "1T 500G", "1.5", "-1", "1k", "1KB", "x", "16E", "15E", "18446744073709551615", "1G 1G", "500M 1G", "1,5G", "1.G", ".5G", "1 G", "50 %", "1.999999999K", "5B", "1G5B", "1.5B")
	add("TasksMax", "10", "10%", "infinity", "0", "1K", "0%", "0x10", "-5", "50.5%")
	add("CPUQuota", "150%", "50.5%", "0.01%", "0.001%", "100000%", "0%", "50", "x%", "-5%", "+5%", "1e2%", "21474836%", "21474837%", "50.55%", "5‰", "5.5‰", "5‱", "5.5‱", ".5%", "5.%", "5.123%")
	add("CPUWeight", "idle", "1", "10000", "0", "10001", "", "x", "100", "010")
	add("IOWeight", "idle", "1", "10000", "10001")
	add("IODeviceWeight", "/dev/vda 5", "/dev/vda", "/dev/vda x", "vda 5", "'/dev/v da' 7", "/dev//vda/ 5", "/dev/vda 0", "/dev/../vda 5")
	add("IOReadBandwidthMax", "/dev/vda 5M", "/dev/vda 5000000", "/dev/vda infinity", "/dev/vda 0", "/dev/vda 1.5K")
	add("IOWriteIOPSMax", "/dev/vda 5K")
	add("IODeviceLatencyTargetSec", "/dev/vda 5ms", "/dev/vda 5", "/dev/vda infinity", "/dev/vda x")
	add("DeviceAllow", "/dev/null rm", "char-pts", "block-* r", "/dev/null", "/dev/null rx", "/etc/passwd r", "/dev/null mwr", "/dev//null r", "null r", "char- r", "/dev/null r w", "'/dev/nu ll' r", "/run/systemd/inaccessible/chr r", "block- r", "/dev r", "/dev/ r", "char-* rw", "/dev/null rr")
	add("IPAddressAllow", "10.0.0.5/8 localhost", "any", "link-local", "multicast", "::1", "fe80::1%eth0", "1.2.3.4/33", "1.2.3", "10.0.0.0/8 10.1.0.0/16", "::/0 0.0.0.0/0", "10.0.0.0/08", "10.0.0.0/", "10.0.0.0/-1", "::ffff:1.2.3.4", "x 1.2.3.4", "1.2.3.4/0x8", "01.2.3.4")
	add("SocketBindAllow", "ipv4:tcp:80-90", "any", "ipv6", "tcp", "80", "ipv6:udp", "tcp:80", "ipv4:80", "0", "65536", "90-80", "tcp:ipv4", "ipv4:any", "tcp:any", "any:80", "", "1-65535", "ipv4:tcp:", "x", "80-80")
	add("Personality", "x86", "x86-64", "arm", "foo")
	add("RestrictNamespaces", "~net", "net ipc", "yes", "no", "cgroup ipc net mnt pid user uts", "foo net", "~", "time")
	add("TimerSlackNSec", "5us", "5", "1ms", "infinity", "5ns", "1.5us", "1s 5ns", "0.5ns", "18446744073s", "18446744074s")
	add("ReadWritePaths", "-/tmp +/var", "-+/a", "+-/a", "/a//b/./c/", "/a/../b", "rel", "'/a b'", "/", "/.", "-", "/a b")
	add("InaccessiblePaths", "/a/b/")
	add("RestartSec", "5", "5min", "infinity", "", "x", "-1", "0")
	add("TimeoutStartSec", "0", "infinity", "5", "", "1.5")
	add("TimeoutStopSec", "0", "infinity", "90s")
	add("RuntimeMaxSec", "5", "infinity", "0")
	add("WatchdogSec", "5", "500ms")
	add("CPUQuotaPeriodSec", "10ms", "", "1h", "infinity")
	add("RemainAfterExit", "1", "yes", "Y", "true", "T", "on", "TRUE", "oN", "0", "no", "x", "2", "", "yess", " yes ")
	add("ExecStartPre", commandLines(r)...)
	for i := range 120 {
		add("IOReadBandwidthMax", fmt.Sprintf("/dev/vda %d", 1+r.Int63()>>(i/2)))
	}
	add("EnvironmentFile", "-/etc/foo%%", "/a//b/", "rel", "-rel", "'/a b'", "/a b", "--/a")
	add("SyslogIdentifier", "foo", "a b")
	add("TTYPath", "/dev/tty1", "/dev//tty1/", "tty1")
	add("WorkingDirectory", "/a//b/", "-/a", "~", "rel")
	return list
}

func commandLines(r *rand.Rand) []string {
	list := []string{
		`/bin/echo a b`, `/bin/echo "a b" 'c d' e\ f`, `echo a`, `./echo a`, `bin/echo`, `/bin/`, `/`, ``, `-`, `@`, `@/bin/echo`, `@/bin/echo a b`, `-@:+/bin/echo a b`, `--/bin/echo`, `@@/bin/echo`, `::/bin/echo`, `++/bin/echo`, `+!/bin/echo`, `!+/bin/echo`,
		`!/bin/echo`, `!!/bin/echo`, `!!!/bin/echo`, `!-!/bin/echo x`, `|/bin/echo`, `- /bin/echo`, `/bin/echo a ; /bin/echo b`, `/bin/echo a;/bin/echo b`, `/bin/echo a ;`, `; /bin/echo`, `/bin/echo ; ; /bin/echo`, `/bin/echo \; b`, `/bin/echo a\;b`, `/bin/echo "\;"`, `/bin/echo ";"`, `/bin/echo \\; b`, `/bin/echo ;b`, `/bin/echo \;b`, `/bin/echo a \; ; /bin/echo b`,
		`/bin/echo "a`, `/bin/echo 'a`, `/bin/echo a\`, `/bin/echo \q`, `/bin/echo "\q"`, `/bin/echo \x41\101\u00e9\U0001F600`, `/bin/echo \x00`, `/bin/echo \x0`, `/bin/echo \400`, `/bin/echo \777`, `/bin/echo \18`, `/bin/echo \u0000`, `/bin/echo \U00110000`, `/bin/echo \ud800`, `/bin/echo \s\t\n\\\"\'`, `/bin/echo "\"" '\''`, `/bin/echo a"b"c'd'e`, `/bin/echo "" ''`, `/bin/echo $A ${B} $$ pre$C`, `/bin/echo %% %n`, `/bin/echo %q`, `/bin/echo %`, `"/bin/echo" a`, `"/bin/ec ho" a`, `/bin/ec\x20ho a`, `/bin/../bin/echo`, `//bin//echo/./x`, `/bin/echo/`, `/bin/echo/.`, `/bin/"echo" a`, `-"/bin/echo" a`, `"-/bin/echo" a`, `/bin/e"c ho`, `echo/`, `.`, `..`, `-.`, `/bin/echo  a   b `, "/bin/echo\ta\tb", `/bin/echo #x`, `/bin/echo é`, `/bin/\xff`, `/bin/echo \xff`, `/bin/\x01`, `/bin/a\"b`, `/bin/a\\b`, `@/bin/echo "" b`, `@/bin/echo ""`, `/bin/echo a\
b`, `@echo x y`, `a b c`, `/bin/sh -c 'echo "x"; echo y'`, `/bin/sh -c "a $$b \"c\" d"`, `/bin/echo *?[x] <a> (b) |c &d !e`, `/bin/echo "a;b" a;b`, `/bin/echo \073`, `/bin/echo "" ;`, `;`, `\;`, `/bin/echo a \x3b b`, `/bin/echo {a,b}`, "/bin/echo `a` ~", `/bin/echo %%a "%%"`, `+/bin/echo -x`, `:/bin/echo $A`,
	}
	pieces := []string{`a`, `bc`, ` `, ` `, ` `, `"`, `'`, `\`, `;`, `\;`, `$A`, `${B}`, `%%`, `\n`, `\x41`, `\061`, `é`, `"x y"`, `'p q'`, ` ; /bin/true `, `\s`, `=`, "\t"}
	for range 500 {
		var b strings.Builder
		b.WriteString([]string{`/bin/echo `, `/bin/echo `, `-/bin/echo `, `@/bin/echo `, `echo `, ``}[r.Intn(6)])
		for range 1 + r.Intn(9) {
			b.WriteString(pieces[r.Intn(len(pieces))])
		}
		list = append(list, b.String())
	}
	return list
}
