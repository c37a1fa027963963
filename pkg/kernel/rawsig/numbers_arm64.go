package rawsig

const (
	sysSigaction = 134
	sysGetpid    = 172
)
