// Package nft puts elements into sets of nftables and takes them out again (nfnetlink, linux/netfilter/nf_tables.h).
//
// It knows elements of a single value, as sets of control groups, users and groups have them, and nothing else of nftables. Each change is a transaction
// of its own: one that fails takes back no other. Calls wait for the kernel, which may hold its lock for as long as somebody loads many rules: they are
// for workers and children.
package nft

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// Element is one value in a set. Key has the length of the set's type, in the order of bytes of this machine.
type Element struct {
	Family     uint8 // NFPROTO_…
	Table, Set string
	Key        []byte
}

// Key64 is the key of a control group's id.
func Key64(v uint64) []byte { return binary.NativeEndian.AppendUint64(nil, v) }

// Key32 is the key of a user's or a group's number.
func Key32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

const (
	answerSec   = 5 // for a transaction beside somebody else's
	answerBytes = 8 << 10
)

// Change adds the element to its set, or takes it out. What is there already, or not there any more, is no error; a set that isn't there is.
func Change(add bool, e Element) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return fmt.Errorf("nfnetlink: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: answerSec}); err != nil {
		return fmt.Errorf("nfnetlink: %w", err)
	}
	if err := unix.Sendto(fd, transaction(add, e), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("nfnetlink: %w", err)
	}
	buf := make([]byte, answerBytes)
	for {
		n, err := unix.Read(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("nfnetlink: %w", err)
		}
		done, err := answer(buf[:n])
		if err == unix.ENOENT && !add {
			err = nil
		}
		if done || err != nil {
			return err
		}
	}
}

// Sequence numbers of the messages of a transaction; the answers bear them.
const (
	seqBegin = 1 + iota
	seqChange
	seqEnd
)

// transaction is the beginning, the change, which asks for an answer, and the end.
func transaction(add bool, e Element) []byte {
	op, flags := uint16(unix.NFT_MSG_DELSETELEM), uint16(unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	if add {
		op, flags = unix.NFT_MSG_NEWSETELEM, flags|unix.NLM_F_CREATE
	}
	var key, element, elements, body []byte
	key = attribute(key, unix.NFTA_DATA_VALUE, e.Key)
	element = attribute(element, unix.NFTA_SET_ELEM_KEY|unix.NLA_F_NESTED, key)
	elements = attribute(elements, unix.NFTA_LIST_ELEM|unix.NLA_F_NESTED, element)
	body = attribute(body, unix.NFTA_SET_ELEM_LIST_TABLE, append([]byte(e.Table), 0))
	body = attribute(body, unix.NFTA_SET_ELEM_LIST_SET, append([]byte(e.Set), 0))
	body = attribute(body, unix.NFTA_SET_ELEM_LIST_ELEMENTS|unix.NLA_F_NESTED, elements)
	out := message(nil, unix.NFNL_MSG_BATCH_BEGIN, unix.NLM_F_REQUEST, seqBegin, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES, nil)
	out = message(out, unix.NFNL_SUBSYS_NFTABLES<<8|op, flags, seqChange, e.Family, 0, body)
	return message(out, unix.NFNL_MSG_BATCH_END, unix.NLM_F_REQUEST, seqEnd, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES, nil)
}

// message appends a netlink message with the header of nfnetlink; resource is in network order.
func message(out []byte, kind, flags uint16, seq uint32, family uint8, resource uint16, body []byte) []byte {
	out = binary.NativeEndian.AppendUint32(out, uint32(unix.NLMSG_HDRLEN+4+len(body)))
	out = binary.NativeEndian.AppendUint16(out, kind)
	out = binary.NativeEndian.AppendUint16(out, flags)
	out = binary.NativeEndian.AppendUint32(out, seq)
	out = binary.NativeEndian.AppendUint32(out, 0)
	out = append(out, family, unix.NFNETLINK_V0)
	out = binary.BigEndian.AppendUint16(out, resource)
	return append(out, body...)
}

// attribute appends one, filled up to four bytes.
func attribute(out []byte, kind uint16, value []byte) []byte {
	out = binary.NativeEndian.AppendUint16(out, uint16(unix.NLA_HDRLEN+len(value)))
	out = binary.NativeEndian.AppendUint16(out, kind)
	out = append(out, value...)
	for len(out)%unix.NLA_ALIGNTO != 0 {
		out = append(out, 0)
	}
	return out
}

// answer looks for what became of the transaction in a datagram; done: it is about the change or the whole.
func answer(b []byte) (done bool, err error) {
	for len(b) >= unix.NLMSG_HDRLEN+4 {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.NLMSG_HDRLEN+4 || size > len(b) {
			return true, fmt.Errorf("nfnetlink: answer: %w", unix.EBADMSG)
		}
		if binary.NativeEndian.Uint16(b[4:]) == unix.NLMSG_ERROR {
			if code := int32(binary.NativeEndian.Uint32(b[unix.NLMSG_HDRLEN:])); code != 0 {
				return true, unix.Errno(-code)
			}
			done = done || binary.NativeEndian.Uint32(b[8:]) == seqChange
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return done, nil
}
