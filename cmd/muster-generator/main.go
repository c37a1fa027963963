// Command muster-generator is all of our generators in one: it is what its own name, or else its first argument says (systemd.generator(7)).
package main

import (
	"os"

	"github.com/muster-init/muster/pkg/generator/program"
)

func main() {
	os.Exit(program.Main(program.Process{Getenv: os.Getenv, Env: os.Environ(), Stdout: os.Stdout, Stderr: os.Stderr}, os.Args))
}
