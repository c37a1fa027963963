package bus

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrorName is the name of a D-Bus error.
type ErrorName string

// Errors of the D-Bus specification and of the bus daemon.
const (
	ErrFailed                   ErrorName = "org.freedesktop.DBus.Error.Failed"
	ErrNoMemory                 ErrorName = "org.freedesktop.DBus.Error.NoMemory"
	ErrServiceUnknown           ErrorName = "org.freedesktop.DBus.Error.ServiceUnknown"
	ErrNameHasNoOwner           ErrorName = "org.freedesktop.DBus.Error.NameHasNoOwner"
	ErrNoReply                  ErrorName = "org.freedesktop.DBus.Error.NoReply"
	ErrIOError                  ErrorName = "org.freedesktop.DBus.Error.IOError"
	ErrBadAddress               ErrorName = "org.freedesktop.DBus.Error.BadAddress"
	ErrNotSupported             ErrorName = "org.freedesktop.DBus.Error.NotSupported"
	ErrLimitsExceeded           ErrorName = "org.freedesktop.DBus.Error.LimitsExceeded"
	ErrAccessDenied             ErrorName = "org.freedesktop.DBus.Error.AccessDenied"
	ErrAuthFailed               ErrorName = "org.freedesktop.DBus.Error.AuthFailed"
	ErrNoServer                 ErrorName = "org.freedesktop.DBus.Error.NoServer"
	ErrTimeout                  ErrorName = "org.freedesktop.DBus.Error.Timeout"
	ErrTimedOut                 ErrorName = "org.freedesktop.DBus.Error.TimedOut"
	ErrNoNetwork                ErrorName = "org.freedesktop.DBus.Error.NoNetwork"
	ErrAddressInUse             ErrorName = "org.freedesktop.DBus.Error.AddressInUse"
	ErrDisconnected             ErrorName = "org.freedesktop.DBus.Error.Disconnected"
	ErrInvalidArgs              ErrorName = "org.freedesktop.DBus.Error.InvalidArgs"
	ErrFileNotFound             ErrorName = "org.freedesktop.DBus.Error.FileNotFound"
	ErrFileExists               ErrorName = "org.freedesktop.DBus.Error.FileExists"
	ErrUnknownMethod            ErrorName = "org.freedesktop.DBus.Error.UnknownMethod"
	ErrUnknownObject            ErrorName = "org.freedesktop.DBus.Error.UnknownObject"
	ErrUnknownInterface         ErrorName = "org.freedesktop.DBus.Error.UnknownInterface"
	ErrUnknownProperty          ErrorName = "org.freedesktop.DBus.Error.UnknownProperty"
	ErrPropertyReadOnly         ErrorName = "org.freedesktop.DBus.Error.PropertyReadOnly"
	ErrUnixProcessIDUnknown     ErrorName = "org.freedesktop.DBus.Error.UnixProcessIdUnknown"
	ErrInvalidSignature         ErrorName = "org.freedesktop.DBus.Error.InvalidSignature"
	ErrInvalidFileContent       ErrorName = "org.freedesktop.DBus.Error.InvalidFileContent"
	ErrInconsistentMessage      ErrorName = "org.freedesktop.DBus.Error.InconsistentMessage"
	ErrMatchRuleNotFound        ErrorName = "org.freedesktop.DBus.Error.MatchRuleNotFound"
	ErrMatchRuleInvalid         ErrorName = "org.freedesktop.DBus.Error.MatchRuleInvalid"
	ErrObjectPathInUse          ErrorName = "org.freedesktop.DBus.Error.ObjectPathInUse"
	ErrInteractiveAuthorization ErrorName = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
	ErrSELinuxContextUnknown    ErrorName = "org.freedesktop.DBus.Error.SELinuxSecurityContextUnknown"
)

