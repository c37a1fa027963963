package ctl

// power is halt, poweroff, reboot and their like.
func power(s *systemctl, name string, args []string) int {
	if !s.online() {
		return exitFailure
	}
	a := findAction(name)
	// The manager is going away: nobody would tell how the job ended.
	s.o.noBlock = true
	return s.runJobs(a, a.mode, []string{a.target}, 0)
}
