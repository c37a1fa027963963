package plan

import "strconv"

// Exit statuses of a child that failed before execve (systemd.exec(5),
// Process Exit Codes).
const (
	ExitChdir                  uint8 = 200
	ExitNice                   uint8 = 201
	ExitFDs                    uint8 = 202
	ExitExec                   uint8 = 203
	ExitMemory                 uint8 = 204
	ExitLimits                 uint8 = 205
	ExitOOMAdjust              uint8 = 206
	ExitSignalMask             uint8 = 207
	ExitStdin                  uint8 = 208
	ExitStdout                 uint8 = 209
	ExitChroot                 uint8 = 210
	ExitIOPrio                 uint8 = 211
	ExitTimerSlack             uint8 = 212
	ExitSecureBits             uint8 = 213
	ExitSetScheduler           uint8 = 214
	ExitCPUAffinity            uint8 = 215
	ExitGroup                  uint8 = 216
	ExitUser                   uint8 = 217
	ExitCapabilities           uint8 = 218
	ExitCgroup                 uint8 = 219
	ExitSetsid                 uint8 = 220
	ExitConfirm                uint8 = 221
	ExitStderr                 uint8 = 222
	ExitPAM                    uint8 = 224
	ExitNetwork                uint8 = 225
	ExitNamespace              uint8 = 226
	ExitNoNewPrivileges        uint8 = 227
	ExitSeccomp                uint8 = 228
	ExitSELinux                uint8 = 229
	ExitPersonality            uint8 = 230
	ExitAppArmor               uint8 = 231
	ExitAddressFamilies        uint8 = 232
	ExitRuntimeDirectory       uint8 = 233
	ExitChown                  uint8 = 235
	ExitSmackLabel             uint8 = 236
	ExitKeyring                uint8 = 237
	ExitStateDirectory         uint8 = 238
	ExitCacheDirectory         uint8 = 239
	ExitLogsDirectory          uint8 = 240
	ExitConfigurationDirectory uint8 = 241
	ExitNUMAPolicy             uint8 = 242
	ExitCredentials            uint8 = 243
	ExitBPF                    uint8 = 244
	ExitKSM                    uint8 = 245
	ExitMemoryTHP              uint8 = 246
	ExitException              uint8 = 255
)

// MaxFailure bounds an encoded Failure: one write to a pipe is atomic up to
// PIPE_BUF, 4096 bytes.
const MaxFailure = 4096

// Failure says which step of a child failed before execve.
type Failure struct {
	Status  uint8  // exit status
	Setting string // directive without "=", or what was being done
	Path    string // the path or name it was about, "" none
	Errno   int32  // 0: Message alone says why
	Message string
	// Resources says that systemd reports this as result "resources" rather
	// than by an exit status (unreadable EnvironmentFile=).
	Resources bool
}

func (f *Failure) Error() string {
	s := f.Setting + "="
	if f.Setting == "" {
		s = "status " + strconv.Itoa(int(f.Status))
	}
	if f.Path != "" {
		s += ": " + f.Path
	}
	if f.Message != "" {
		s += ": " + f.Message
	}
	return s
}