// Errors of org.freedesktop.systemd1, see org.freedesktop.systemd1(5).
const (
	ErrNoSuchUnit                 ErrorName = "org.freedesktop.systemd1.NoSuchUnit"
	ErrNoSuchProcess              ErrorName = "org.freedesktop.systemd1.NoSuchProcess"
	ErrNoUnitForPID               ErrorName = "org.freedesktop.systemd1.NoUnitForPID"
	ErrNoUnitForInvocationID      ErrorName = "org.freedesktop.systemd1.NoUnitForInvocationID"
	ErrUnitExists                 ErrorName = "org.freedesktop.systemd1.UnitExists"
	ErrLoadFailed                 ErrorName = "org.freedesktop.systemd1.LoadFailed"
	ErrBadUnitSetting             ErrorName = "org.freedesktop.systemd1.BadUnitSetting"
	ErrJobFailed                  ErrorName = "org.freedesktop.systemd1.JobFailed"
	ErrNoSuchJob                  ErrorName = "org.freedesktop.systemd1.NoSuchJob"
	ErrNotSubscribed              ErrorName = "org.freedesktop.systemd1.NotSubscribed"
	ErrAlreadySubscribed          ErrorName = "org.freedesktop.systemd1.AlreadySubscribed"
	ErrOnlyByDependency           ErrorName = "org.freedesktop.systemd1.OnlyByDependency"
	ErrTransactionJobsConflicting ErrorName = "org.freedesktop.systemd1.TransactionJobsConflicting"
	ErrTransactionOrderIsCyclic   ErrorName = "org.freedesktop.systemd1.TransactionOrderIsCyclic"
	ErrTransactionIsDestructive   ErrorName = "org.freedesktop.systemd1.TransactionIsDestructive"
	ErrUnitMasked                 ErrorName = "org.freedesktop.systemd1.UnitMasked"
	ErrUnitGenerated              ErrorName = "org.freedesktop.systemd1.UnitGenerated"
	ErrUnitLinked                 ErrorName = "org.freedesktop.systemd1.UnitLinked"
	ErrJobTypeNotApplicable       ErrorName = "org.freedesktop.systemd1.JobTypeNotApplicable"
	ErrConcurrencyLimitReached    ErrorName = "org.freedesktop.systemd1.ConcurrencyLimitReached"
	ErrNoIsolation                ErrorName = "org.freedesktop.systemd1.NoIsolation"
	ErrShuttingDown               ErrorName = "org.freedesktop.systemd1.ShuttingDown"
	ErrScopeNotRunning            ErrorName = "org.freedesktop.systemd1.ScopeNotRunning"
	ErrNoSuchDynamicUser          ErrorName = "org.freedesktop.systemd1.NoSuchDynamicUser"
	ErrNotReferenced              ErrorName = "org.freedesktop.systemd1.NotReferenced"
	ErrDiskFull                   ErrorName = "org.freedesktop.systemd1.DiskFull"
	ErrUnitBadPath                ErrorName = "org.freedesktop.systemd1.UnitBadPath"
	ErrNothingToClean             ErrorName = "org.freedesktop.systemd1.NothingToClean"
	ErrUnitBusy                   ErrorName = "org.freedesktop.systemd1.UnitBusy"
	ErrUnitInactive               ErrorName = "org.freedesktop.systemd1.UnitInactive"
	ErrFreezeCancelled            ErrorName = "org.freedesktop.systemd1.FreezeCancelled"
	ErrFrozenByParent             ErrorName = "org.freedesktop.systemd1.FrozenByParent"
	ErrFDStoreDisabled            ErrorName = "org.freedesktop.systemd1.FileDescriptorStoreDisabled"
)

// systemErrorPrefix begins the names of errno values that have no D-Bus name
// of their own: System.Error.EBUSY.
const systemErrorPrefix = "System.Error."

// Error is an error as it travels over D-Bus: a name for programs, a message
// for people.
type Error struct {
	Name    ErrorName
	Message string
}

