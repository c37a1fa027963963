package unit

// kind is how values of one type are read, written and shown, for any
// directive that has such a value. parse gets the text with specifiers not yet
// expanded, and the current value, so that lists add up and an empty text
// resets.
type kind[T any] struct {
	name   string
	parse  func(c *Context, cur *T, text string) error
	format func(v *T) []string
	bus    []form[T]
}

// form is one shape of a value on the bus. read gives the texts to assign
// for a value a client sent; its result goes through parse, so a client
// can't set what a file couldn't.
type form[T any] struct {
	suffix string
	sig    string
	write  func(w BusWriter, v *T)
	setSig string // "" with read: the same as sig
	read   func(r BusReader, cur *T) ([]string, error)
}

// field is a kind applied to a place in the configuration. get gives the
// place; with write set, the block it is in is made the unit's own first.
type field[T any] struct {
	kind *kind[T]
	get  func(t target, write bool) *T
}

func (f *field[T]) kindName() string { return f.kind.name }

func (f *field[T]) parse(c *Context, t target, text string) error {
	// Parsed into a copy, so that a failed assignment changes nothing.
	p := f.get(t, true)
	v := *p
	err := f.kind.parse(c, &v, text)
	if err == nil || keepsResult(err) {
		*p = v
	}
	return err
}

func (f *field[T]) format(t target) []string { return f.kind.format(f.get(t, false)) }

func (f *field[T]) forms() []formInfo {
	out := make([]formInfo, len(f.kind.bus))
	for i, b := range f.kind.bus {
		out[i] = formInfo{suffix: b.suffix, sig: b.sig, setSig: b.setSig}
		if b.read == nil {
			out[i].setSig = ""
		} else if b.setSig == "" {
			out[i].setSig = b.sig
		}
	}
	return out
}

func (f *field[T]) write(w BusWriter, t target, i int) { f.kind.bus[i].write(w, f.get(t, false)) }

func (f *field[T]) text(r BusReader, t target, i int) ([]string, error) {
	texts, err := f.kind.bus[i].read(r, f.get(t, false))
	if err == nil {
		err = r.Err()
	}
	return texts, err
}

// partialError marks a fault that leaves a usable value: a list without the
// items that were wrong.
type partialError struct{ err error }

func (e *partialError) Error() string { return e.err.Error() }
func (e *partialError) Unwrap() error { return e.err }

func partial(err error) error {
	if err == nil {
		return nil
	}
	return &partialError{err}
}

func keepsResult(err error) bool {
	_, ok := err.(*partialError)
	return ok
}

// Accessors for rows, one per block.

func inUnit[T any](f func(u *Unit) *T) func(target, bool) *T {
	return func(t target, _ bool) *T { return f(t.u) }
}

func inExtra[T any](f func(b *UnitExtra) *T) func(target, bool) *T {
	return func(t target, write bool) *T {
		if write {
			t.u.extra()
		}
		return f(t.u.UnitExtra)
	}
}

func inActions[T any](f func(b *UnitActions) *T) func(target, bool) *T {
	return func(t target, write bool) *T {
		u := t.u
		if write && u.Unit.UnitActions == u.Defaults().Unit.UnitActions {
			v := *u.Unit.UnitActions
			u.Unit.UnitActions = &v
		}
		return f(u.Unit.UnitActions)
	}
}

func inManager[T any](f func(m *ManagerConfig) *T) func(target, bool) *T {
	return func(t target, _ bool) *T { return f(t.m) }
}

func inInstall[T any](f func(b *Install) *T) func(target, bool) *T {
	return func(t target, write bool) *T {
		if write {
			own(&t.u.extra().Install, &t.u.Defaults().Install)
		}
		return f(t.u.GetInstall())
	}
}

func inService[T any](f func(b *Service) *T) func(target, bool) *T {
	return func(t target, write bool) *T {
		if write {
			t.u.ownService()
		}
		return f(t.u.GetService())
	}
}

func inServiceCommands[T any](f func(b *ServiceCommands) *T) func(target, bool) *T {
	return func(t target, write bool) *T {
		if write {
			b := t.u.ownService()
			if b.ServiceCommands == t.u.Defaults().Service.ServiceCommands {
				b.ServiceCommands = cloneBlock(b.ServiceCommands)
			}
		}
		return f(t.u.GetService().ServiceCommands)
	}
}

func inServiceExtra[T any](f func(b *ServiceExtra) *T) func(target, bool) *T {
	return func(t target, write bool) *T {
		if write {
			b := t.u.ownService()
			if b.ServiceExtra == t.u.Defaults().Service.ServiceExtra {
				v := *b.ServiceExtra
				b.ServiceExtra = &v
			}
		}
		return f(t.u.GetService().ServiceExtra)
	}
}

