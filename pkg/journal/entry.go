package journal

import (
	"encoding/binary"
	"strconv"
	"strings"
)

const (
	// SocketPath is where journald takes native entries.
	SocketPath = "/run/systemd/journal/socket"
	// StreamPath is where journald takes streams.
	StreamPath = "/run/systemd/journal/stdout"

	// maxFieldName is the length of the longest field name.
	maxFieldName = 64
)

// Syslog priorities, see syslog(3).
const (
	PriEmerg   = 0
	PriAlert   = 1
	PriCrit    = 2
	PriErr     = 3
	PriWarning = 4
	PriNotice  = 5
	PriInfo    = 6
	PriDebug   = 7
)

// FacilityDaemon is the syslog facility of the manager and of services.
const FacilityDaemon = 3

// Fields the manager's own entries carry, besides MESSAGE and PRIORITY.
const (
	FieldMessage          = "MESSAGE"
	FieldMessageID        = "MESSAGE_ID"
	FieldPriority         = "PRIORITY"
	FieldFacility         = "SYSLOG_FACILITY"
	FieldIdentifier       = "SYSLOG_IDENTIFIER"
	FieldTID              = "TID"
	FieldCodeFile         = "CODE_FILE"
	FieldCodeLine         = "CODE_LINE"
	FieldCodeFunc         = "CODE_FUNC"
	FieldErrno            = "ERRNO"
	FieldUnit             = "UNIT"      // of the system manager
	FieldUserUnit         = "USER_UNIT" // of a user manager
	FieldInvocationID     = "INVOCATION_ID"
	FieldUserInvocationID = "USER_INVOCATION_ID"
	FieldJobID            = "JOB_ID"
	FieldJobType          = "JOB_TYPE"
	FieldJobResult        = "JOB_RESULT"
	FieldUnitResult       = "UNIT_RESULT"
	FieldExitCode         = "EXIT_CODE"
	FieldExitStatus       = "EXIT_STATUS"
	FieldCommand          = "COMMAND"
	FieldExecutable       = "EXECUTABLE"
	FieldNRestarts        = "N_RESTARTS"
	FieldConfigFile       = "CONFIG_FILE"
	FieldConfigLine       = "CONFIG_LINE"
	FieldTaint            = "TAINT"
	FieldWhere            = "WHERE"
)

// ValidFieldName reports whether a sender may use name: capital letters,
// digits and underscores, at most 64, neither a digit nor an underscore first
// (journald sets those itself).
func ValidFieldName(name string) bool {
	if name == "" || len(name) > maxFieldName || name[0] == '_' || name[0] >= '0' && name[0] <= '9' {
		return false
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// Entry is one log entry in wire form. The zero value is ready; Reset keeps
// the buffer, so one Entry serves all messages without allocating.
type Entry struct {
	buf []byte
}

// Reset empties the entry.
func (e *Entry) Reset() { e.buf = e.buf[:0] }

// Bytes is the wire form, valid until the next change.
func (e *Entry) Bytes() []byte { return e.buf }

// Add appends a field with any value: NAME=value where the value is one line,
// the form with a length where it is not. A name a sender must not use is
// dropped: journald would drop it too.
func (e *Entry) Add(name, value string) {
	if !ValidFieldName(name) {
		return
	}
	e.buf = append(e.buf, name...)
	if strings.IndexByte(value, '\n') < 0 {
		e.buf = append(e.buf, '=')
	} else {
		e.buf = append(e.buf, '\n')
		e.buf = binary.LittleEndian.AppendUint64(e.buf, uint64(len(value)))
	}
	e.buf = append(e.buf, value...)
	e.buf = append(e.buf, '\n')
}

// AddInt appends a field with a decimal value.
func (e *Entry) AddInt(name string, value int64) {
	if ValidFieldName(name) {
		e.buf = append(append(e.buf, name...), '=')
		e.buf = strconv.AppendInt(e.buf, value, 10)
		e.buf = append(e.buf, '\n')
	}
}

// Begin resets the entry and adds what each of the manager's messages has.
// identifier is "systemd" for a manager that wants to be found by its usual
// name.
func (e *Entry) Begin(identifier string, priority int, message string) {
	e.Reset()
	e.AddInt(FieldPriority, int64(priority))
	e.AddInt(FieldFacility, FacilityDaemon)
	e.Add(FieldIdentifier, identifier)
	e.Add(FieldMessage, message)
}
