package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/muster-init/muster/test/container/box"
	"github.com/muster-init/muster/test/root"
)

func main() {
	ctx := context.Background()
	repo, err := box.Repository()
	if err != nil { panic(err) }
	if len(os.Args) > 4 { repo = os.Args[4] }
	p, err := box.FindProgram(ctx, os.Args[1], repo)
	if err != nil { panic(err) }
	spec, err := root.Find("trixie")
	if err != nil { panic(err) }
	dir, err := spec.Prepare(ctx, os.Stderr)
	if err != nil { panic(err) }
	b, err := box.Start(box.Options{Root: dir, Init: p.Path, Args: p.Args, Binds: append([]box.Bind{{Source: "/tmp/payload", Target: "/usr/local/bin/payload"}}, p.Binds...), Files: box.Identity(), Log: os.Stderr})
	if err != nil { panic(err) }
	defer b.Stop()
	state, err := b.WaitRunning(ctx, p.Ctl)
	fmt.Println(state, err)
	os.WriteFile(os.Args[2], []byte(fmt.Sprint(b.PID())), 0o644)
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM, syscall.SIGINT)
	select { case <-c: case <-b.Done(): }
	os.Remove(os.Args[2])
}
