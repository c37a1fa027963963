package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// Snapshot is a machine at one moment: its memory, its devices, its disks. Machines that start from it begin there,
// each with layers of its own above the disks, so a boot is paid once.
type Snapshot struct {
	dir     string
	options Options
}

// stateFile has the memory and the devices.
const stateFile = "state"

// migrationBytes is how much a second a state may be written with: what it takes, as nothing else is on the way.
const migrationBytes = 1 << 34

// Save ends the machine and keeps it as a snapshot. Nothing may run in it by Exec.
func (m *Machine) Save(ctx context.Context) (*Snapshot, error) {
	path := filepath.Join(m.dir, stateFile)
	for _, step := range []struct {
		name      string
		arguments map[string]any
	}{
		{"stop", nil},
		{"migrate-set-parameters", map[string]any{"max-bandwidth": int64(migrationBytes)}},
		{"migrate", map[string]any{"uri": "exec:cat >" + path}},
	} {
		if _, err := m.qmp.Do(step.name, step.arguments); err != nil {
			return nil, err
		}
	}
	if err := m.await(ctx, "query-migrate", func(status string) (bool, error) {
		if status == "failed" || status == "cancelled" {
			return false, fmt.Errorf("machine: saving it: %s", status)
		}
		return status == "completed", nil
	}); err != nil {
		return nil, err
	}
	if _, err := m.qmp.Do("quit", nil); err != nil {
		return nil, err
	}
	select {
	case <-m.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("machine: saving it: %w", ctx.Err())
	}
	s := &Snapshot{dir: m.dir, options: m.options}
	m.dir = ""
	return s, m.Stop()
}

// optionsFile has the options of a snapshot that is kept.
const optionsFile = "options"

// Keep moves the snapshot to a directory where Load finds it.
func (s *Snapshot) Keep(dir string) error {
	text, err := json.Marshal(s.options)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.dir, optionsFile), text, 0o600); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	if err := os.Rename(s.dir, dir); err != nil {
		return err
	}
	s.dir = dir
	return nil
}

// Load finds a snapshot that was kept.
func Load(dir string) (*Snapshot, error) {
	text, err := os.ReadFile(filepath.Join(dir, optionsFile))
	if err != nil {
		return nil, err
	}
	s := &Snapshot{dir: dir}
	return s, json.Unmarshal(text, &s.options)
}

// Remove removes the files of the snapshot; no machine of it may run any more.
func (s *Snapshot) Remove() error { return os.RemoveAll(s.dir) }

// Start starts a machine where the snapshot was taken, with so many boots to come as for Options.Boots.
func (s *Snapshot) Start(ctx context.Context, boots int) (*Machine, error) {
	options := s.options
	options.Boots, options.from = boots, s
	m, err := Start(options)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	m.boots = 1 // whose hello was said before
	m.mu.Unlock()
	err = m.await(ctx, "query-status", func(status string) (bool, error) { return status != "inmigrate", nil })
	if err == nil {
		_, err = m.qmp.Do("cont", nil)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s", err, m.console.text()), m.Stop())
	}
	return m, nil
}

// await asks the monitor until the status that a command answers with is as wanted.
func (m *Machine) await(ctx context.Context, command string, ok func(string) (bool, error)) error {
	for {
		raw, err := m.qmp.Do(command, nil)
		if err != nil {
			return err
		}
		var answer struct {
			Status string `json:"status"`
		}
		if err := json.Unmarshal(raw, &answer); err != nil {
			return fmt.Errorf("monitor: %s: %w", command, err)
		}
		if done, err := ok(answer.Status); done || err != nil {
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("monitor: %s: %w (last %q)", command, ctx.Err(), answer.Status)
		}
	}
}

// layer makes a disk whose changes stay apart from the given one.
func layer(path, base, format string) error {
	if out, err := exec.Command("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", format, path).CombinedOutput(); err != nil {
		return fmt.Errorf("qemu-img: %w: %s", err, out)
	}
	return nil
}

// diskArguments are those of the disks beside the root, which are made here.
func (m *Machine) diskArguments(options Options) ([]string, error) {
	var args []string
	for _, disk := range options.Disks {
		path := filepath.Join(m.dir, disk.Name+".img")
		node := "driver=file,node-name=disk-" + disk.Name + ",filename=" + path + ",cache.direct=off,cache.no-flush=on"
		if options.from != nil {
			if err := layer(path, filepath.Join(options.from.dir, disk.Name+".img"), "raw"); err != nil {
				return nil, err
			}
			node = "driver=qcow2,node-name=disk-" + disk.Name + ",cache.direct=off,cache.no-flush=on,file.driver=file,file.filename=" + path
		} else if err := makeDisk(path, disk); err != nil {
			return nil, err
		}
		m.disks[disk.Name] = disk
		args = append(args, "-blockdev", node)
		if !disk.Later {
			args = append(args, "-device", "virtio-blk-pci,id="+disk.Name+",drive=disk-"+disk.Name+",serial="+disk.Name)
		}
	}
	return slices.Clip(args), nil
}
