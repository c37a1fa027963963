package plan

// NFT is what is put into sets of nftables for a process, before it begins.
type NFT struct {
	Sets      []NFTSet
	CgroupDir string // of the unit, "" if there is none
}

// NFTSet is one NFTSet=, with the numbers of the bus: the source is NFTCgroup, NFTUser or NFTGroup, the family NFPROTO_….
type NFTSet struct {
	Source, Family int32
	Table, Set     string
}

// NFTOwner is who is taken out of sets: User= and Group= of a unit, or the names of its dynamic ones.
type NFTOwner struct {
	Sets        []NFTSet
	User, Group string
	Dynamic     bool
}

// Sources of an [NFTSet].
const (
	NFTCgroup = 3
	NFTUser   = 4
	NFTGroup  = 5
)
