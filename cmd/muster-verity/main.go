// Command muster-verity says whether the signature of a disk image's root hash is by somebody of verity.d. The executor runs it when the kernel
// doesn't vouch for one that is insisted on: what it takes to know that would cost each start of a confined service.
package main

import (
	"os"

	"github.com/muster-init/muster/pkg/image/signature"
)

func main() { os.Exit(signature.Main(os.Stdin, os.Stdout)) }
