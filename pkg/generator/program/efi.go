package program

import (
	"encoding/json"
	"unicode/utf16"
)

// hibernateVariable is where systemd-sleep says what the machine was hibernated to.
const hibernateVariable = "/sys/firmware/efi/efivars/HibernateLocation-8cf2644b-4b0b-428f-9387-6d876050dc67"

// hibernateLocation is the device that the firmware remembers, "" for none. systemd-hibernate-resume checks that the image is of this system.
func (m *machine) hibernateLocation() string {
	if m.container() != "" {
		return ""
	}
	var location struct {
		UUID string `json:"uuid"`
	}
	text := efiString(m.read(hibernateVariable))
	if text == "" || json.Unmarshal([]byte(text), &location) != nil || !isUUID(location.UUID) {
		return ""
	}
	return "/dev/disk/by-uuid/" + location.UUID
}

// efiString decodes a variable of efivarfs: four bytes of attributes, then UTF-16 with a NUL at the end.
func efiString(data string) string {
	if len(data) < 4 {
		return ""
	}
	data = data[4:]
	units := make([]uint16, 0, len(data)/2)
	for i := 0; i+1 < len(data); i += 2 {
		u := uint16(data[i]) | uint16(data[i+1])<<8
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}

// isUUID reports 36 characters of hexadecimal digits and dashes.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i] | 0x20
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (s[i] == '-') || !dash && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
