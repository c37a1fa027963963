package account

import (
	"strings"
	"testing"

	"github.com/muster-init/muster/pkg/unit"
)

// The texts are those of systemd 257 for the same numbers.
func TestMessage(t *testing.T) {
	for _, c := range []struct {
		name     string
		fill     func(*Account)
		priority int
		text     string
		fields   string
	}{
		{"nothing", func(*Account) {}, 7, "", ""},
		{"a little", func(a *Account) { a.CPUUsageNSec = 39761000 }, 7, "Consumed 39ms CPU time.", "CPU_USAGE_NSEC=39761000"},
		{"no traffic", func(a *Account) { a.CPUUsageNSec, a.IPIngressBytes, a.IPEgressBytes = 8747000, 0, 0 }, 7, "Consumed 8ms CPU time.",
			"CPU_USAGE_NSEC=8747000 IP_METRIC_INGRESS_BYTES=0 IP_METRIC_EGRESS_BYTES=0"},
		{"traffic", func(a *Account) { a.CPUUsageNSec, a.IPIngressBytes, a.IPEgressBytes = 16947000, 504, 252 }, 6,
			"Consumed 16ms CPU time, 504B incoming IP traffic, 252B outgoing IP traffic.",
			"CPU_USAGE_NSEC=16947000 IP_METRIC_INGRESS_BYTES=504 IP_METRIC_EGRESS_BYTES=252"},
		{"long", func(a *Account) { a.CPUUsageNSec = 601_500_000_000 }, 5, "Consumed 10min 1.500s CPU time.", "CPU_USAGE_NSEC=601500000000"},
	} {
		a := Unknown()
		c.fill(&a)
		priority, text, fields := a.Message()
		if priority != c.priority || text != c.text || strings.Join(fields, " ") != c.fields {
			t.Errorf("%s: got %d %q %q, want %d %q %q", c.name, priority, text, fields, c.priority, c.text, c.fields)
		}
	}
}

func TestRecord(t *testing.T) {
	a := Unknown()
	a.CPUUsageNSec, a.MemoryPeak, a.IPEgressPackets = 5, 0, 7
	if got := Parse(string(a.Append(nil))); got != a {
		t.Errorf("got %+v, want %+v", got, a)
	}
	if got := Parse("5 6"); got.CPUUsageNSec != 5 || got.MemoryPeak != 6 || got.IOReadBytes != unit.Infinity {
		t.Errorf("a shorter record: %+v", got)
	}
	if got := Parse("x"); got.Known() {
		t.Errorf("garbage: %+v", got)
	}
}

func TestSinceAndFill(t *testing.T) {
	now, base := Unknown(), Unknown()
	now.CPUUsageNSec, now.MemoryPeak, now.IOReadBytes = 100, 50, 9
	base.CPUUsageNSec, base.MemoryPeak = 30, 20
	got := now.Since(base)
	if got.CPUUsageNSec != 70 || got.MemoryPeak != 50 || got.IOReadBytes != 9 {
		t.Errorf("Since: %+v", got)
	}
	shown := Unknown()
	shown.CPUUsageNSec = 1
	got.Fill(&shown)
	if shown.CPUUsageNSec != 1 || shown.MemoryPeak != 50 {
		t.Errorf("Fill: %+v", shown)
	}
}
