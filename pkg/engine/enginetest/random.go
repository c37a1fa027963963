package enginetest

// Random is a small generator whose whole state is its seed, so that a run can be repeated.
type Random struct{ s uint64 }

// NewRandom begins at a seed.
func NewRandom(seed uint64) *Random { return &Random{seed*0x9e3779b97f4a7c15 + 1} }

// Next gives 64 bits.
func (r *Random) Next() uint64 {
	r.s += 0x9e3779b97f4a7c15
	z := r.s
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// N gives a number below n.
func (r *Random) N(n int) int { return int(r.Next() % uint64(n)) }

// P is true in percent of the cases.
func (r *Random) P(percent int) bool { return r.N(100) < percent }

// pick gives one of a list.
func pick[T any](r *Random, list ...T) T { return list[r.N(len(list))] }