func inSocket[T any](f func(b *Socket) *T) func(target, bool) *T {
	return func(t target, write bool) *T {
		if write {
			own(&t.u.extra().Socket, &t.u.Defaults().Socket)
		}
		return f(t.u.GetSocket())
	}
}

func inTimer[T any](f func(b *Timer) *T) func(target, bool) *T {
	return func(t target, write bool) *T {
		if write {
			own(&t.u.extra().Timer, &t.u.Defaults().Timer)
		}
		return f(t.u.GetTimer())
	}
}

func inPath[T any](f func(b *Path) *T) func(target, bool) *T {
	return func(t target, write bool) *T {
		if write {
			own(&t.u.extra().Path, &t.u.Defaults().Path)
		}
		return f(t.u.GetPath())
	}
}

func inMount[T any](f func(b *Mount) *T) func(target, bool) *T {
	return func(t target, write bool) *T {
		if write {
			own(&t.u.extra().Mount, &t.u.Defaults().Mount)
		}
		return f(t.u.GetMount())
	}
}

func inAutomount[T any](f func(b *Automount) *T) func(target, bool) *T {
	return func(t target, write bool) *T {
		if write {
			own(&t.u.extra().Automount, &t.u.Defaults().Automount)
		}
		return f(t.u.GetAutomount())
	}
}

func inSwap[T any](f func(b *Swap) *T) func(target, bool) *T {
	return func(t target, write bool) *T {
		if write {
			own(&t.u.extra().Swap, &t.u.Defaults().Swap)
		}
		return f(t.u.GetSwap())
	}
}

func inScope[T any](f func(b *Scope) *T) func(target, bool) *T {
	return func(t target, write bool) *T {
		if write {
			own(&t.u.extra().Scope, &t.u.Defaults().Scope)
		}
		return f(t.u.GetScope())
	}
}

func inSlice[T any](f func(b *Slice) *T) func(target, bool) *T {
	return func(t target, write bool) *T {
		if write {
			own(&t.u.extra().Slice, &t.u.Defaults().Slice)
		}
		return f(t.u.GetSlice())
	}
}

func inExec[T any](f func(b *Exec) *T) func(target, bool) *T {
	return func(t target, write bool) *T {
		if write {
			t.u.ownExec()
		}
		return f(t.u.GetExec())
	}
}

func inSandbox[T any](f func(b *Sandbox) *T) func(target, bool) *T {
	return func(t target, write bool) *T {
		if write {
			own(&t.u.ownExec().Sandbox, &t.u.Defaults().Sandbox)
		}
		return f(t.u.GetSandbox())
	}
}

func inKill[T any](f func(b *Kill) *T) func(target, bool) *T {
	return func(t target, write bool) *T {
		if write {
			own(&t.u.Kill, &t.u.Defaults().Kill)
		}
		return f(t.u.GetKill())
	}
}

func inCgroup[T any](f func(b *Cgroup) *T) func(target, bool) *T {
	return func(t target, write bool) *T {
		if write {
			own(&t.u.Cgroup, t.u.Defaults().cgroupOf(t.u.Type))
		}
		return f(t.u.GetCgroup())
	}
}

// option changes a row while it is made.
type option func(r *Row)

// row makes a table row. Its bus property has the directive's name unless
// an option says otherwise.
func row[T any](in Sections, name string, k *kind[T], get func(target, bool) *T, doc, example string, opts ...option) *Row {
	r := &Row{Name: name, In: in, Kind: k.name, Doc: doc, Example: example, impl: &field[T]{k, get}}
	if len(k.bus) > 0 {
		r.Prop = name
	}
	for _, o := range opts {
		o(r)
	}
	return r
}

// since is the first release that knows the directive.
func since(v uint16) option { return func(r *Row) { r.Since = v } }

// prop names the bus property where it differs from the directive.
func prop(name string) option { return func(r *Row) { r.Prop = name } }

// noProp is for directives that can't be seen on the bus.
func noProp(r *Row) { r.Prop = "" }

// emits sets how changes of the property are announced.
func emits(e Emits) option { return func(r *Row) { r.Emits = e } }

// settable lets clients set the property of a transient unit.
func settable(r *Row) { r.Settable = true }

// atRuntime lets clients set the property of a loaded unit too.
func atRuntime(r *Row) { r.Settable, r.AtRuntime = true, true }

// full says the directive does what its manual page says.
func full(r *Row) { r.Status = Full }

// partly says what is missing.
func partly(note string) option {
	return func(r *Row) { r.Status, r.Note = Partial, note }
}

// accepted says why a directive has no effect.
func accepted(note string) option {
	return func(r *Row) { r.Status, r.Note = Accepted, note }
}

// legacy makes every use of the directive warn.
func legacy(text string) option { return func(r *Row) { r.Legacy = text } }

// unsupported makes a start fail that needs the setting.
func unsupported(r *Row) {
	r.Unsupported = true
	r.Status, r.Note = Accepted, "not applied to processes yet; a start with it fails and names it"
}
