package vm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/muster-init/muster/test/vm/machine"
)

// keepDir is for writing scenarios: a boot under emulation takes longer than most of them. The snapshot of the ordinary
// boot stays there for the next run, which sends its scenarios to it. The init and its programs are part of the name, the
// tools are as they were.
var keepDir = flag.String("keep", "", "keep the booted machine in this directory, and use the one that is there")

// keptName is the snapshot of an ordinary boot with this init.
func (h *harness) keptName() string {
	var under []string
	for _, bind := range h.program.Binds {
		under = append(under, inject+bind.Target)
	}
	return filepath.Join(*keepDir, h.program.Name+"-"+*rootName+"-"+h.archive.Sum(under...))
}

// ordinary makes the snapshot of an ordinary boot, or finds the one that was kept.
func (h *harness) ordinary(ctx context.Context, t *testing.T) error {
	if h.snapshot != nil {
		return nil
	}
	if *keepDir != "" {
		var err error
		if h.snapshot, err = machine.Load(h.keptName()); err == nil {
			return nil
		}
	}
	m, err := h.boot(t, sharedSpec(), h.initrd)
	if err != nil {
		return err
	}
	if h.snapshot, err = m.Save(ctx); err != nil {
		h.stop(t, m)
		return err
	}
	if *keepDir != "" {
		return h.snapshot.Keep(h.keptName())
	}
	return nil
}

// sendScenarios replaces the scenarios in a machine by those of now.
func (h *harness) sendScenarios(ctx context.Context, m *machine.Machine) error {
	packed, err := packScenarios(h.archive.Under(inject + "/scenarios/"))
	if err != nil {
		return err
	}
	run := func(script string, args ...string) error {
		result, err := m.Exec(ctx, append([]string{"bash", "-c", script, "send"}, args...)...)
		if err == nil && result.Code != 0 {
			err = fmt.Errorf("exit status %d: %s", result.Code, result.Output)
		}
		return err
	}
	const chunk = 24 << 10 // a line of the wire has more room
	for text := base64.StdEncoding.EncodeToString(packed); text != ""; {
		n := min(chunk, len(text))
		if err := run(`base64 -d <<<"$1" >>/run/scenarios.tgz`, text[:n]); err != nil {
			return fmt.Errorf("sending the scenarios: %w", err)
		}
		text = text[n:]
	}
	return run("rm -rf /scenarios && mkdir /scenarios && tar -xzf /run/scenarios.tgz -C /scenarios && rm /run/scenarios.tgz")
}

// packScenarios is a compressed archive for tar(1).
func packScenarios(names []string, get func(string) (mode int64, data []byte, link bool)) ([]byte, error) {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	for _, name := range names {
		mode, data, link := get(name)
		header := &tar.Header{Name: strings.TrimPrefix(name, inject+"/scenarios/"), Mode: mode, Size: int64(len(data)), Typeflag: tar.TypeReg}
		if link {
			header.Typeflag, header.Linkname, header.Size = tar.TypeSymlink, string(data), 0
			data = nil
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	err := z.Close()
	return out.Bytes(), err
}

// freeSnapshot removes the snapshot, unless it is to be kept.
func (h *harness) freeSnapshot() error {
	if h.snapshot == nil || *keepDir != "" {
		return nil
	}
	return h.snapshot.Remove()
}
