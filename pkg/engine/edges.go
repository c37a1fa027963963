package engine

import (
	"slices"

	"github.com/muster-init/muster/pkg/depend"
)

// edges are the lists of one unit, one per class, each sorted by the number of the peer. Most units have a handful in all: those stand in one slice,
// class after class. A unit with more, such as a target or a slice, has a slice per class, so that adding to one list does not move the others.
//
// Any change of any list may move the others: a list is valid until then.
type edges struct {
	few  []edge
	ends [classMax]uint8 // where each class ends in few
	many *[classMax][]edge
}

// fewMax is how many edges stand in one slice. It must fit into ends.
const fewMax = 32

// list gives the edges of a class for reading.
func (d *edges) list(c class) []edge {
	if d.many != nil {
		return d.many[c]
	}
	return d.few[d.begin(c):d.ends[c]]
}

// begin is where a class begins in few.
func (d *edges) begin(c class) uint8 {
	if c == 0 {
		return 0
	}
	return d.ends[c-1]
}

// find gives the place of id in a list that is sorted by id.
func find(list []edge, id uid) (int, bool) {
	// New units have the highest number, and their edges are added at the end of their peers' lists.
	if n := len(list); n == 0 || list[n-1].id < id {
		return n, false
	}
	return slices.BinarySearchFunc(list, id, func(x edge, id uid) int { return int(x.id) - int(id) })
}

// set adds bits to one side of an edge.
func (d *edges) set(c class, id uid, own, peer depend.Mask) {
	i, ok := find(d.list(c), id)
	if !ok {
		d.insert(c, i, id)
	}
	x := &d.list(c)[i]
	x.own |= own
	x.peer |= peer
}

// insert makes room for an edge at place i of a list.
func (d *edges) insert(c class, i int, id uid) {
	if d.many == nil && len(d.few) == fewMax {
		d.spread()
	}
	if d.many != nil {
		d.many[c] = slices.Insert(d.many[c], i, edge{id: id})
		return
	}
	if len(d.few) == cap(d.few) {
		// Two at a time: doubling would leave as much empty as there is, for thousands of units.
		grown := make([]edge, len(d.few), len(d.few)+2)
		copy(grown, d.few)
		d.few = grown
	}
	d.few = slices.Insert(d.few, int(d.begin(c))+i, edge{id: id})
	for k := c; k < classMax; k++ {
		d.ends[k]++
	}
}

// spread gives each class its own slice.
func (d *edges) spread() {
	many := &[classMax][]edge{}
	for c := range classMax {
		many[c] = slices.Clone(d.list(c))
	}
	*d = edges{many: many}
}

// clear removes bits from one side of an edge, and the edge if nothing is left.
func (d *edges) clear(c class, id uid, own, peer depend.Mask) {
	list := d.list(c)
	i, ok := find(list, id)
	if !ok {
		return
	}
	x := &list[i]
	x.own &^= own
	x.peer &^= peer
	if x.types() != 0 {
		return
	}
	if d.many != nil {
		d.many[c] = slices.Delete(list, i, i+1)
		return
	}
	at := int(d.begin(c)) + i
	d.few = slices.Delete(d.few, at, at+1)
	for k := c; k < classMax; k++ {
		d.ends[k]--
	}
}
