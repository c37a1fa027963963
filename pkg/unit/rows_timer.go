package unit

func timerOwnRows() []*Row {
	return []*Row{
		row(InTimer, "AccuracySec", kSec, inTimer(func(b *Timer) *uint64 { return &b.AccuracyUSec }),
			"How exactly the timer elapses.", "1s", since(209), prop("AccuracyUSec"), settable, full),
		row(InTimer, "DeferReactivation", kBool, inTimer(func(b *Timer) *bool { return &b.DeferReactivation }),
			"Never start again right after a long run.", "yes", since(257), settable, full),
		row(InTimer, "FixedRandomDelay", kBool, inTimer(func(b *Timer) *bool { return &b.FixedRandomDelay }),
			"Use the same random delay every time.", "yes", since(247), settable, full),
		row(InTimer, "OnClockChange", kBool, inTimer(func(b *Timer) *bool { return &b.OnClockChange }),
			"Elapse when the clock is set.", "yes", since(242), settable, full),
		row(InTimer, "OnTimezoneChange", kBool, inTimer(func(b *Timer) *bool { return &b.OnTimezoneChange }),
			"Elapse when the time zone changes.", "yes", since(242), settable, full),
		row(InTimer, "Persistent", kBool, inTimer(func(b *Timer) *bool { return &b.Persistent }),
			"Make up for runs missed while the machine was off.", "yes", since(212), settable, full),
		row(InTimer, "RandomizedDelaySec", kSec, inTimer(func(b *Timer) *uint64 { return &b.RandomizedDelayUSec }),
			"Up to how much is added at random.", "10min", since(229), prop("RandomizedDelayUSec"), settable, full),
		row(InTimer, "RandomizedOffsetSec", kSec, inTimer(func(b *Timer) *uint64 { return &b.RandomizedOffsetUSec }),
			"Offset chosen once from the unit and the machine.", "10min", since(258), prop("RandomizedOffsetUSec"), full),
		row(InTimer, "RemainAfterElapse", kBool, inTimer(func(b *Timer) *bool { return &b.RemainAfterElapse }),
			"Keep the timer loaded once it has elapsed.", "no", since(228), settable, full),
		row(InTimer, "Unit", kTriggered, inTimer(func(b *Timer) *string { return &b.Unit }),
			"Unit that is activated.", "backup.service", since(1), full),
		row(InTimer, "WakeSystem", kBool, inTimer(func(b *Timer) *bool { return &b.WakeSystem }),
			"Wake the machine from sleep.", "yes", since(212), settable, full),
	}
}
