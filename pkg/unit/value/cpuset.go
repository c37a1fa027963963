package value

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// indexMax is above every CPU and NUMA node number.
const indexMax = 8192

// IndexSet is a set of CPU or NUMA node numbers, a bit per number; the last word
// is never 0.
type IndexSet []uint64

// errReversed marks a range that ends before it starts.
var errReversed = fmt.Errorf("ends before it starts: %w", ErrInvalid)

// ParseIndexSet reads numbers and ranges divided by commas or white space:
// "0-3,5 7". A range the wrong way round is left out and told of by err, and the
// set is not nil; anything else that is wrong spoils the list and the set is nil.
func ParseIndexSet(s string) (IndexSet, error) {
	set := IndexSet{}
	var errs []error
	r := WordReader{Rest: s, Separators: whitespace + ",", Flags: WordUnquote}
	for {
		word, ok, err := r.Next()
		if err != nil {
			return nil, err
		}
		if !ok {
			return set, errors.Join(errs...)
		}
		from, to, err := ParseIndexRange(word)
		if errors.Is(err, errReversed) {
			errs = append(errs, err)
			continue
		}
		if err != nil {
			return nil, err
		}
		for i := from; i <= to; i++ {
			set.Add(i)
		}
	}
}

// ParseIndexRange reads "5" or "0-3", numbers below 8192.
func ParseIndexRange(s string) (from, to int, err error) {
	low, high, isRange := strings.Cut(s, "-")
	if !isRange {
		high = low
	}
	a, err := ParseUint(low, 32)
	if err != nil {
		return 0, 0, invalid("index", s)
	}
	b, err := ParseUint(high, 32)
	if err != nil {
		return 0, 0, invalid("index", s)
	}
	if a > b {
		return 0, 0, newError("index range", s, "ends before it starts", errReversed)
	}
	if b >= indexMax {
		return 0, 0, outOfRange("index", s)
	}
	return int(a), int(b), nil
}

// Add puts a number from 0 to 8191 into the set; others are ignored.
func (s *IndexSet) Add(i int) {
	if i < 0 || i >= indexMax {
		return
	}
	for len(*s) <= i/64 {
		*s = append(*s, 0)
	}
	(*s)[i/64] |= 1 << (i % 64)
}

// Merge adds all members of other.
func (s *IndexSet) Merge(other IndexSet) {
	for len(*s) < len(other) {
		*s = append(*s, 0)
	}
	for i, word := range other {
		(*s)[i] |= word
	}
}

// Has says whether i is in the set.
func (s IndexSet) Has(i int) bool { return i >= 0 && i/64 < len(s) && s[i/64]>>(i%64)&1 != 0 }

// Empty says whether nothing is in the set.
func (s IndexSet) Empty() bool { return s.Count() == 0 }

// Count is the number of members.
func (s IndexSet) Count() int {
	n := 0
	for _, word := range s {
		n += bits.OnesCount64(word)
	}
	return n
}

// Members are the numbers in the set in rising order.
func (s IndexSet) Members() []int {
	var list []int
	for i := range len(s) * 64 {
		if s.Has(i) {
			list = append(list, i)
		}
	}
	return list
}

// Bytes is the set as a mask for D-Bus, bit n%8 of byte n/8, without zeros at the
// end.
func (s IndexSet) Bytes() []byte {
	var mask []byte
	for i := range len(s) * 8 {
		mask = append(mask, byte(s[i/8]>>(i%8*8)))
	}
	for len(mask) > 0 && mask[len(mask)-1] == 0 {
		mask = mask[:len(mask)-1]
	}
	return mask
}

// IndexSetFromBytes is the inverse of Bytes.
func IndexSetFromBytes(mask []byte) (IndexSet, error) {
	var s IndexSet
	for i, b := range mask {
		for ; b != 0; b &= b - 1 {
			n := i*8 + bits.TrailingZeros8(b)
			if n >= indexMax {
				return nil, outOfRange("index", strconv.Itoa(n))
			}
			s.Add(n)
		}
	}
	return s, nil
}

// String writes the normal form as systemctl shows it: "0-3 5 7".
func (s IndexSet) String() string { return s.format(" ") }

// FormatKernel writes the form of cpuset.cpus: "0-3,5,7".
func (s IndexSet) FormatKernel() string { return s.format(",") }

func (s IndexSet) format(separator string) string {
	var parts []string
	for i := 0; i < len(s)*64; i++ {
		if !s.Has(i) {
			continue
		}
		part := strconv.Itoa(i)
		end := i
		for s.Has(end + 1) {
			end++
		}
		if end > i {
			part += "-" + strconv.Itoa(end)
		}
		parts = append(parts, part)
		i = end
	}
	return strings.Join(parts, separator)
}
