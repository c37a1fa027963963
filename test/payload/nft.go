package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Sets of nftables, as nft(8) would make and list them: FAMILY,TABLE,SET[,BYTES].

var nftFamilies = map[string]uint8{"inet": unix.NFPROTO_INET, "ip": unix.NFPROTO_IPV4, "ip6": unix.NFPROTO_IPV6}

type nftSet struct {
	family     uint8
	table, set string
	bytes      uint32 // of a key
}

func parseNFT(argument string) (nftSet, error) {
	f := strings.Split(argument, ",")
	if len(f) < 3 || nftFamilies[f[0]] == 0 {
		return nftSet{}, fmt.Errorf("want FAMILY,TABLE,SET, got %q", argument)
	}
	s := nftSet{family: nftFamilies[f[0]], table: f[1], set: f[2]}
	if len(f) > 3 {
		n, err := strconv.ParseUint(f[3], 10, 8)
		if err != nil {
			return s, err
		}
		s.bytes = uint32(n)
	}
	return s, nil
}

// nftMake makes a table, if need be, and in it a set whose keys have BYTES.
func nftMake(argument string) error {
	s, err := parseNFT(argument)
	if err != nil {
		return err
	}
	var body []byte
	body = nftText(body, unix.NFTA_SET_TABLE, s.table)
	body = nftText(body, unix.NFTA_SET_NAME, s.set)
	body = nftNumber(body, unix.NFTA_SET_FLAGS, 0)
	body = nftNumber(body, unix.NFTA_SET_KEY_TYPE, 0)
	body = nftNumber(body, unix.NFTA_SET_KEY_LEN, s.bytes)
	body = nftNumber(body, unix.NFTA_SET_ID, 1)
	const create = unix.NLM_F_REQUEST | unix.NLM_F_CREATE
	out := nftMessage(nil, unix.NFNL_MSG_BATCH_BEGIN, unix.NLM_F_REQUEST, 0, unix.NFNL_SUBSYS_NFTABLES, nil)
	out = nftMessage(out, unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWTABLE, create, s.family, 0, nftText(nil, unix.NFTA_TABLE_NAME, s.table))
	out = nftMessage(out, unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWSET, create|unix.NLM_F_ACK, s.family, 0, body)
	out = nftMessage(out, unix.NFNL_MSG_BATCH_END, unix.NLM_F_REQUEST, 0, unix.NFNL_SUBSYS_NFTABLES, nil)
	return nftTalk(out, func(uint16, []byte) {})
}

// nftList prints the keys of a set as numbers, sorted, in one line.
func nftList(argument string) error {
	s, err := parseNFT(argument)
	if err != nil {
		return err
	}
	body := nftText(nftText(nil, unix.NFTA_SET_ELEM_LIST_TABLE, s.table), unix.NFTA_SET_ELEM_LIST_SET, s.set)
	out := nftMessage(nil, unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETSETELEM, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, s.family, 0, body)
	var keys []uint64
	err = nftTalk(out, func(kind uint16, body []byte) {
		if kind != unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWSETELEM {
			return
		}
		for _, element := range nftAll(nftFind(body, unix.NFTA_SET_ELEM_LIST_ELEMENTS), unix.NFTA_LIST_ELEM) {
			key := nftFind(nftFind(element, unix.NFTA_SET_ELEM_KEY), unix.NFTA_DATA_VALUE)
			switch len(key) {
			case 4:
				keys = append(keys, uint64(binary.NativeEndian.Uint32(key)))
			case 8:
				keys = append(keys, binary.NativeEndian.Uint64(key))
			}
		}
	})
	if err != nil {
		return err
	}
	slices.Sort(keys)
	var words []string
	for _, k := range keys {
		words = append(words, strconv.FormatUint(k, 10))
	}
	fmt.Println(strings.Join(words, " "))
	return nil
}

func nftMessage(out []byte, kind, flags uint16, family uint8, resource uint16, body []byte) []byte {
	out = binary.NativeEndian.AppendUint32(out, uint32(20+len(body)))
	out = binary.NativeEndian.AppendUint16(out, kind)
	out = binary.NativeEndian.AppendUint16(out, flags)
	out = append(out, make([]byte, 8)...)
	out = append(out, family, unix.NFNETLINK_V0)
	out = binary.BigEndian.AppendUint16(out, resource)
	return append(out, body...)
}

func nftText(out []byte, kind uint16, text string) []byte {
	out = binary.NativeEndian.AppendUint16(out, uint16(4+len(text)+1))
	out = binary.NativeEndian.AppendUint16(out, kind)
	out = append(append(out, text...), 0)
	for len(out)%4 != 0 {
		out = append(out, 0)
	}
	return out
}

func nftNumber(out []byte, kind uint16, n uint32) []byte {
	out = binary.NativeEndian.AppendUint16(out, 8)
	out = binary.NativeEndian.AppendUint16(out, kind)
	return binary.BigEndian.AppendUint32(out, n)
}

// nftTalk sends messages and reads what is answered, until the end or an error.
func nftTalk(out []byte, each func(kind uint16, body []byte)) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	buf := make([]byte, 1<<16)
	for {
		n, err := unix.Read(fd, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		for b := buf[:n]; len(b) >= 20; {
			size := int(binary.NativeEndian.Uint32(b))
			switch kind := binary.NativeEndian.Uint16(b[4:]); kind {
			case unix.NLMSG_DONE:
				return nil
			case unix.NLMSG_ERROR:
				if code := int32(binary.NativeEndian.Uint32(b[16:])); code != 0 {
					return unix.Errno(-code)
				}
				return nil
			default:
				each(kind, b[20:size])
			}
			b = b[min(len(b), (size+3)&^3):]
		}
	}
}

// nftAll gives the values of the attributes of one kind, nftFind that of the first.
func nftAll(b []byte, kind uint16) (list [][]byte) {
	for len(b) >= 4 {
		size := int(binary.NativeEndian.Uint16(b))
		if size < 4 || size > len(b) {
			return list
		}
		if binary.NativeEndian.Uint16(b[2:])&^uint16(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER) == kind {
			list = append(list, b[4:size])
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return list
}

func nftFind(b []byte, kind uint16) []byte {
	if list := nftAll(b, kind); len(list) > 0 {
		return list[0]
	}
	return nil
}
