package journal

// Message ids the manager uses. They identify kinds of messages to catalogs
// and to programs; see `journalctl --list-catalog`.
const (
	MsgStartupFinished     = "b07a249cd024414a82dd00cd181378ff"
	MsgUserStartupFinished = "eed00a68ffd84e31882105fd973abdd1"
	MsgShutdown            = "98268866d1d54a499c4e98921d93bc40"
	MsgTainted             = "50876a9db00f4c40bde1a2ad381c3a1b"
	MsgTimeChange          = "c7a787079b354eaaa9e77b371893cd27"

	MsgUnitStarting  = "7d4958e842da4a758f6c1cdc7b36dcc5"
	MsgUnitStarted   = "39f53479d3a045ac8e11786248231fbf"
	MsgUnitFailed    = "be02cf6855d2428ba40df7e9d022f03d" // a start job that did not succeed
	MsgUnitStopping  = "de5b426a63be47a7b6ac3eaac82e2f6f"
	MsgUnitStopped   = "9d1aaa27d60140bd96365438aad20286"
	MsgUnitReloading = "d34d037fff1847e6ae669a370e694725"
	MsgUnitReloaded  = "7b05ebc668384222baa8881179cfda54"

	MsgUnitRestartScheduled = "5eb03494b6584870a536b337290809b3"
	MsgUnitResources        = "ae8f7b866b0347b9af31fe1c80b127c0"
	MsgUnitSuccess          = "7ad2d189f7e94e70a38c781354912448"
	MsgUnitSkipped          = "0e4284a0caca4bfc81c0bb6786972673"
	MsgUnitFailureResult    = "d9b373ed55a64feb8242e02dbe79a49c"
	MsgUnitProcessExit      = "98e322203f7a4ed290d09fe03c09fe15"
	MsgUnitOutOfMemory      = "fe6faa94e7774663a0da52717891d8ef"
	MsgSpawnFailed          = "641257651c1b4ec9a8624d7a40a9e1e7"

	MsgInvalidConfiguration = "c772d24e9a884cbeb9ea12625c306c01"
	MsgMountPointNotEmpty   = "1dee0369c7fc4736b7099b38ecb46ee7"
	MsgMountPointNotSuited  = "1b3bb94037f04bbf81028e135a12d293"
	MsgUnsafeUserName       = "b61fdac612e94b9182285b998843061f"
	MsgNobodyUser           = "b480325f9c394a7b802c231e51a2752c"
	MsgSysVCompat           = "a8fa8dacdb1d443e9503b8be367a6adb"

	MsgFactoryReset         = "c14aaf76ec284a5fa1f105f88dfb061c"
	MsgSelinuxFailed        = "658a67adc1c940b3b3316e7e8628834a"
	MsgDefaultTargetFailed  = "59288af523be43a28d494e41e26e4510"
	MsgDefaultIsolateFailed = "689b4fcc97b4486ea5da92db69c9e314"
	MsgCrashExecute         = "872729b47dbe473eb768ccecd477beda"
	MsgCrashExit            = "d9ec5e95e4b646aaaea2fd05214edbda"
	MsgFreeze               = "645c735537634ae0a32b15a7c6cba7d4"
	MsgShutdownError        = "af55a6f75b544431b72649f36ff6d62c"
)

// JobMessage is the message id ("" for none) and the priority of the message
// about the end of a job of this type with this result.
func JobMessage(jobType, result string) (id string, priority int) {
	switch jobType {
	case "start", "verify-active":
		id = MsgUnitFailed
		if result == "done" || result == "skipped" {
			id = MsgUnitStarted
		}
	case "reload":
		id = MsgUnitReloaded
	case "stop", "restart":
		id = MsgUnitStopped
	}
	switch result {
	case "timeout", "failed", "once", "concurrency":
		return id, PriErr
	case "dependency", "assert", "unsupported":
		return id, PriWarning
	case "skipped":
		return id, PriNotice
	}
	return id, PriInfo
}
