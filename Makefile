# muster: `make` shows the targets.
SHELL := /bin/bash
INIT ?= muster
INITS ?= systemd,muster
ROOT ?= trixie
VM_ROOT ?= trixie-vm
SEED ?=
SEEDS ?= 1000
STEPS ?= 1000
RUN ?= .
PREFIX ?= /usr
BIN ?= bin
NAMES ?=
GO ?= go
# What passed at a later try only, over all stages of `make test`.
NOTES := $(BIN)/later-tries
AGAIN = $(GO) run ./test/again -notes $(NOTES)
# The names that muster-generator answers to, by the directory they belong into.
SYSTEM_GENERATORS := fstab getty debug run system-update rc-local sysv cryptsetup veritysetup integritysetup hibernate-resume gpt-auto
USER_GENERATORS := xdg-autostart
USER_ENVIRONMENT_GENERATORS := 30-systemd-environment-d-generator
GOFLAGS_BUILD := -trimpath -tags godbus_no_tcp -ldflags "-s -w"
export CGO_ENABLED := 0

.DEFAULT_GOAL := help
.PHONY: help build test unit scenarios vm-test run run-container root sim fuzz bench lint docs install clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## static binaries of all programs into bin/
	@mkdir -p $(BIN)
	$(GO) build $(GOFLAGS_BUILD) -o $(BIN)/ ./cmd/...

test: ## all tests, what fails once more by itself; needs root for the container and the scenarios: INITS=systemd,muster
	@mkdir -p $(BIN) && rm -f $(NOTES)
	$(GO) vet ./...
	$(AGAIN) -timeout 15m -- $$($(GO) list ./... | grep -v /test/)
	$(AGAIN) -timeout 25m -p 1 -- $$($(GO) list ./test/... | grep -v -e /scenarios -e /vm$$)
	$(AGAIN) -tries 2 -subtests -timeout 60m -v -- ./test/scenarios -- -init=$(INITS)
	$(AGAIN) -tries 2 -subtests -timeout 40m -v -short -- ./test/vm -- -init=$(INITS)

unit: ## the tests that need neither root nor a container
	$(GO) test $$($(GO) list ./... | grep -v /test/)

scenarios: ## behaviour scenarios inside a container: INIT=muster|systemd RUN=name
	$(GO) test ./test/scenarios -count=1 -timeout 20m -v -init=$(INIT) -run 'TestScenarios/$(RUN)'

vm-test: ## scenarios in virtual machines (qemu, installed by apt where it is missing): INITS=systemd,muster RUN=name VM_ROOT=trixie-vm|bookworm-vm
	$(GO) test ./test/vm -count=1 -timeout 120m -v -init=$(INITS) -root $(VM_ROOT) -run 'TestVM/$(RUN)'

run: ## boot a Debian root in namespaces, a shell inside: INIT=muster|systemd ROOT=name|/path
	@$(GO) run ./test/container run -init $(INIT) -root $(ROOT)

run-container: ## boot muster as PID 1 of a container without any rights: several services in one pod
	@$(GO) run ./test/container pod

root: ## prepare the cached Debian root only: ROOT=trixie|bookworm|session|bare|trixie-vm|bookworm-vm
	@$(GO) run ./test/container root -root $(ROOT)

sim: ## the simulator with random faults: SEED=first SEEDS=1000 STEPS=1000 (events per seed)
	$(GO) test ./pkg/engine/enginetest -count=1 -timeout 2h -v -run 'TestSimulation$$' \
	  -sim.seed $(or $(SEED),$(shell od -An -N4 -tu4 /dev/urandom)) -sim.seeds $(SEEDS) -sim.steps $(STEPS)

fuzz: ## every fuzzer for FUZZTIME (10s) each
	@set -e; for package in $$($(GO) list ./...); do \
	  for name in $$($(GO) test -list '^Fuzz' $$package | grep ^Fuzz); do \
	    echo "$$package $$name"; $(GO) test $$package -run '^$$' -fuzz "^$$name$$" -fuzztime $${FUZZTIME:-10s}; done; done

