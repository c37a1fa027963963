package unit

import (
	"strings"

	"github.com/muster-init/muster/pkg/unit/value"
)

// credentialMax bounds what SetCredential= of one unit may hold, as
// systemd.exec(5) says.
const credentialMax = 1 << 20

func credentialNameValid(s string) bool {
	const longest = 255
	return value.FilenameIsValid(s) && len(s) <= longest && fdNameValid(s)
}

// kLoadCredential is LoadCredential=ID or ID:PATH. A later assignment of an ID
// replaces the earlier one.
var kLoadCredential = func() *kind[[]Credential] {
	k := listKind("ID, or ID:PATH", func(c *Context, text string) ([]Credential, error) {
		id, path, has := strings.Cut(text, ":")
		if !has {
			path = id
		}
		id, err := c.expand(id)
		if err == nil {
			path, err = c.expand(path)
		}
		if err != nil {
			return nil, err
		}
		if !credentialNameValid(id) {
			return nil, errText("credential ", quoted(id), " is not valid")
		}
		if strings.HasPrefix(path, "/") {
			if path, err = checkAbsolute(path); err != nil {
				return nil, err
			}
		} else if !credentialNameValid(path) {
			return nil, errText("credential ", quoted(path), " is neither a name nor an absolute path")
		}
		return []Credential{{ID: strings.Clone(id), Path: strings.Clone(path)}}, nil
	}, func(list []Credential) []string {
		var out []string
		for _, c := range list {
			out = append(out, escaped(c.ID+":"+c.Path))
		}
		return out
	}, busPairs(func(c Credential) (string, string) { return c.ID, c.Path },
		func(a, b string) string { return escaped(a + ":" + b) }))
	base := k.parse
	k.parse = func(c *Context, cur *[]Credential, text string) error {
		err := base(c, cur, text)
		*cur = lastByKey(*cur, func(v Credential) string { return v.ID })
		return err
	}
	return k
}()

// lastByKey drops items that a later one with the same key replaces.
func lastByKey[T any](list []T, key func(v T) string) []T {
	if len(list) < 2 {
		return list
	}
	added := key(list[len(list)-1])
	for i := range len(list) - 1 {
		if key(list[i]) == added {
			return append(append([]T(nil), list[:i]...), list[i+1:]...)
		}
	}
	return list
}

// kSetCredential is SetCredential=ID:VALUE with C escapes, or with encrypted
// the base64 of SetCredentialEncrypted=.
func kSetCredential(encrypted bool) *kind[[]CredentialData] {
	k := listKind("ID:VALUE", func(c *Context, s string) ([]CredentialData, error) {
		data, err := c.credentialData(s, encrypted)
		if err != nil {
			return nil, err
		}
		return []CredentialData{data}, nil
	}, func(list []CredentialData) []string {
		var out []string
		for _, c := range list {
			out = append(out, c.text(encrypted))
		}
		return out
	}, form[[]CredentialData]{sig: "a(say)",
		write: func(w BusWriter, v *[]CredentialData) {
			w.BeginArray("(say)")
			for _, c := range *v {
				w.BeginStruct()
				w.String(c.ID)
				w.Bytes(c.Data)
				w.EndStruct()
			}
			w.EndArray()
		},
		read: func(r BusReader, _ *[]CredentialData) ([]string, error) {
			var out []string
			r.BeginArray("(say)")
			for r.More() {
				r.BeginStruct()
				out = append(out, CredentialData{ID: r.String(), Data: r.Bytes()}.text(encrypted))
				r.EndStruct()
			}
			r.EndArray()
			if len(out) == 0 {
				return one("")
			}
			return out, nil
		},
	})
	base := k.parse
	k.parse = func(c *Context, cur *[]CredentialData, s string) error {
		err := base(c, cur, s)
		*cur = lastByKey(*cur, func(v CredentialData) string { return v.ID })
		return err
	}
	return k
}

// text is the value of the assignment that makes the credential.
func (d CredentialData) text(encrypted bool) string {
	if encrypted {
		return escaped(d.ID) + ":" + value.FormatBase64(d.Data)
	}
	return escaped(d.ID + ":" + value.CEscape(string(d.Data)))
}

func (c *Context) credentialData(s string, encrypted bool) (CredentialData, error) {
	id, rest, has := strings.Cut(s, ":")
	if !has {
		return CredentialData{}, errText("credential ", quoted(s), " has no value")
	}
	id, err := c.expand(id)
	if err != nil {
		return CredentialData{}, err
	}
	if !credentialNameValid(id) {
		return CredentialData{}, errText("credential ", quoted(id), " is not valid")
	}
	var data []byte
	if encrypted {
		data, err = value.ParseBase64(rest)
	} else {
		if rest, err = c.expand(rest); err == nil {
			rest, err = value.CUnescape(rest)
		}
		data = []byte(rest)
	}
	if err == nil && len(data) > credentialMax {
		err = errText("credential ", quoted(id), " is larger than 1 MiB")
	}
	return CredentialData{ID: strings.Clone(id), Data: data}, err
}

// kImportCredential is ImportCredential=GLOB or GLOB:RENAME.
var kImportCredential = &kind[[]ImportCredential]{
	name: "GLOB, or GLOB:NAME",
	parse: func(c *Context, cur *[]ImportCredential, text string) error {
		if text == "" {
			*cur = nil
			return nil
		}
		glob, rename, _ := strings.Cut(text, ":")
		glob, err := c.expand(glob)
		if err == nil {
			rename, err = c.expand(rename)
		}
		if err != nil {
			return err
		}
		if !credentialNameValid(strings.Map(dropGlob, glob)+"x") || rename != "" && !credentialNameValid(rename) {
			return errText("credential pattern ", quoted(text), " is not valid")
		}
		*cur = append((*cur)[:len(*cur):len(*cur)], ImportCredential{Glob: strings.Clone(glob), Rename: strings.Clone(rename)})
		return nil
	},
	format: func(v *[]ImportCredential) []string {
		var out []string
		for _, c := range *v {
			out = append(out, importText(c.Glob, c.Rename))
		}
		return out
	},
	bus: []form[[]ImportCredential]{
		{sig: "as",
			write: func(w BusWriter, v *[]ImportCredential) {
				w.BeginArray("s")
				for _, c := range *v {
					w.String(c.Glob)
				}
				w.EndArray()
			},
			read: func(r BusReader, _ *[]ImportCredential) ([]string, error) {
				var out []string
				for _, g := range readStrings(r) {
					out = append(out, importText(g, ""))
				}
				if len(out) == 0 {
					return one("")
				}
				return out, nil
			}},
		withSuffix("Ex", busPairs(func(c ImportCredential) (string, string) { return c.Glob, c.Rename }, importText)),
	},
}

func withSuffix[T any](suffix string, f form[T]) form[T] {
	f.suffix = suffix
	return f
}

func dropGlob(r rune) rune {
	if strings.ContainsRune(globChars+"]", r) {
		return -1
	}
	return r
}

func importText(glob, rename string) string {
	if rename == "" {
		return escaped(glob)
	}
	return escaped(glob + ":" + rename)
}
