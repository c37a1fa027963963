package sandbox

import (
	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/spawn"
)

// utmp writes the records of UtmpIdentifier=. Systems without the files, as
// newer ones are, simply have none.
func utmp(r *run) *plan.Failure {
	u := r.p.Utmp
	rec := spawn.UtmpRecord{PID: int32(unix.Getpid()), Session: int32(unix.Getpid()), ID: u.ID, Line: u.Line}
	if u.Mode == "user" && r.p.Identity != nil {
		rec.User = r.p.Identity.Name
	}
	types := []int16{spawn.UtmpInit}
	if u.Mode != "init" {
		types = append(types, spawn.UtmpLogin)
	}
	if u.Mode == "user" {
		types = append(types, spawn.UtmpUser)
	}
	for _, t := range types {
		rec.Type = t
		// Records are for who(1); a service starts without them.
		_ = spawn.WriteUtmp(rec)
	}
	return nil
}
