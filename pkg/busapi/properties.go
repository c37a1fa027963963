package busapi

import (
	"github.com/muster-init/muster/pkg/bus"
)

// properties serves org.freedesktop.DBus.Properties of an object.
func (s *Server) properties(k *call, obj object) error {
	switch k.msg.Member {
	case "Get":
		return s.get(k, obj)
	case "GetAll":
		return s.getAll(k, obj)
	case "Set":
		return s.set(k, obj)
	}
	return bus.Errorf(bus.ErrUnknownMethod, "Unknown method %s or interface %s.", k.msg.Member, k.msg.Interface)
}

// lookup finds a property; with an empty interface name all are searched.
func (o *object) lookup(iface, name string) (*property, error) {
	known := false
	for _, i := range o.ifaces {
		if iface != "" && iface != i.name {
			continue
		}
		known = true
		if p := i.byProp[name]; p != nil {
			return p, nil
		}
	}
	if !known {
		return nil, bus.Errorf(bus.ErrUnknownInterface, "Unknown interface '%s'.", iface)
	}
	return nil, bus.Errorf(bus.ErrUnknownProperty, "Unknown interface %s or property %s.", iface, name)
}

// write encodes the value of a property.
func (s *Server) write(p *property, o *object, e *bus.Encoder) {
	switch {
	case p.manager != nil:
		p.manager(s, e)
	case p.unit != nil:
		p.unit(s, o.unit, e)
	case p.job != nil:
		p.job(s, o.job, e)
	}
}

func (s *Server) get(k *call, obj object) error {
	d, err := k.msg.Args("ss")
	if err != nil {
		return err
	}
	iface, name := d.String(), d.String()
	p, err := obj.lookup(iface, name)
	if err != nil {
		return err
	}
	k.reply("v", func(e *bus.Encoder) {
		e.Variant(p.sig)
		s.write(p, &obj, e)
	})
	return nil
}

func (s *Server) getAll(k *call, obj object) error {
	d, err := k.msg.Args("s")
	if err != nil {
		return err
	}
	name := d.String()
	if name != "" {
		known := name == ifaceProps || name == ifacePeer || name == ifaceIntro
		for _, i := range obj.ifaces {
			known = known || i.name == name
		}
		if !known {
			return bus.Errorf(bus.ErrUnknownInterface, "Unknown interface '%s'.", name)
		}
	}
	k.reply("a{sv}", func(e *bus.Encoder) {
		mark := e.BeginArray('{')
		for _, i := range obj.ifaces {
			if name == "" || name == i.name {
				s.writeAll(i, &obj, e)
			}
		}
		e.EndArray(mark)
	})
	return nil
}

// writeAll encodes the entries of one interface.
func (s *Server) writeAll(i *iface, obj *object, e *bus.Encoder) {
	var known *settings
	if len(i.runs) > 0 {
		known = s.settingsOf(i, obj.unit)
	}
	next := 0
	for n := 0; n < len(i.props); n++ {
		if next < len(i.runs) && n == i.runs[next].begin {
			known.writeTo(e, next)
			n = i.runs[next].end - 1
			next++
			continue
		}
		p := &i.props[n]
		if p.hidden {
			continue
		}
		e.Prepared(p.entry)
		s.write(p, obj, e)
	}
}

func (s *Server) set(k *call, obj object) error {
	d, err := k.msg.Args("ssv")
	if err != nil {
		return err
	}
	iface, name := d.String(), d.String()
	p, err := obj.lookup(iface, name)
	if err != nil {
		return err
	}
	if p.set == nil {
		return bus.Errorf(bus.ErrPropertyReadOnly, "Property '%s' is not writable.", name)
	}
	if sig := d.Variant(); sig != p.sig {
		return bus.Errorf(bus.ErrInvalidSignature, "Incorrect parameters for property '%s', expected '%s', got '%s'.", name, p.sig, sig)
	}
	if !k.c.Private {
		if wait, err := s.privilege(k); wait || err != nil {
			return err
		}
	}
	if err := p.set(k, &d); err != nil {
		return err
	}
	k.ok()
	return nil
}
