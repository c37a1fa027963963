package busapi

import (
	"github.com/muster-init/muster/pkg/bus"
)

// DynamicUser is a user of DynamicUser=.
type DynamicUser struct {
	Name string
	UID  uint32
}

// dynamicMethods look up users of DynamicUser=. nss-systemd asks by varlink; these are for people and old clients.
func dynamicMethods() []method {
	return []method{
		{name: "LookupDynamicUserByName", in: "s", out: "u", args: []string{"name", "uid"}, run: func(k *call) {
			name := k.args.String()
			if name == "" {
				k.fail(bus.Errorf(bus.ErrInvalidArgs, "User name invalid: %s", name))
				return
			}
			k.dynamicUser(func(u DynamicUser) bool { return u.Name == name }, func(u DynamicUser) {
				k.reply("u", func(e *bus.Encoder) { e.Uint32(u.UID) })
			}, "Dynamic user %s does not exist.", name)
		}},
		{name: "LookupDynamicUserByUID", in: "u", out: "s", args: []string{"uid", "name"}, run: func(k *call) {
			uid := k.args.Uint32()
			k.dynamicUser(func(u DynamicUser) bool { return u.UID == uid }, func(u DynamicUser) {
				k.reply("s", func(e *bus.Encoder) { e.String(u.Name) })
			}, "Dynamic user ID %d does not exist.", uid)
		}},
		{name: "GetDynamicUsers", out: "a(us)", args: []string{"users"}, run: func(k *call) {
			list, ok := k.s.b.DynamicUsers()
			if !ok {
				k.fail(noDynamicUsers())
				return
			}
			k.reply("a(us)", func(e *bus.Encoder) {
				mark := e.BeginArray('(')
				for _, u := range list {
					e.Struct()
					e.Uint32(u.UID)
					e.String(u.Name)
				}
				e.EndArray(mark)
			})
		}},
	}
}

func noDynamicUsers() error {
	return bus.Errorf(bus.ErrNotSupported, "Dynamic users are only supported in the system instance.")
}

// dynamicUser answers about the first user that matches, or with the sentence that there is none.
func (k *call) dynamicUser(matches func(DynamicUser) bool, answer func(DynamicUser), text string, args ...any) {
	list, ok := k.s.b.DynamicUsers()
	if !ok {
		k.fail(noDynamicUsers())
		return
	}
	for _, u := range list {
		if matches(u) {
			answer(u)
			return
		}
	}
	k.fail(bus.Errorf(bus.ErrNoSuchDynamicUser, text, args...))
}
