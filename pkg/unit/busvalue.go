package unit

// BusWriter takes the value of a property piece by piece, in the order of its
// D-Bus signature, so that an encoder can stand behind it without this package
// knowing the wire format. Containers are bracketed; the element signature
// of an array is given where it starts.
type BusWriter interface {
	Bool(v bool)
	Byte(v byte)
	Uint16(v uint16)
	Int32(v int32)
	Uint32(v uint32)
	Int64(v int64)
	Uint64(v uint64)
	String(v string)
	Bytes(v []byte) // an array of bytes, signature ay
	BeginArray(elem string)
	EndArray()
	BeginStruct()
	EndStruct()
}

// BusReader gives the value of a property sent by a client, in the order of
// its signature. More says whether the innermost array has another element.
// The first fault sticks in Err, after which everything reads as zero and
// More as false.
type BusReader interface {
	Bool() bool
	Byte() byte
	Uint16() uint16
	Int32() int32
	Uint32() uint32
	Int64() int64
	Uint64() uint64
	String() string
	Bytes() []byte
	BeginArray(elem string)
	More() bool
	EndArray()
	BeginStruct()
	EndStruct()
	Err() error
}

// writeStrings writes an array of strings.
func writeStrings(w BusWriter, list []string) {
	w.BeginArray("s")
	for _, s := range list {
		w.String(s)
	}
	w.EndArray()
}

// readStrings reads an array of strings.
func readStrings(r BusReader) []string {
	var out []string
	r.BeginArray("s")
	for r.More() {
		out = append(out, r.String())
	}
	r.EndArray()
	return out
}

// writePairs writes an array of (ss).
func writePairs(w BusWriter, n int, at func(i int) (a, b string)) {
	w.BeginArray("(ss)")
	for i := range n {
		a, b := at(i)
		w.BeginStruct()
		w.String(a)
		w.String(b)
		w.EndStruct()
	}
	w.EndArray()
}

// readPairs reads an array of (ss).
func readPairs(r BusReader) [][2]string {
	var out [][2]string
	r.BeginArray("(ss)")
	for r.More() {
		r.BeginStruct()
		out = append(out, [2]string{r.String(), r.String()})
		r.EndStruct()
	}
	r.EndArray()
	return out
}
