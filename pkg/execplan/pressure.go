package execplan

import (
	"encoding/base64"
	"strconv"

	"github.com/muster-init/muster/pkg/unit"
)

// pressureWindowUSec is the span over which the kernel measures pressure for a service.
const pressureWindowUSec = 2000000

// Pressure is one resource whose scarcity a service is told how to watch.
type Pressure struct {
	Resource      string // MEMORY, CPU, IO
	File          string // in the control group; "" to tell the service not to watch
	ThresholdUSec uint64 // of the window
}

// Pressures lists what a unit's processes are to watch (systemd.resource-control(5), MemoryPressureWatch=).
func Pressures(u *unit.Unit) (list []Pressure) {
	if !u.Type.HasCgroup() {
		return nil
	}
	c := u.GetCgroup()
	add := func(resource, file, watch string, auto bool, thresholdUSec uint64) {
		switch {
		case watch == "no":
			list = append(list, Pressure{Resource: resource})
		case watch == "yes" || watch != "skip" && auto:
			list = append(list, Pressure{resource, file, min(thresholdUSec, pressureWindowUSec)})
		}
	}
	add("MEMORY", "memory.pressure", c.MemoryPressureWatch, c.MemoryAccounting.Or(false), c.MemoryPressureThresholdUSec)
	add("CPU", "cpu.pressure", c.CPUPressureWatch, limitsCPU(c), c.CPUPressureThresholdUSec)
	add("IO", "io.pressure", c.IOPressureWatch, limitsIO(c), c.IOPressureThresholdUSec)
	return list
}

// limitsCPU reports whether the unit's share of CPU time is controlled: auto then lets the service know how scarce it is.
func limitsCPU(c *unit.Cgroup) bool {
	return c.CPUWeight != unit.Infinity || c.StartupCPUWeight != unit.Infinity || c.CPUQuotaPerSecUSec != unit.Infinity
}

// limitsIO reports whether the unit's share of IO is controlled.
func limitsIO(c *unit.Cgroup) bool {
	return c.IOWeight != unit.Infinity || c.StartupIOWeight != unit.Infinity || len(c.IODeviceWeight)+len(c.IODeviceLatencyTargetUSec)+
		len(c.IOReadBandwidthMax)+len(c.IOWriteBandwidthMax)+len(c.IOReadIOPSMax)+len(c.IOWriteIOPSMax) > 0
}

// pressureFile is where the program finds one of the files.
func (b *builder) pressureFile(name string) string {
	if p := b.s.ProtectControlGroups; !b.privileged && (p == "private" || p == "strict") {
		return "/sys/fs/cgroup/" + name // of a namespace whose root is the unit's control group
	}
	return b.ctx.CgroupDir + "/" + name
}

// pressurePath is the file for memory pressure, "" if the program isn't to watch it.
func (b *builder) pressurePath() string {
	for _, p := range Pressures(b.u) {
		if p.Resource == "MEMORY" && p.File != "" && b.ctx.CgroupDir != "" {
			return b.pressureFile(p.File)
		}
	}
	return ""
}

// pressureEnv tells the program where to watch, and what to write there first.
func (b *builder) pressureEnv() (env []string) {
	if b.ctx.CgroupDir == "" {
		return nil
	}
	for _, p := range Pressures(b.u) {
		if p.File == "" {
			env = append(env, p.Resource+"_PRESSURE_WATCH=/dev/null")
			continue
		}
		trigger := "some " + strconv.FormatUint(p.ThresholdUSec, 10) + " " + strconv.Itoa(pressureWindowUSec) + "\x00"
		env = append(env, p.Resource+"_PRESSURE_WATCH="+b.pressureFile(p.File),
			p.Resource+"_PRESSURE_WRITE="+base64.StdEncoding.EncodeToString([]byte(trigger)))
	}
	return env
}
