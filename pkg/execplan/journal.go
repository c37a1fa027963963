package execplan

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/unit"
)

// JournalState is what journald has to know about a unit before its first
// process logs: the invocation ID (32 hex digits), LogLevelMax=,
// LogExtraFields= and the rate limits. What isn't set is removed, so that
// nothing stays from an earlier configuration.
func JournalState(u *unit.Unit, invocationID string) []plan.StateFile {
	e := u.GetExec()
	file := func(kind string) plan.StateFile { return plan.StateFile{Name: kind + ":" + u.Name} }
	invocation, level, fields := file("invocation"), file("log-level-max"), file("log-extra-fields")
	interval, burst := file("log-rate-limit-interval"), file("log-rate-limit-burst")
	invocation.Link = invocationID
	if e.LogLevelMax >= 0 {
		level.Link = strconv.Itoa(int(e.LogLevelMax))
	}
	for _, f := range e.LogExtraFields {
		fields.Data = binary.LittleEndian.AppendUint64(fields.Data, uint64(len(f)))
		fields.Data = append(fields.Data, f...)
	}
	if e.LogRateLimitIntervalUSec > 0 {
		interval.Link = strconv.FormatUint(e.LogRateLimitIntervalUSec, 10)
	}
	if e.LogRateLimitBurst > 0 {
		burst.Link = strconv.FormatUint(uint64(e.LogRateLimitBurst), 10)
	}
	return []plan.StateFile{invocation, level, fields, interval, burst}
}

// NoJournalState takes all of it away once the unit is unloaded.
func NoJournalState(unitName string) []plan.StateFile {
	var list []plan.StateFile
	for _, kind := range []string{"invocation", "log-level-max", "log-extra-fields", "log-rate-limit-interval", "log-rate-limit-burst"} {
		list = append(list, plan.StateFile{Name: kind + ":" + unitName})
	}
	return list
}

// LogFilters is LogFilterPatterns= as journald reads it from the attribute of
// a control group: what is let through, the byte 255, what is not, each list
// with zero bytes between the expressions. "" without any.
func LogFilters(u *unit.Unit) string {
	if !u.Type.HasExec() {
		return ""
	}
	var allow, deny []string
	for _, f := range u.GetExec().LogFilterPatterns {
		if f.Deny {
			deny = append(deny, f.Pattern)
		} else {
			allow = append(allow, f.Pattern)
		}
	}
	if len(allow)+len(deny) == 0 {
		return ""
	}
	return strings.Join(allow, "\x00") + "\xff" + strings.Join(deny, "\x00")
}
