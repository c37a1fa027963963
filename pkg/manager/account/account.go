// Package account keeps what the processes of an activation have used, for when their control group is gone: the accounting
// properties show it as long as the unit is loaded, and one message tells it when the unit is down (org.freedesktop.systemd1(5),
// systemd.resource-control(5)).
//
// Invariants:
//
//  1. A number that the kernel didn't count is Infinity, and is neither shown nor told.
//  2. A record is a line of decimal numbers in the order of the fields; another image that knows more or fewer of them reads it as well.
//
// It reads no files: the shell does, who knows the groups.
package account

import (
	"strconv"
	"strings"

	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// Account is what was used: time in ns, memory and traffic in bytes.
type Account struct {
	CPUUsageNSec                        uint64
	MemoryPeak, MemorySwapPeak          uint64
	IOReadBytes, IOWriteBytes           uint64
	IOReadOperations, IOWriteOperations uint64
	IPIngressBytes, IPIngressPackets    uint64
	IPEgressBytes, IPEgressPackets      uint64
}

// fields in the order of a record.
func (a *Account) fields() []*uint64 {
	return []*uint64{
		&a.CPUUsageNSec, &a.MemoryPeak, &a.MemorySwapPeak, &a.IOReadBytes, &a.IOWriteBytes, &a.IOReadOperations, &a.IOWriteOperations,
		&a.IPIngressBytes, &a.IPIngressPackets, &a.IPEgressBytes, &a.IPEgressPackets,
	}
}

// Unknown is an account of which nothing is known.
func Unknown() Account {
	var a Account
	for _, f := range a.fields() {
		*f = unit.Infinity
	}
	return a
}

// Known tells whether anything was counted.
func (a *Account) Known() bool { return *a != Unknown() }

// Since is what has come on top of base, which was counted in the same group. Peaks stay: the kernel doesn't start them anew.
func (a *Account) Since(base Account) Account {
	out := *a
	from := base.fields()
	for i, f := range out.fields() {
		if f == &out.MemoryPeak || f == &out.MemorySwapPeak || *f == unit.Infinity || *from[i] == unit.Infinity {
			continue
		}
		*f -= min(*f, *from[i])
	}
	return out
}

// Fill puts what was counted into the fields of now that aren't known any more.
func (a *Account) Fill(now *Account) {
	kept := a.fields()
	for i, f := range now.fields() {
		if *f == unit.Infinity {
			*f = *kept[i]
		}
	}
}

// Append appends the account as a record.
func (a *Account) Append(record []byte) []byte {
	for i, f := range a.fields() {
		if i > 0 {
			record = append(record, ' ')
		}
		record = strconv.AppendUint(record, *f, 10)
	}
	return record
}

// Parse reads a record; what it doesn't have is not known.
func Parse(record string) Account {
	a := Unknown()
	fields := a.fields()
	i := 0
	for word := range strings.FieldsSeq(record) {
		n, err := strconv.ParseUint(word, 10, 64)
		if err != nil || i == len(fields) {
			break
		}
		*fields[i] = n
		i++
	}
	return a
}

// mark says from where on a number makes the message more than a debugging aid.
type mark struct{ info, notice uint64 }

const (
	second = 1_000_000_000 // ns
	mega   = 1 << 20
)

// priority of syslog(3): 7, or 6 and 5 from the marks on.
func (m mark) priority(n uint64) int {
	switch {
	case n >= m.notice:
		return 5
	case n > 0 && n >= m.info:
		return 6
	}
	return 7
}

// quantity is one number of the message.
type quantity struct {
	value  uint64
	mark   mark
	field  string // of the journal
	suffix string // behind the number in the text; "" not in the text
	always bool   // in the text when it is zero, too
	format func(uint64) string
}

func (a *Account) quantities() []quantity {
	span := func(n uint64) string { return value.FormatSpan(value.USec(n/1000), value.USecPerMSec) }
	none := mark{unit.Infinity, unit.Infinity}
	cpu, memory := mark{second, 600 * second}, mark{64 * mega, 512 * mega}
	io, ip := mark{mega, 10 * mega}, mark{0, 128 * mega}
	return []quantity{
		{a.CPUUsageNSec, cpu, "CPU_USAGE_NSEC", " CPU time", true, span},
		{a.MemoryPeak, memory, "MEMORY_PEAK", " memory peak", true, value.FormatBytes},
		{a.MemorySwapPeak, memory, "MEMORY_SWAP_PEAK", " memory swap peak", false, value.FormatBytes},
		{a.IOReadBytes, io, "IO_METRIC_READ_BYTES", " read from disk", false, value.FormatBytes},
		{a.IOReadOperations, none, "IO_METRIC_READ_OPERATIONS", "", false, nil},
		{a.IOWriteBytes, io, "IO_METRIC_WRITE_BYTES", " written to disk", false, value.FormatBytes},
		{a.IOWriteOperations, none, "IO_METRIC_WRITE_OPERATIONS", "", false, nil},
		{a.IPIngressBytes, ip, "IP_METRIC_INGRESS_BYTES", " incoming IP traffic", false, value.FormatBytes},
		{a.IPIngressPackets, none, "IP_METRIC_INGRESS_PACKETS", "", false, nil},
		{a.IPEgressBytes, ip, "IP_METRIC_EGRESS_BYTES", " outgoing IP traffic", false, value.FormatBytes},
		{a.IPEgressPackets, none, "IP_METRIC_EGRESS_PACKETS", "", false, nil},
	}
}

// Message is what is told when the unit is down: priority of syslog(3), text, fields of the journal. The text is empty when nothing was counted.
func (a *Account) Message() (priority int, text string, fields []string) {
	priority = 7
	var parts []string
	for _, q := range a.quantities() {
		if q.value == unit.Infinity {
			continue
		}
		fields = append(fields, q.field+"="+strconv.FormatUint(q.value, 10))
		priority = min(priority, q.mark.priority(q.value))
		if q.suffix != "" && (q.always || q.value > 0) {
			parts = append(parts, q.format(q.value)+q.suffix)
		}
	}
	if len(parts) > 0 {
		text = "Consumed " + strings.Join(parts, ", ") + "."
	}
	return priority, text, fields
}
