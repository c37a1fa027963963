package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"os"
	"strconv"
	"strings"
	"unicode/utf16"
)

const sector = 512

// partitionTypes are those of the Discoverable Partitions Specification that scenarios use.
var partitionTypes = map[string]string{
	"root": "4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "usr": "8484680c-9521-48c6-9c11-b0720656f69e",
	"root-verity": "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5", "root-verity-sig": "41092b05-9fc8-4523-994f-2def0408b176",
	"home": "933ac7e1-2eb4-4f13-b844-0e14e2aef915", "srv": "3b8f8425-20e0-4f3b-907f-1a25a76f98e8",
	"linux-generic": "0fc63daf-8483-4772-8e79-3d69d8477de4", "swap": "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f",
}

// gpt writes OUT,TYPE=FILE[=LABEL[=FLAG[=UUID]]],…: an image with a table of partitions. FLAG is the number of one bit.
func gpt(argument string) error {
	words := strings.Split(argument, ",")
	const entries, entrySize, first = 128, 128, 34
	table := make([]byte, entries*entrySize)
	at := int64(2048)
	out, err := os.Create(words[0])
	if err != nil {
		return err
	}
	defer out.Close()
	for n, word := range words[1:] {
		f := append(strings.Split(word, "="), "", "", "")
		data, err := os.ReadFile(f[1])
		if err != nil {
			return err
		}
		length := (int64(len(data)) + sector - 1) / sector
		if _, err := out.WriteAt(data, at*sector); err != nil {
			return err
		}
		e := table[n*entrySize:][:entrySize]
		kind := f[0]
		if known, ok := partitionTypes[kind]; ok {
			kind = known
		}
		id := fmt.Sprintf("00000000-0000-4000-8000-%012d", n+1)
		if f[4] != "" {
			id = f[4]
		}
		copy(e, mixedUUID(kind))
		copy(e[16:], mixedUUID(id))
		binary.LittleEndian.PutUint64(e[32:], uint64(at))
		binary.LittleEndian.PutUint64(e[40:], uint64(at+length-1))
		if f[3] != "" {
			bit, err := strconv.Atoi(f[3])
			if err != nil {
				return err
			}
			binary.LittleEndian.PutUint64(e[48:], 1<<bit)
		}
		for i, u := range utf16.Encode([]rune(f[2])) {
			binary.LittleEndian.PutUint16(e[56+2*i:], u)
		}
		at += (length + 2047) / 2048 * 2048
	}
	last := at + first
	if err := out.Truncate((last + 1) * sector); err != nil {
		return err
	}
	return writeTables(out, table, last)
}

// writeTables writes the protective record, the table, and its copy at the end.
func writeTables(out *os.File, table []byte, last int64) error {
	const tableSectors = 32
	protective := make([]byte, sector)
	copy(protective[446:], []byte{0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0})
	binary.LittleEndian.PutUint32(protective[458:], uint32(last))
	protective[510], protective[511] = 0x55, 0xaa
	header := func(own, other, entriesAt int64) []byte {
		h := make([]byte, sector)
		le := binary.LittleEndian
		copy(h, "EFI PART")
		le.PutUint32(h[8:], 0x10000)
		le.PutUint32(h[12:], 92)
		le.PutUint64(h[24:], uint64(own))
		le.PutUint64(h[32:], uint64(other))
		le.PutUint64(h[40:], 34)
		le.PutUint64(h[48:], uint64(last-tableSectors-1))
		copy(h[56:], mixedUUID("11111111-2222-4333-8444-555555555555"))
		le.PutUint64(h[72:], uint64(entriesAt))
		le.PutUint32(h[80:], 128)
		le.PutUint32(h[84:], 128)
		le.PutUint32(h[88:], crc32.ChecksumIEEE(table))
		le.PutUint32(h[16:], crc32.ChecksumIEEE(h[:92]))
		return h
	}
	for _, w := range []struct {
		at   int64
		data []byte
	}{
		{0, protective}, {1, header(1, last, 2)}, {2, table}, {last - tableSectors, table}, {last, header(last, 1, last-tableSectors)},
	} {
		if _, err := out.WriteAt(w.data, w.at*sector); err != nil {
			return err
		}
	}
	return nil
}

func mixedUUID(text string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(b) != 16 {
		return make([]byte, 16)
	}
	return []byte{b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]}
}

// verityData writes DATA,HASHES: the hashes of DATA as dm-verity has them, with a superblock in front, and prints the root hash.
func verityData(argument string) error {
	dataFile, hashFile, _ := strings.Cut(argument, ",")
	data, err := os.ReadFile(dataFile)
	if err != nil {
		return err
	}
	const block = 4096
	salt := bytes.Repeat([]byte{0x5a}, 32)
	hash := func(b []byte) []byte {
		s := sha256.New()
		s.Write(salt)
		s.Write(b)
		return s.Sum(nil)
	}
	blocks := len(data) / block
	var levels [][]byte
	for level := data[:blocks*block]; ; {
		var next []byte
		for ; len(level) > 0; level = level[block:] {
			next = append(next, hash(level[:block])...)
		}
		if len(next) == sha256.Size {
			fmt.Println(hex.EncodeToString(next))
			break
		}
		next = append(next, make([]byte, (block-len(next)%block)%block)...)
		levels = append(levels, next)
		level = next
	}
	out := make([]byte, block)
	le := binary.LittleEndian
	copy(out, "verity\x00\x00")
	le.PutUint32(out[8:], 1)
	le.PutUint32(out[12:], 1)
	copy(out[16:], mixedUUID("99999999-8888-4777-8666-555555555555"))
	copy(out[32:], "sha256")
	le.PutUint32(out[64:], block)
	le.PutUint32(out[68:], block)
	le.PutUint64(out[72:], uint64(blocks))
	le.PutUint16(out[80:], uint16(len(salt)))
	copy(out[88:], salt)
	for i := len(levels) - 1; i >= 0; i-- {
		out = append(out, levels[i]...)
	}
	return os.WriteFile(hashFile, out, 0o644)
}