bench: ## muster beside systemd in one run, with what was to be reached: N="100 1000 5000" INIT="systemd muster" ONLY=start ALL=1
	@$(GO) run ./test/bench $(if $(N),-n "$(N)") $(if $(ONLY),-only "$(ONLY)") $(if $(ALL),-all) $(if $(filter command line environment,$(origin INIT)),-init "$(INIT)")

lint: ## vet, formatting, other architectures, the repository's own rules; golangci-lint if it is there
	$(GO) vet ./...
	GOARCH=arm64 $(GO) build -tags godbus_no_tcp -o /dev/null ./cmd/...
	GOARCH=riscv64 $(GO) build -tags godbus_no_tcp -o /dev/null ./cmd/...
	$(GO) test ./internal/...
	@if command -v golangci-lint >/dev/null; then golangci-lint run; else echo "golangci-lint is not installed: the rest was checked"; fi

docs: ## generated pages: directives, coverage, deviations, linked packages
	$(GO) run ./internal/docs

install: build ## programs, units and docs under DESTDIR=; NAMES="systemctl …": links to musterctl
	install -D -m 755 $(BIN)/muster $(DESTDIR)$(PREFIX)/lib/muster/muster
	install -D -m 755 $(BIN)/muster-executor $(DESTDIR)$(PREFIX)/lib/muster/muster-executor
	install -D -m 755 $(BIN)/muster-pam $(DESTDIR)$(PREFIX)/lib/muster/muster-pam
	install -D -m 755 $(BIN)/muster-verity $(DESTDIR)$(PREFIX)/lib/muster/muster-verity
	install -D -m 755 $(BIN)/musterctl $(DESTDIR)$(PREFIX)/bin/musterctl
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	$(BIN)/musterctl completion bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/musterctl
	$(BIN)/musterctl completion zsh >$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_musterctl
	$(BIN)/musterctl completion fish >$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/musterctl.fish
	install -D -m 755 $(BIN)/muster-generator $(DESTDIR)$(PREFIX)/lib/muster/muster-generator
	install -d $(DESTDIR)$(PREFIX)/lib/muster/system-generators $(DESTDIR)$(PREFIX)/lib/muster/user-environment-generators
	for name in $(SYSTEM_GENERATORS); do \
	  ln -sf ../muster-generator $(DESTDIR)$(PREFIX)/lib/muster/system-generators/systemd-$$name-generator || exit 1; done
	install -d $(DESTDIR)$(PREFIX)/lib/muster/user-generators
	for name in $(USER_GENERATORS); do \
	  ln -sf ../muster-generator $(DESTDIR)$(PREFIX)/lib/muster/user-generators/systemd-$$name-generator || exit 1; done
	for name in $(USER_ENVIRONMENT_GENERATORS); do \
	  ln -sf ../muster-generator $(DESTDIR)$(PREFIX)/lib/muster/user-environment-generators/$$name || exit 1; done
	for name in $(NAMES); do ln -sf musterctl $(DESTDIR)$(PREFIX)/bin/$$name || exit 1; done
	for manager in system user; do \
	  install -d $(DESTDIR)$(PREFIX)/lib/muster/$$manager && \
	  cp -RP --preserve=mode units/$$manager/. $(DESTDIR)$(PREFIX)/lib/muster/$$manager/ || exit 1; done
	install -d $(DESTDIR)$(PREFIX)/share/doc/muster
	install -m 644 README.md CHANGELOG.md LICENSE $(DESTDIR)$(PREFIX)/share/doc/muster/
	cp -RP --preserve=mode docs $(DESTDIR)$(PREFIX)/share/doc/muster/

clean: ## remove what was built; the cached roots stay
	rm -rf bin
