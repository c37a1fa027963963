package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/muster-init/muster/internal/tidy"
	"github.com/muster-init/muster/pkg/ctl"
	"github.com/muster-init/muster/pkg/unit"
)

// pages makes every generated page, by its path in the repository.
func pages(root string) (map[string]string, error) {
	out := map[string]string{"docs/directives.md": directives(), "docs/coverage.md": coverage(), "docs/musterctl.md": ctl.Manual()}
	for _, program := range []string{"muster", "muster-executor"} {
		text, err := linked(root, program)
		if err != nil {
			return nil, err
		}
		out["docs/deps-"+strings.TrimPrefix(program, "muster-")+".txt"] = text
	}
	list, err := deviations(root)
	if err != nil {
		return nil, err
	}
	if out["docs/deviations.md"], err = splice(root, "docs/deviations.md", list); err != nil {
		return nil, err
	}
	count, err := numbers(root)
	if err != nil {
		return nil, err
	}
	out["README.md"], err = splice(root, "README.md", count)
	return out, err
}

// Marks around the generated part of a page that is otherwise written by hand.
const (
	begin = "<!-- made by `make docs`: -->\n"
	end   = "<!-- end -->\n"
)

// splice puts text between the marks of a page.
func splice(root, name, text string) (string, error) {
	page, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		return "", err
	}
	before, rest, ok := strings.Cut(string(page), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return "", fmt.Errorf("%s: has no %q and %q", name, strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	return before + begin + text + end + after, nil
}

// deviations lists the comments that mark a deliberate difference from systemd, by package.
func deviations(root string) (string, error) {
	tree, err := tidy.Load(root)
	if err != nil {
		return "", err
	}
	byDir := map[string][]string{}
	for _, f := range tree.Files {
		for _, group := range f.AST.Comments {
			if _, text, ok := strings.Cut(group.Text(), "DEVIATION: "); ok {
				text = strings.Join(strings.Fields(text), " ")
				byDir[f.Dir] = append(byDir[f.Dir], fmt.Sprintf("- `%s`: %s\n", f.Path, cell(text)))
			}
		}
	}
	var dirs []string
	for dir := range byDir {
		dirs = append(dirs, dir)
	}
	sort.Strings(dirs)
	var b strings.Builder
	for _, dir := range dirs {
		sort.Strings(byDir[dir])
		b.WriteString(strings.Join(byDir[dir], ""))
	}
	return b.String(), nil
}

// linked lists the packages in a program, ours and foreign ones first, then those of the standard library that have a
// public name: the others change with each Go release.
func linked(root, program string) (string, error) {
	text, err := tidy.GoList(root, "-deps", "-f", "{{if .Standard}}std {{end}}{{.ImportPath}}", "./cmd/"+program)
	if err != nil {
		return "", err
	}
	var own, std []string
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		path, isStd := strings.CutPrefix(line, "std ")
		switch {
		case !isStd:
			own = append(own, strings.TrimPrefix(path, tidy.Module+"/"))
		case !strings.Contains(path, "internal") && !strings.HasPrefix(path, "vendor/"):
			std = append(std, path)
		}
	}
	sort.Strings(own)
	sort.Strings(std)
	head := fmt.Sprintf("# Made by `make docs`: packages linked into cmd/%s (linux/amd64, tag godbus_no_tcp).\n"+
		"# A line more here is a question to ask in review.\n\n", program)
	return head + strings.Join(own, "\n") + "\n\n# standard library\n" + strings.Join(std, "\n") + "\n", nil
}

// numbers are the counts on the first screen of README.md.
func numbers(root string) (string, error) {
	scenarios, err := filepath.Glob(filepath.Join(root, "test", "scenarios", "*", "script"))
	if err != nil {
		return "", err
	}
	sum := tally{}
	for _, r := range unit.Rows() {
		sum.add(r)
	}
	all := sum[unit.Full] + sum[unit.Partial] + sum[unit.Accepted] + sum[unit.Ignored]
	return fmt.Sprintf("%d directives known: %d do what their manual page says, %d in part, %d are read and shown without effect, %d are obsolete\n"+
		"([which](docs/coverage.md)). %d behaviour scenarios run on real systemd and on muster.\n",
		all, sum[unit.Full], sum[unit.Partial], sum[unit.Accepted], sum[unit.Ignored], len(scenarios)), nil
}
