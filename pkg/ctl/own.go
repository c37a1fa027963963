package ctl

func ownVerbs() []verb { return nil }
