package machine

// DeviceInfo is what udev (or without it the kernel) says about one device that units may be made of.
type DeviceInfo struct {
	Sysfs       string   `json:"sysfs"`           // "/sys/devices/…"
	Node        string   `json:"node,omitempty"`  // "/dev/…", "" none
	Links       []string `json:"links,omitempty"` // symbolic links to the node, and further names from SYSTEMD_ALIAS
	Ready       bool     `json:"ready,omitempty"` // SYSTEMD_READY is not 0
	Wants       []string `json:"wants,omitempty"` // SYSTEMD_WANTS, or SYSTEMD_USER_WANTS for a user manager; valid unit names
	Description string   `json:"description,omitempty"`
}

type (
	// Devices reports devices that came or changed, and those that are gone by their Sysfs. All: Changed is everything there is.
	Devices struct {
		Changed []DeviceInfo
		Gone    []string
		All     bool
	}
	// DeviceFound tells a device unit whether its device is there. Made by the engine.
	DeviceFound struct {
		Sysfs string // of the device, "" it is not there (or not ready)
		InUse bool   // the mount or swap table has it
	}
	// Follower is another name of a unit: Following is the unit that stands for the thing itself.
	Follower interface{ Following() string }
)

func (Devices) event()     {}
func (DeviceFound) event() {}
