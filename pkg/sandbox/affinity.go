package sandbox

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
)

const maxListFile = 1 << 16

// affinityFromNUMA is CPUAffinity=numa: the CPUs of the nodes in NUMAMask=.
func affinityFromNUMA(r *run) *plan.Failure {
	p := r.p
	var mask []byte
	for node := range len(p.NUMAMask) * 8 {
		if p.NUMAMask[node/8]>>(node%8)&1 == 0 {
			continue
		}
		path := "/sys/devices/system/node/node" + strconv.Itoa(node) + "/cpulist"
		text, err := readFile(path, maxListFile)
		if err != nil {
			return failed(plan.ExitCPUAffinity, "CPUAffinity", path, err)
		}
		if mask, err = addCPUs(mask, strings.TrimSpace(string(text))); err != nil {
			return failed(plan.ExitCPUAffinity, "CPUAffinity", path, err)
		}
	}
	p.CPUAffinity = mask
	return nil
}

// addCPUs reads a list such as "0-3,8" into a mask.
func addCPUs(mask []byte, list string) ([]byte, error) {
	const maxCPU = 8192
	for item := range strings.SplitSeq(list, ",") {
		if item == "" {
			continue
		}
		first, last, isRange := strings.Cut(item, "-")
		if !isRange {
			last = first
		}
		lo, err := strconv.ParseUint(first, 10, 16)
		hi, err2 := strconv.ParseUint(last, 10, 16)
		if err != nil || err2 != nil || hi >= maxCPU {
			return nil, unix.EINVAL
		}
		for cpu := lo; cpu <= hi; cpu++ {
			for uint64(len(mask)) <= cpu/8 {
				mask = append(mask, 0)
			}
			mask[cpu/8] |= 1 << (cpu % 8)
		}
	}
	return mask, nil
}
