//go:build !amd64

package facts

func cpuVM() string { return "" }

// ConfidentialVM is the technology that keeps our memory from the hypervisor:
// "protvirt" on s390x, or "" for none.
func ConfidentialVM(root string) string {
	if line(root, "sys/firmware/uv/prot_virt_guest") == "1" {
		return "protvirt"
	}
	return ""
}
