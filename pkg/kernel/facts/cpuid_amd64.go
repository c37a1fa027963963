package facts

import (
	"encoding/binary"
	"os"
	"strings"
)

func cpuid(leaf, sub uint32) (a, b, c, d uint32)

var hypervisors = map[string]string{
	"XenVMMXenVMM": "xen", "KVMKVMKVM": "kvm", "Linux KVM Hv": "kvm", "TCGTCGTCGTCG": "qemu", "VMwareVMware": "vmware",
	"Microsoft Hv": "microsoft", "bhyve bhyve ": "bhyve", "QNXQVMBSQG": "qnx", "ACRNACRNACRN": "acrn", "SRESRESRESRE": "sre",
}

func words(v ...uint32) string {
	var b []byte
	for _, w := range v {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return strings.TrimRight(string(b), "\x00")
}

// cpuVM asks the CPU for its hypervisor.
func cpuVM() string {
	if _, _, c, _ := cpuid(1, 0); c>>31 == 0 {
		return ""
	}
	_, b, c, d := cpuid(0x40000000, 0)
	if id, ok := hypervisors[words(b, c, d)]; ok {
		return id
	}
	return "vm-other"
}

// ConfidentialVM is the technology that keeps our memory from the hypervisor:
// "sev", "sev-es", "sev-snp", "tdx", or "" for none.
func ConfidentialVM(root string) string {
	if !isReal(root) {
		return ""
	}
	if _, _, c, _ := cpuid(1, 0); c>>31 == 0 {
		return ""
	}
	highest, b, c, d := cpuid(0, 0)
	switch words(b, d, c) {
	case "GenuineIntel":
		if highest >= 0x21 {
			if _, b, c, d := cpuid(0x21, 0); words(b, d, c) == "IntelTDX    " {
				return "tdx"
			}
		}
	case "AuthenticAMD":
		return sev()
	}
	return ""
}

// sev reads the status register that guests with SEV have.
func sev() string {
	if most, _, _, _ := cpuid(0x80000000, 0); most < 0x8000001f {
		return ""
	}
	if a, _, _, _ := cpuid(0x8000001f, 0); a&2 == 0 {
		return ""
	}
	f, err := os.Open("/dev/cpu/0/msr")
	if err != nil {
		return ""
	}
	defer f.Close()
	var b [8]byte
	if n, err := f.ReadAt(b[:], 0xc0010131); err != nil || n != len(b) {
		return ""
	}
	switch status := b[0]; {
	case status&4 != 0:
		return "sev-snp"
	case status&2 != 0:
		return "sev-es"
	case status&1 != 0:
		return "sev"
	}
	return ""
}
