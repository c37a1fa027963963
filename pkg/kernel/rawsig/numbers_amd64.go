package rawsig

const (
	sysSigaction = 13
	sysGetpid    = 39
)
