package ctl

// status is written below.
func status(s *systemctl, _ string, args []string) int { return show(s, "", args) }
