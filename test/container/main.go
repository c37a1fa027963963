// Command container prepares a Debian root and boots muster, or systemd for
// comparison, as PID 1 of a namespace container. `make run` calls it.
//
//	container run  [-init muster|systemd] [-root NAME|/path] [-console]
//	container pod                    boot muster without any rights, as a pod
//	container root [-root NAME]      prepare the root, print its directory
//
// Exit status: 0 when everything was reached and PID 1 ended cleanly, 1 when
// not, 2 for wrong arguments.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/muster-init/muster/test/container/box"
	"github.com/muster-init/muster/test/root"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := command(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "container: error: %v\n", err)
		if errors.Is(err, errUsage) {
			os.Exit(2)
		}
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: container run [-init muster|systemd] [-root NAME|/path] [-console] | container pod | container root [-root NAME]")

func command(ctx context.Context, args []string) error {
	verb := "run"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		verb, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet("container", flag.ContinueOnError)
	initName := flags.String("init", "muster", "init to boot: muster or systemd")
	rootName := flags.String("root", root.Specs[0].Name, "prepared root by name, or the path of another root")
	console := flags.Bool("console", false, "show the console while booting")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("this needs root, for namespaces, overlay mounts and cgroups: run `sudo make %s`", verb)
	}
	switch verb {
	case "pod":
		return runPod(ctx)
	case "root":
		dir, err := rootDirectory(ctx, *rootName)
		if err == nil {
			fmt.Println(dir)
		}
		return err
	case "run":
		repository, err := box.Repository()
		if err != nil {
			return err
		}
		program, err := box.FindProgram(ctx, *initName, repository)
		if err != nil {
			return err
		}
		dir, err := rootDirectory(ctx, *rootName)
		if err != nil {
			return err
		}
		return run(ctx, session{program: program, root: dir, showConsole: *console})
	}
	return errUsage
}

// rootDirectory takes a path as it is and prepares a root known by name.
func rootDirectory(ctx context.Context, name string) (string, error) {
	if strings.Contains(name, "/") {
		dir, err := filepath.Abs(name)
		if err != nil {
			return "", err
		}
		if info, err := os.Stat(filepath.Join(dir, "etc")); err != nil || !info.IsDir() {
			return "", fmt.Errorf("root %s: not a root directory, it has no /etc", dir)
		}
		return dir, nil
	}
	spec, err := root.Find(name)
	if err != nil {
		return "", err
	}
	return spec.Prepare(ctx, os.Stderr)
}
