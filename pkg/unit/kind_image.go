package unit

import (
	"slices"
	"strings"

	"github.com/muster-init/muster/pkg/unit/value"
)

func partitionValid(s string) bool {
	return slices.Contains(value.Partitions[:], s)
}

// kImagePolicy is systemd.image-policy(7), in the form in which systemd shows it.
var kImagePolicy = simple("image policy", func(_ *Context, s string) (string, error) {
	if s == "" {
		return defaultImagePolicy, nil
	}
	p, err := value.ParseImagePolicy(s)
	return p.String(), err
}, plainString, busString)

var kImageOptions = pairKind("list of PARTITION:OPTIONS", func(parts []string) (ImageOption, error) {
	if len(parts) == 1 {
		return ImageOption{Partition: "root", Options: parts[0]}, nil
	}
	if !partitionValid(parts[0]) {
		return ImageOption{}, errText("partition ", quoted(parts[0]), " isn't known")
	}
	return ImageOption{Partition: parts[0], Options: parts[1]}, nil
}, func(v ImageOption) (string, string) { return v.Partition, v.Options })

// kMountImages is MountImages=; extension images have no destination.
func kMountImages(extension bool) *kind[[]MountImage] {
	elem, name := "(ssba(ss))", "list of SOURCE:DESTINATION:OPTIONS"
	if extension {
		elem, name = "(sba(ss))", "list of SOURCE:OPTIONS"
	}
	return listKind(name, func(c *Context, text string) ([]MountImage, error) {
		list, err := colonWords(c, text, 64)
		faults := oneFault(err)
		var out []MountImage
		for _, parts := range list {
			m, err := mountImage(parts, extension)
			if err != nil {
				faults = append(faults, err)
				continue
			}
			out = append(out, m)
		}
		return out, joinErrors(faults)
	}, func(list []MountImage) []string {
		var out []string
		for _, m := range list {
			out = append(out, imageText(m, extension))
		}
		return out
	}, form[[]MountImage]{sig: "a" + elem,
		write: func(w BusWriter, v *[]MountImage) { writeImages(w, *v, elem, extension) },
		read: func(r BusReader, _ *[]MountImage) ([]string, error) {
			return readImages(r, elem, extension)
		},
	})
}

func mountImage(parts []string, extension bool) (MountImage, error) {
	var m MountImage
	src, missing := strings.CutPrefix(parts[0], "-")
	m.IgnoreMissing = missing
	var err error
	if m.Source, err = checkAbsolute(src); err != nil {
		return m, err
	}
	rest := parts[1:]
	if !extension {
		if len(rest) == 0 {
			return m, errText("image ", quoted(parts[0]), " has no destination")
		}
		if m.Destination, err = checkAbsolute(rest[0]); err != nil {
			return m, err
		}
		rest = rest[1:]
	}
	if len(rest) == 1 {
		m.Options = []ImageOption{{Partition: "root", Options: rest[0]}}
		return m, nil
	}
	for i := 0; i+1 < len(rest); i += 2 {
		if !partitionValid(rest[i]) {
			return m, errText("partition ", quoted(rest[i]), " isn't known")
		}
		m.Options = append(m.Options, ImageOption{Partition: rest[i], Options: rest[i+1]})
	}
	return m, nil
}

func imageText(m MountImage, extension bool) string {
	src := m.Source
	if m.IgnoreMissing {
		src = "-" + src
	}
	parts := []string{src}
	if !extension {
		parts = append(parts, m.Destination)
	}
	for _, o := range m.Options {
		parts = append(parts, o.Partition, o.Options)
	}
	for i := range parts {
		parts[i] = strings.ReplaceAll(strings.ReplaceAll(parts[i], `\`, `\\`), ":", `\:`)
	}
	return escaped(value.QuoteWord(strings.Join(parts, ":")))
}

func writeImages(w BusWriter, list []MountImage, elem string, extension bool) {
	w.BeginArray(elem)
	for _, m := range list {
		w.BeginStruct()
		w.String(m.Source)
		if !extension {
			w.String(m.Destination)
		}
		w.Bool(m.IgnoreMissing)
		writePairs(w, len(m.Options), func(i int) (string, string) { return m.Options[i].Partition, m.Options[i].Options })
		w.EndStruct()
	}
	w.EndArray()
}

func readImages(r BusReader, elem string, extension bool) ([]string, error) {
	var out []string
	r.BeginArray(elem)
	for r.More() {
		r.BeginStruct()
		m := MountImage{Source: r.String()}
		if !extension {
			m.Destination = r.String()
		}
		m.IgnoreMissing = r.Bool()
		for _, p := range readPairs(r) {
			m.Options = append(m.Options, ImageOption{Partition: p[0], Options: p[1]})
		}
		r.EndStruct()
		out = append(out, imageText(m, extension))
	}
	r.EndArray()
	if len(out) == 0 {
		return one("")
	}
	return out, nil
}

// hashKind is RootHash= or RootHashSignature=: a path, or the data itself.
func hashKind(name string, path func(s *Sandbox) *string, data func(s *Sandbox) *[]byte,
	parse func(s string) ([]byte, error), format func(b []byte) string) *kind[Sandbox] {
	return &kind[Sandbox]{
		name: name,
		parse: func(c *Context, s *Sandbox, text string) error {
			if text == "" || strings.HasPrefix(text, "/") {
				p, err := c.expand(text)
				if err == nil && p != "" {
					p, err = checkAbsolute(p)
				}
				if err == nil {
					*path(s), *data(s) = p, nil
				}
				return err
			}
			b, err := parse(text)
			if err == nil {
				*path(s), *data(s) = "", b
			}
			return err
		},
		format: func(s *Sandbox) []string {
			if *path(s) != "" {
				return []string{escaped(*path(s))}
			}
			if len(*data(s)) > 0 {
				return []string{format(*data(s))}
			}
			return []string{""}
		},
		bus: []form[Sandbox]{
			{sig: "ay", write: func(w BusWriter, s *Sandbox) { w.Bytes(*data(s)) },
				read: func(r BusReader, _ *Sandbox) ([]string, error) {
					if b := r.Bytes(); len(b) > 0 {
						return one(format(b))
					}
					return one("")
				}},
			{suffix: "Path", sig: "s", write: func(w BusWriter, s *Sandbox) { w.String(*path(s)) },
				read: func(r BusReader, _ *Sandbox) ([]string, error) { return one(escaped(r.String())) }},
		},
	}
}
