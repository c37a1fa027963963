package ctl

// stateGroup is the states of one kind, as --state=help lists them.
type stateGroup struct {
	title string
	words []string
}

// stateGroups gives the words of every state, see unit_states.tsv and org.freedesktop.systemd1(5).
func stateGroups() []stateGroup {
	sub := func(t string, words ...string) stateGroup {
		return stateGroup{"Available " + t + " unit substates:", words}
	}
	return []stateGroup{
		{"Available unit load states:", loadStates},
		{"Available unit active states:", []string{"active", "reloading", "inactive", "failed", "activating", "deactivating", "maintenance", "refreshing"}},
		{"Available unit file states:", []string{"enabled", "enabled-runtime", "linked", "linked-runtime", "alias", "masked", "masked-runtime", "static",
			"disabled", "indirect", "generated", "transient", "bad"}},
		sub("automount", "dead", "waiting", "running", "failed"),
		sub("device", "dead", "tentative", "plugged"),
		sub("mount", "dead", "mounting", "mounting-done", "mounted", "remounting", "unmounting", "remounting-sigterm", "remounting-sigkill",
			"unmounting-sigterm", "unmounting-sigkill", "failed", "cleaning"),
		sub("path", "dead", "waiting", "running", "failed"),
		sub("scope", "dead", "start-chown", "running", "abandoned", "stop-sigterm", "stop-sigkill", "failed"),
		sub("service", "dead", "condition", "start-pre", "start", "start-post", "running", "exited", "reload", "reload-signal", "reload-notify",
			"mounting", "stop", "stop-watchdog", "stop-sigterm", "stop-sigkill", "stop-post", "final-watchdog", "final-sigterm", "final-sigkill",
			"failed", "dead-before-auto-restart", "failed-before-auto-restart", "dead-resources-pinned", "auto-restart", "auto-restart-queued", "cleaning"),
		sub("slice", "dead", "active"),
		sub("socket", "dead", "start-pre", "start-chown", "start-post", "listening", "running", "stop-pre", "stop-pre-sigterm", "stop-pre-sigkill",
			"stop-post", "final-sigterm", "final-sigkill", "failed", "cleaning"),
		sub("swap", "dead", "activating", "activating-done", "active", "deactivating", "deactivating-sigterm", "deactivating-sigkill", "failed", "cleaning"),
		sub("target", "dead", "active"),
		sub("timer", "dead", "waiting", "running", "elapsed", "failed"),
	}
}

func (s *systemctl) stateHelp() {
	for i, g := range stateGroups() {
		if i > 0 {
			s.printf("\n")
		}
		if !s.o.noLegend {
			s.printf("%s\n", g.title)
		}
		for _, w := range g.words {
			s.printf("%s\n", w)
		}
	}
}
