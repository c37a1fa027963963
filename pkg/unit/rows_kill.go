package unit

func killRows() []*Row {
	return []*Row{
		row(InKill, "FinalKillSignal", kSignal, inKill(func(b *Kill) *int32 { return &b.FinalKillSignal }),
			"Signal for what is left after TimeoutStopSec=.", "SIGQUIT", since(240), settable, full),
		row(InKill, "KillMode", resets(kEnum("control-group", "process", "mixed", "none"), "control-group"), inKill(func(b *Kill) *string { return &b.KillMode }),
			"Which processes are killed on stop.", "mixed", since(1), settable, full),
		row(InKill, "KillSignal", kSignal, inKill(func(b *Kill) *int32 { return &b.KillSignal }),
			"First signal on stop.", "SIGQUIT", since(3), settable, full),
		row(InKill, "RestartKillSignal", kRestartKillSignal, inKill(func(b *Kill) *Kill { return b }),
			"First signal on a stop that is part of a restart.", "SIGUSR2", since(244), settable, full),
		row(InKill, "SendSIGHUP", kBool, inKill(func(b *Kill) *bool { return &b.SendSIGHUP }),
			"Send SIGHUP right after KillSignal=.", "yes", since(207), settable, full),
		row(InKill, "SendSIGKILL", kBool, inKill(func(b *Kill) *bool { return &b.SendSIGKILL }),
			"Kill what is left when stopping times out.", "no", since(17), settable, full),
		row(InKill, "WatchdogSignal", kSignal, inKill(func(b *Kill) *int32 { return &b.WatchdogSignal }),
			"Signal when the watchdog runs out.", "SIGKILL", since(240), settable, full),
	}
}
