package value

import (
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// Bases of size suffixes.
const (
	Base1024 = 1024 // K M G T P E are powers of 1024
	Base1000 = 1000 // … of 1000, as for network and disk bandwidths
)

const sizeSuffixes = "EPTGMKB"

// ParseSize reads a number of bytes such as "1.5G" or "1G 512M": suffixes
// E P T G M K B in falling order, base Base1024 or Base1000.
func ParseSize(s string, base uint64) (uint64, error) {
	rest := strings.TrimLeft(s, whitespace)
	if rest == "" {
		return 0, invalid("size", s)
	}
	var sum uint64
	start := 0
	for rest != "" {
		if rest[0] == '-' {
			return 0, outOfRange("size", s)
		}
		digits := strings.TrimPrefix(rest, "+")
		n := countDigits(digits)
		if n == 0 {
			return 0, invalid("size", s)
		}
		whole, err := strconv.ParseUint(digits[:n], 10, 64)
		if err != nil {
			return 0, outOfRange("size", s)
		}
		digits = digits[n:]
		fraction := ""
		if strings.HasPrefix(digits, ".") {
			n = countDigits(digits[1:])
			fraction, digits = digits[1:1+n], digits[1+n:]
		}
		digits = strings.TrimLeft(digits, whitespace)
		index := len(sizeSuffixes) // no suffix at all
		if digits != "" && !isDigit(digits[0]) {
			index = strings.IndexByte(sizeSuffixes, digits[0])
			if index >= 0 {
				digits = digits[1:]
			}
		}
		if index < start {
			return 0, invalid("size", s)
		}
		if sum, err = addSize(s, sum, whole, fraction, sizeFactor(index, base)); err != nil {
			return 0, err
		}
		start = index + 1
		rest = strings.TrimLeft(digits, whitespace)
	}
	return sum, nil
}

func sizeFactor(index int, base uint64) uint64 {
	factor := uint64(1)
	for ; index < len(sizeSuffixes)-1; index++ {
		factor *= base
	}
	return factor
}

func addSize(s string, sum, whole uint64, fraction string, factor uint64) (uint64, error) {
	high, v := bits.Mul64(whole, factor)
	if high != 0 {
		return 0, outOfRange("size", s)
	}
	if len(fraction) > 18 {
		fraction = fraction[:18]
	}
	if fraction != "" {
		part, err := strconv.ParseFloat("0."+fraction, 64)
		if err != nil {
			return 0, invalid("size", s)
		}
		var carry uint64
		if v, carry = bits.Add64(v, uint64(part*float64(factor)), 0); carry != 0 {
			return 0, outOfRange("size", s)
		}
	}
	total, carry := bits.Add64(sum, v, 0)
	if carry != 0 {
		return 0, outOfRange("size", s)
	}
	return total, nil
}

// FormatBytes writes a size for people, as systemctl status does: "512B",
// "11.1M", "4G". The digit after the point is cut, not rounded, and left out when
// it is 0 (since 257; before, only when nothing was cut).
func FormatBytes(n uint64) string {
	if n == math.MaxUint64 {
		return "infinity"
	}
	for i, shift := 0, 60; shift > 0; i, shift = i+1, shift-10 {
		if n < 1<<shift {
			continue
		}
		s := strconv.FormatUint(n>>shift, 10)
		// Reduced to the next smaller unit first, the way systemd rounds.
		if tenth := (n >> (shift - 10)) % 1024 * 10 / 1024; tenth > 0 {
			s += "." + strconv.FormatUint(tenth, 10)
		}
		return s + sizeSuffixes[i:i+1]
	}
	return strconv.FormatUint(n, 10) + "B"
}

// FormatSize writes a size that ParseSize with Base1024 reads back exactly: the
// largest suffix that divides it, "1536M", "infinity" for the largest number.
func FormatSize(n uint64) string {
	if n == math.MaxUint64 {
		return "infinity"
	}
	for i, shift := 0, 60; shift > 0 && n > 0; i, shift = i+1, shift-10 {
		if n&(1<<shift-1) == 0 {
			return strconv.FormatUint(n>>shift, 10) + sizeSuffixes[i:i+1]
		}
	}
	return strconv.FormatUint(n, 10)
}
