package robust

import "testing"

// TestManyGroups: a service makes 6,000 control groups in the one that was delegated to it. The manager answers meanwhile, ends all of it, and
// gives the groups back without stopping for it; a service that is started again while they are removed keeps those it makes.
func TestManyGroups(t *testing.T) {
	b := boot(t)
	was := steady(t, b)
	shell(t, b, `cat >/usr/local/bin/groups <<'P'
#!/usr/bin/perl
open(my $c, "<", "/proc/self/cgroup");
my ($path) = grep /^0::/, <$c>;
chomp $path; $path =~ s/^0:://;
chdir "/sys/fs/cgroup$path" or die;
for my $n (1 .. $ARGV[0]) { mkdir "g$n" or -d "g$n" or die $! }
for my $n (1, $ARGV[0]) {
    defined(my $pid = fork) or die;
    if (!$pid) { $SIG{TERM} = "IGNORE"; sleep 1000 while 1 }
    open(my $h, ">", "g$n/cgroup.procs") or die;
    syswrite($h, $pid) or die;
}
system("systemd-notify", "--ready");
sleep 1000 while 1;
P
chmod 755 /usr/local/bin/groups
for n in 10 6000; do
printf '[Service]\nType=notify\nNotifyAccess=all\nDelegate=yes\nTimeoutStopSec=1\nExecStart=/usr/local/bin/groups %s\n' $n >/etc/systemd/system/groups-$n.service
done
systemctl daemon-reload
systemctl start groups-6000.service`)
	answers(t, b, "6,000 groups")
	shell(t, b, `systemctl daemon-reload; timeout 120 systemctl stop groups-6000.service`)
	answers(t, b, "their end")
	// Started again with fewer while the others are removed.
	shell(t, b, `sed -i 's/6000/10/' /etc/systemd/system/groups-6000.service
systemctl daemon-reload
timeout 120 systemctl start groups-6000.service
sleep 1
for i in 1 2 3 4 5 6 7 8 9 10; do [ -d /sys/fs/cgroup/system.slice/groups-6000.service/g$i ] || { echo "g$i is gone"; exit 1; }; done
timeout 120 systemctl stop groups-6000.service
for ((i = 0; i < 2400; i++)); do [ -e /sys/fs/cgroup/system.slice/groups-6000.service ] || exit 0; sleep 0.05; done
ls /sys/fs/cgroup/system.slice/groups-6000.service | wc -l; exit 1`)
	if now := steady(t, b); now != was {
		t.Errorf("the steady services: %q, were %q", now, was)
	}
}
