package sandbox

import (
	"encoding/hex"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/kernel"
)

// maxReason bounds what muster-verity says, in bytes.
const maxReason = 512

// vouch asks muster-verity whether a signature of a root hash is by somebody of /etc/verity.d and its like (systemd.exec(5),
// RootHashSignature=). It sees what the host sees: our root is still that.
func vouch(helper string, rootHash, signature []byte) error {
	request, err := unix.MemfdCreate("verity", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(request)
	data := append(append(hex.AppendEncode(nil, rootHash), '\n'), signature...)
	if n, err := unix.Pwrite(request, data, 0); err != nil || n != len(data) {
		return errors.Join(err, unix.EIO)
	}
	answer, err := unix.MemfdCreate("verity-answer", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(answer)
	var l kernel.OpList
	l.Dup(plan.ExitNamespace, request, 0)
	l.Dup(plan.ExitNamespace, answer, 1)
	l.Dup(plan.ExitNamespace, answer, 2)
	l.Exec(plan.ExitNamespace, helper, []string{"muster-verity"}, nil)
	child, err := kernel.Spawn(&l, kernel.SpawnOptions{})
	if err != nil {
		return err
	}
	unix.Close(child.PidFD)
	status, err := rawWait(child.Pid)
	if err != nil {
		return err
	}
	if r := child.Release(); r.Errno != 0 {
		return errors.New(helper + ": " + r.Errno.Error())
	}
	if status == 0 {
		return nil
	}
	var why [maxReason]byte
	n, _ := unix.Pread(answer, why[:], 0)
	if n <= 0 {
		return errors.New(helper + " failed")
	}
	return errors.New(string(why[:n]))
}
