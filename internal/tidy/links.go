package tidy

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
)

// Pages lists the Markdown files a person reads: README.md, CHANGELOG.md and docs/.
func (t *Tree) Pages() ([]string, error) {
	pages, err := filepath.Glob(filepath.Join(t.Root, "docs", "*.md"))
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"README.md", "CHANGELOG.md"} {
		pages = append(pages, filepath.Join(t.Root, name))
	}
	for i, p := range pages {
		if pages[i], err = filepath.Rel(t.Root, p); err != nil {
			return nil, err
		}
	}
	sort.Strings(pages)
	return pages, nil
}

var (
	link = regexp.MustCompile(`\]\(([^)#]+)(?:#[^)]*)?\)`)
	// treePath is a path of the repository in backquotes, as pkg/unit or test/bench/main.go.
	treePath = regexp.MustCompile("`((?:cmd|pkg|internal|test|units|docs)/[A-Za-z0-9_./-]+)`")
	// makeTarget is `make name`.
	makeTarget = regexp.MustCompile("`make ([a-z-]+)[^`]*`")
	// goName is a name of a package in backquotes, as manager.turn or engine.Step.
	goName = regexp.MustCompile("`([a-z]+)\\.([A-Za-z]\\w*)(?:\\(\\))?`")
)

// Links finds links, paths, make targets and Go names in the pages that lead nowhere.
func (t *Tree) Links() ([]Finding, error) {
	pages, err := t.Pages()
	if err != nil {
		return nil, err
	}
	makefile, err := os.ReadFile(filepath.Join(t.Root, "Makefile"))
	if err != nil {
		return nil, err
	}
	names := t.declared()
	var out []Finding
	for _, page := range pages {
		text, err := os.ReadFile(filepath.Join(t.Root, page))
		if err != nil {
			return nil, err
		}
		say := func(what string) { out = append(out, Finding{"links", page, what}) }
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(m[1], "://") && !t.exists(path.Join(path.Dir(page), m[1])) {
				say("the link to " + m[1] + " leads nowhere")
			}
		}
		for _, m := range treePath.FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(m[1], "NAME") && !t.exists(strings.TrimSuffix(m[1], "/...")) {
				say("there is no " + m[1])
			}
		}
		for _, m := range makeTarget.FindAllStringSubmatch(string(text), -1) {
			if !regexp.MustCompile(`(?m)^` + m[1] + `:`).Match(makefile) {
				say("there is no `make " + m[1] + "`")
			}
		}
		for _, m := range goName.FindAllStringSubmatch(string(text), -1) {
			if known := names[m[1]]; known != nil && !known[m[2]] {
				say("package " + m[1] + " has no " + m[2])
			}
		}
	}
	return out, nil
}

func (t *Tree) exists(name string) bool {
	_, err := os.Stat(filepath.Join(t.Root, name))
	return err == nil
}

// declared are the names that the packages of pkg/ declare, by the last word of their path; methods and fields count.
func (t *Tree) declared() map[string]map[string]bool {
	out := map[string]map[string]bool{}
	for _, f := range t.Files {
		if !matches("pkg/...", f.Dir) || f.Test {
			continue
		}
		base := path.Base(f.Dir)
		if out[base] == nil {
			out[base] = map[string]bool{}
		}
		for name := range namesIn(f) {
			out[base][name] = true
		}
	}
	return out
}
