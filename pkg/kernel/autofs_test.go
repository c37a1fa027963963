package kernel

import (
	"encoding/binary"
	"testing"
)

func TestParseAutofsPacket(t *testing.T) {
	packet := func(kind uint32) []byte {
		b := make([]byte, 304)
		binary.NativeEndian.PutUint32(b, autofsProtocol)
		binary.NativeEndian.PutUint32(b[4:], kind)
		binary.NativeEndian.PutUint32(b[8:], 77)
		binary.NativeEndian.PutUint32(b[32:], 1234)
		return b
	}
	if p, err := ParseAutofsPacket(packet(autofsMissingDirect)); err != nil || p != (AutofsPacket{Token: 77, PID: 1234}) {
		t.Errorf("missing: %+v %v", p, err)
	}
	if p, err := ParseAutofsPacket(packet(autofsExpireDirect)); err != nil || !p.Expire || p.Token != 77 {
		t.Errorf("expire: %+v %v", p, err)
	}
	for name, b := range map[string][]byte{"short": packet(autofsMissingDirect)[:39], "empty": nil, "another type": packet(3)} {
		if p, err := ParseAutofsPacket(b); err == nil {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func TestEncodeDevice(t *testing.T) {
	// Device 0:300 as the kernel's new_encode_dev(9) has it: the minor's upper bits stand above the major.
	if got := encodeDevice(300&0xff | (300&^0xff)<<12); got != 300&0xff|(300&^0xff)<<12 {
		t.Errorf("0:300: %#x", got)
	}
}
