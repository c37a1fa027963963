package value

import (
	"slices"
	"strings"
)

// PartitionUse is how a partition of a disk image may be used
// (systemd.image-policy(7)). Without any of the first six bits all are allowed.
type PartitionUse uint16

// The ways a partition may be found, and what its flags must say.
const (
	UseVerity PartitionUse = 1 << iota
	UseSigned
	UseEncrypted
	UseUnprotected
	UseUnused // it may be there, and is left alone
	UseAbsent
	UseReadOnlyOn
	UseReadOnlyOff
	UseGrowOn
	UseGrowOff

	useOpen     = UseVerity | UseSigned | UseEncrypted | UseUnprotected | UseUnused | UseAbsent
	useIgnore   = UseUnused | UseAbsent
	useReadOnly = UseReadOnlyOn | UseReadOnlyOff
	useGrow     = UseGrowOn | UseGrowOff
)

// In the order systemd writes them.
var useNames = [...]struct {
	name string
	use  PartitionUse
}{
	{"verity", UseVerity}, {"signed", UseSigned}, {"encrypted", UseEncrypted}, {"unprotected", UseUnprotected}, {"unused", UseUnused},
	{"absent", UseAbsent}, {"read-only-on", UseReadOnlyOn}, {"read-only-off", UseReadOnlyOff}, {"growfs-on", UseGrowOn}, {"growfs-off", UseGrowOff},
}

// Partitions that policies and mount options know, in the order systemd writes them.
var Partitions = [...]string{
	"root", "usr", "home", "srv", "esp", "xbootldr", "swap", "root-verity", "usr-verity", "root-verity-sig", "usr-verity-sig", "tmp", "var",
}

// ImagePolicy says which partitions of an image are used, and how each must be protected.
type ImagePolicy struct {
	uses    [len(Partitions)]PartitionUse
	given   [len(Partitions)]bool
	others  PartitionUse
	general bool
}

// ParseImagePolicy reads PARTITION=USE+USE:…:=USE, or one of the short forms "*" (everything), "-" (nothing is used) and "~" (nothing may be there).
func ParseImagePolicy(s string) (ImagePolicy, error) {
	p := ImagePolicy{others: useIgnore}
	switch s {
	case "", "-":
		return p, nil
	case "*":
		p.others, p.general = useOpen, true
		return p, nil
	case "~":
		p.others, p.general = UseAbsent, true
		return p, nil
	}
	for rule := range strings.SplitSeq(s, ":") {
		name, text, found := strings.Cut(rule, "=")
		if !found {
			return p, invalidf("image policy", s, "no = in "+rule)
		}
		use, err := parseUse(text)
		if err != nil {
			return p, err
		}
		if name == "" {
			if p.general {
				return p, invalidf("image policy", s, "two defaults")
			}
			p.others, p.general = use, true
			continue
		}
		i := partitionIndex(name)
		if i < 0 {
			return p, invalidf("image policy", s, "no partition is called "+name)
		}
		if p.given[i] {
			return p, invalidf("image policy", s, "two rules for "+name)
		}
		p.uses[i], p.given[i] = use, true
	}
	return p, nil
}

func partitionIndex(name string) int {
	return slices.Index(Partitions[:], name)
}

func parseUse(text string) (PartitionUse, error) {
	var use PartitionUse
	if text == "" || text == "-" {
		return 0, nil
	}
next:
	for word := range strings.SplitSeq(text, "+") {
		switch word {
		case "open":
			use |= useOpen
			continue
		case "ignore":
			use |= useIgnore
			continue
		}
		for _, n := range useNames {
			if n.name == word {
				use |= n.use
				continue next
			}
		}
		return 0, invalid("use of a partition", word)
	}
	return use, nil
}

// For gives the rule for a partition, with what is left open filled in.
func (p *ImagePolicy) For(partition string) PartitionUse {
	use := p.others
	i := partitionIndex(partition)
	if i >= 0 && p.given[i] {
		use = p.uses[i]
	}
	if use&useOpen == 0 {
		use |= useOpen
	}
	if partition != "root" && partition != "usr" {
		// Only these two have verity data.
		use &^= UseVerity | UseSigned
	}
	return use
}

// String writes the policy as systemd shows it.
func (p *ImagePolicy) String() string {
	var rules []string
	for i, given := range p.given {
		if given {
			rules = append(rules, Partitions[i]+"="+formatUse(p.uses[i]))
		}
	}
	if len(rules) == 0 {
		switch simpleUse(p.others) {
		case useIgnore:
			return "-"
		case useOpen:
			return "*"
		case UseAbsent:
			return "~"
		}
	}
	if simpleUse(p.others) != useIgnore {
		rules = append(rules, "="+formatUse(p.others))
	}
	return strings.Join(rules, ":")
}

// simpleUse drops what is the same as nothing said.
func simpleUse(use PartitionUse) PartitionUse {
	if use&useReadOnly == useReadOnly {
		use &^= useReadOnly
	}
	if use&useGrow == useGrow {
		use &^= useGrow
	}
	return use
}

func formatUse(use PartitionUse) string {
	use = simpleUse(use)
	var words []string
	switch use & useOpen {
	case useOpen:
		words, use = append(words, "open"), use&^useOpen
	case useIgnore:
		words, use = append(words, "ignore"), use&^useOpen
	}
	for _, n := range useNames {
		if use&n.use != 0 {
			words = append(words, n.name)
		}
	}
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, "+")
}
