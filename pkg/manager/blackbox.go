package manager

import (
	"encoding/binary"
	"reflect"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/kernel"
)

// blackbox is a page of memory that survives a crash of any kind. It says what the engine was about when it ended: the event and the unit. Writing it
// costs a copy of a name, so it is done before every piece of work.
//
// Layout (offsets in bytes, lengths before texts as little-endian u16): 0 kernel.CrashRecord, 16 format, 20 whether a Step is under way, 24 whether
// it ended by a panic that was caught, 64 unit, 384 event, 512 what the panic said.
type blackbox struct {
	memory *kernel.StateMemory
	page   []byte
}

const (
	boxBytes  = 2048
	boxFormat = 1

	boxAtFormat = 16
	boxAtStep   = 20
	boxAtCaught = 24
	boxAtUnit   = 64
	boxAtEvent  = 384
	boxAtText   = 512
	boxTextMax  = 512
)

// finding is what an earlier image left in the black box.
type finding struct {
	Signal      uint32 // that ended it: SIGABRT a fault, SIGALRM a hang
	Step        bool   // within engine.Step
	Caught      bool   // by a panic, so it was the event and not a signal from outside
	Unit, Event string
	Text        string
}

// openBlackbox maps the memory of the last image (fd ≥ 0), or makes a new one.
func openBlackbox(fd int) (*blackbox, error) {
	if fd >= 0 {
		if memory, err := kernel.MapStateMemory(fd); err == nil && len(memory.Bytes()) >= boxBytes {
			return &blackbox{memory, memory.Bytes()}, nil
		}
	}
	memory, err := kernel.NewStateMemory("muster-crash", boxBytes)
	if err != nil {
		return nil, err
	}
	if err := kernel.SetCloexec(memory.FD(), false); err != nil {
		return nil, err
	}
	b := &blackbox{memory, memory.Bytes()}
	binary.LittleEndian.PutUint32(b.page[boxAtFormat:], boxFormat)
	return b, nil
}

// record is where the crash hook counts.
func (b *blackbox) record() *kernel.CrashRecord {
	return (*kernel.CrashRecord)(unsafe.Pointer(&b.page[0]))
}

func (b *blackbox) put(at, limit int, text string) {
	n := copy(b.page[at+2:at+2+limit], text)
	binary.LittleEndian.PutUint16(b.page[at:], uint16(n))
}

func (b *blackbox) get(at, limit int) string {
	n := min(int(binary.LittleEndian.Uint16(b.page[at:])), limit)
	return string(b.page[at+2 : at+2+n])
}

// begin notes that the engine handles an event; the unit is not known yet.
func (b *blackbox) begin(ev machine.Event) {
	if b != nil {
		b.beginNamed(eventName(ev))
	}
}

// beginNamed is begin for work that no event is behind.
func (b *blackbox) beginNamed(what string) {
	if b == nil {
		return
	}
	b.put(boxAtUnit, boxAtEvent-boxAtUnit-2, "")
	b.put(boxAtEvent, boxAtText-boxAtEvent-2, what)
	b.page[boxAtStep] = 1
}

// unit notes which unit is worked on now.
func (b *blackbox) unit(name string) {
	if b != nil {
		b.put(boxAtUnit, boxAtEvent-boxAtUnit-2, name)
	}
}

func (b *blackbox) end() {
	if b != nil {
		b.page[boxAtStep] = 0
	}
}

// caught notes what a panic said.
func (b *blackbox) caught(text string) {
	if b != nil {
		b.put(boxAtText, boxTextMax, text)
		b.page[boxAtCaught] = 1
	}
}

// take reads what the last image left and clears it.
func (b *blackbox) take() finding {
	f := finding{Signal: b.record().Signal, Step: b.page[boxAtStep] == 1, Caught: b.page[boxAtCaught] == 1}
	if binary.LittleEndian.Uint32(b.page[boxAtFormat:]) != boxFormat {
		f.Step, f.Caught = false, false
	}
	f.Unit, f.Event = b.get(boxAtUnit, boxAtEvent-boxAtUnit-2), b.get(boxAtEvent, boxAtText-boxAtEvent-2)
	if f.Caught {
		f.Text = b.get(boxAtText, boxTextMax)
	}
	b.page[boxAtStep], b.page[boxAtCaught] = 0, 0
	b.record().Signal = 0
	binary.LittleEndian.PutUint32(b.page[boxAtFormat:], boxFormat)
	return f
}

// hung reports whether the heartbeat ended the image.
func (f finding) hung() bool { return f.Signal == uint32(unix.SIGALRM) }

// eventName is the name of an event's type, which a person can look up.
func eventName(ev machine.Event) string {
	if ev == nil {
		return ""
	}
	return reflect.TypeOf(ev).Name()
}