// Errorf makes an Error.
func Errorf(name ErrorName, format string, args ...any) *Error {
	return &Error{Name: name, Message: fmt.Sprintf(format, args...)}
}

// Error is the message, or the name where there is none.
func (e *Error) Error() string {
	if e.Message == "" {
		return string(e.Name)
	}
	return e.Message
}

// Is makes errors.Is compare the names of two Errors, and an Error with the
// errno it stands for.
func (e *Error) Is(target error) bool {
	switch t := target.(type) {
	case *Error:
		return t.Name == e.Name
	case unix.Errno:
		return e.Errno() == t
	}
	return false
}

// Errno is the errno the name stands for, EIO for names nobody knows.
func (e *Error) Errno() unix.Errno {
	if n, ok := strings.CutPrefix(string(e.Name), systemErrorPrefix); ok {
		if no, ok := errnoByName(n); ok {
			return no
		}
		return unix.EIO
	}
	if no, ok := errnoOfName[e.Name]; ok {
		return no
	}
	return unix.EIO
}

// HasName reports whether err is, or wraps, an Error of this name.
func HasName(err error, name ErrorName) bool {
	var e *Error
	return errors.As(err, &e) && e.Name == name
}

// ErrorOf is err as an Error: the Error inside it, with the text of what
// wraps it; the name of the errno inside it; or ErrFailed.
func ErrorOf(err error) *Error {
	if e, ok := err.(*Error); ok {
		return e
	}
	var e *Error
	if errors.As(err, &e) {
		return &Error{Name: e.Name, Message: err.Error()}
	}
	var no unix.Errno
	if errors.As(err, &no) {
		return &Error{Name: NameOfErrno(no), Message: err.Error()}
	}
	return &Error{Name: ErrFailed, Message: err.Error()}
}

// NameOfErrno is the error name an errno travels under.
func NameOfErrno(no unix.Errno) ErrorName {
	if n, ok := nameOfErrno[no]; ok {
		return n
	}
	if n := unix.ErrnoName(no); n != "" {
		return ErrorName(systemErrorPrefix + n)
	}
	return ErrFailed
}

// nameOfErrno and errnoOfName are what sd_bus_error_set_errno(3) and
// sd_bus_error_get_errno(3) of systemd 252 to 258 answer. Names that are not
// in errnoOfName stand for EIO.
var nameOfErrno = map[unix.Errno]ErrorName{
	unix.EPERM:         ErrAccessDenied,
	unix.EACCES:        ErrAccessDenied,
	unix.ENOENT:        ErrFileNotFound,
	unix.ESRCH:         ErrUnixProcessIDUnknown,
	unix.EIO:           ErrIOError,
	unix.ENOMEM:        ErrNoMemory,
	unix.EEXIST:        ErrFileExists,
	unix.EINVAL:        ErrInvalidArgs,
	unix.ETIME:         ErrTimeout,
	unix.ETIMEDOUT:     ErrTimeout,
	unix.EBADMSG:       ErrInconsistentMessage,
	unix.ENOTSUP:       ErrNotSupported,
	unix.EADDRINUSE:    ErrAddressInUse,
	unix.EADDRNOTAVAIL: ErrBadAddress,
	unix.ENETRESET:     ErrDisconnected,
	unix.ECONNABORTED:  ErrDisconnected,
	unix.ECONNRESET:    ErrDisconnected,
	unix.ENOBUFS:       ErrLimitsExceeded,
}

