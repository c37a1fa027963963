package nft

import (
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// The length of each message covers exactly its attributes, so that the kernel finds the next one.
func TestTransaction(t *testing.T) {
	e := Element{Family: unix.NFPROTO_INET, Table: "filter", Set: "web", Key: Key64(0x1122334455667788)}
	for _, add := range []bool{true, false} {
		var kinds []uint16
		b := transaction(add, e)
		for len(b) > 0 {
			size := int(binary.NativeEndian.Uint32(b))
			if size < 20 || size > len(b) || size%4 != 0 {
				t.Fatalf("a message of %d bytes in %d", size, len(b))
			}
			kinds = append(kinds, binary.NativeEndian.Uint16(b[4:]))
			b = b[size:]
		}
		want := unix.NFNL_SUBSYS_NFTABLES<<8 | uint16(unix.NFT_MSG_DELSETELEM)
		if add {
			want = unix.NFNL_SUBSYS_NFTABLES<<8 | uint16(unix.NFT_MSG_NEWSETELEM)
		}
		if len(kinds) != 3 || kinds[0] != unix.NFNL_MSG_BATCH_BEGIN || kinds[1] != want || kinds[2] != unix.NFNL_MSG_BATCH_END {
			t.Errorf("messages %x", kinds)
		}
	}
}

func TestAnswer(t *testing.T) {
	say := func(seq uint32, code int32) []byte {
		b := message(nil, unix.NLMSG_ERROR, 0, seq, 0, 0, make([]byte, 16))
		binary.NativeEndian.PutUint32(b[unix.NLMSG_HDRLEN:], uint32(code))
		return b
	}
	for _, c := range []struct {
		text []byte
		done bool
		err  error
	}{
		{say(seqChange, 0), true, nil},
		{say(seqBegin, 0), false, nil},
		{append(say(seqBegin, 0), say(seqChange, 0)...), true, nil},
		{say(seqChange, -int32(unix.ENOENT)), true, unix.ENOENT},
		{say(seqBegin, -int32(unix.EPERM)), true, unix.EPERM},
		{append(say(seqBegin, 0), say(seqChange, -int32(unix.EPERM))...), true, unix.EPERM},
		{nil, false, nil},
		{make([]byte, 36), true, unix.EBADMSG},
		{say(seqChange, 0)[:21], true, unix.EBADMSG},
	} {
		if done, err := answer(c.text); done != c.done || !errors.Is(err, c.err) {
			t.Errorf("%x: %v, %v, want %v, %v", c.text, done, err, c.done, c.err)
		}
	}
}