var errnoOfName = map[ErrorName]unix.Errno{
	ErrAccessDenied:             unix.EACCES,
	ErrAddressInUse:             unix.EADDRINUSE,
	ErrAuthFailed:               unix.EACCES,
	ErrBadAddress:               unix.EADDRNOTAVAIL,
	ErrDisconnected:             unix.ECONNRESET,
	ErrFailed:                   unix.EACCES,
	ErrFileExists:               unix.EEXIST,
	ErrFileNotFound:             unix.ENOENT,
	ErrIOError:                  unix.EIO,
	ErrInconsistentMessage:      unix.EBADMSG,
	ErrInteractiveAuthorization: unix.EACCES,
	ErrInvalidArgs:              unix.EINVAL,
	ErrInvalidFileContent:       unix.EINVAL,
	ErrInvalidSignature:         unix.EINVAL,
	ErrLimitsExceeded:           unix.ENOBUFS,
	ErrMatchRuleInvalid:         unix.EINVAL,
	ErrMatchRuleNotFound:        unix.ENOENT,
	ErrNameHasNoOwner:           unix.ENXIO,
	ErrNoMemory:                 unix.ENOMEM,
	ErrNoNetwork:                unix.ENONET,
	ErrNoReply:                  unix.ETIMEDOUT,
	ErrNoServer:                 unix.EHOSTDOWN,
	ErrNotSupported:             unix.ENOTSUP,
	ErrObjectPathInUse:          unix.EBUSY,
	ErrPropertyReadOnly:         unix.EROFS,
	ErrSELinuxContextUnknown:    unix.ESRCH,
	ErrServiceUnknown:           unix.EHOSTUNREACH,
	ErrTimedOut:                 unix.ETIMEDOUT,
	ErrTimeout:                  unix.ETIMEDOUT,
	ErrUnixProcessIDUnknown:     unix.ESRCH,
	ErrUnknownInterface:         unix.EBADR,
	ErrUnknownMethod:            unix.EBADR,
	ErrUnknownObject:            unix.EBADR,
	ErrUnknownProperty:          unix.EBADR,

	ErrNoSuchUnit:                 unix.ENOENT,
	ErrNoSuchProcess:              unix.ESRCH,
	ErrNoUnitForPID:               unix.ESRCH,
	ErrNoUnitForInvocationID:      unix.ENOENT,
	ErrUnitExists:                 unix.EEXIST,
	ErrLoadFailed:                 unix.EIO,
	ErrBadUnitSetting:             unix.ENOEXEC,
	ErrJobFailed:                  unix.EREMOTEIO,
	ErrNoSuchJob:                  unix.ENOENT,
	ErrNotSubscribed:              unix.EINVAL,
	ErrAlreadySubscribed:          unix.EINVAL,
	ErrOnlyByDependency:           unix.EINVAL,
	ErrTransactionJobsConflicting: unix.EDEADLK,
	ErrTransactionOrderIsCyclic:   unix.EDEADLK,
	ErrTransactionIsDestructive:   unix.EDEADLK,
	ErrUnitMasked:                 unix.ERFKILL,
	ErrUnitGenerated:              unix.EADDRNOTAVAIL,
	ErrUnitLinked:                 unix.ELOOP,
	ErrJobTypeNotApplicable:       unix.EBADR,
	ErrConcurrencyLimitReached:    unix.ETOOMANYREFS,
	ErrNoIsolation:                unix.EPERM,
	ErrShuttingDown:               unix.ECANCELED,
	ErrScopeNotRunning:            unix.EHOSTDOWN,
	ErrNoSuchDynamicUser:          unix.ESRCH,
	ErrNotReferenced:              unix.EUNATCH,
	ErrDiskFull:                   unix.ENOSPC,
	ErrUnitBusy:                   unix.EBUSY,
	ErrUnitInactive:               unix.EHOSTDOWN,
	ErrFreezeCancelled:            unix.ECANCELED,
	ErrFrozenByParent:             unix.EDEADLK,
	ErrFDStoreDisabled:            unix.EHOSTDOWN,
}

// errnoByName looks up a name such as ENOENT. It is slow and rare.
func errnoByName(name string) (unix.Errno, bool) {
	for no := unix.Errno(1); no < 256; no++ {
		if unix.ErrnoName(no) == name {
			return no, true
		}
	}
	return 0, false
}
