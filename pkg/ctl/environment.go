package ctl

import (
	"sort"
	"strings"

	"github.com/muster-init/muster/pkg/unit/value"
)

// showEnvironment is show-environment: the environment block of the manager, quoted for a shell.
func showEnvironment(s *systemctl, _ string, _ []string) int {
	if !s.online() {
		return exitFailure
	}
	v, err := s.managerProperty("Environment")
	if err != nil {
		s.errorf("Failed to get environment: %s", errorText(err))
		return exitFailure
	}
	list, _ := v.([]string)
	s.startPager(s.o.noPager)
	if strings.HasPrefix(s.o.output, "json") {
		var object jsonObject
		for _, e := range list {
			k, v, _ := strings.Cut(e, "=")
			object = append(object, jsonField{k, v})
		}
		s.printf("%s\n", formatJSON(object, s.o.output == "json-pretty"))
		return 0
	}
	for _, e := range list {
		k, v, _ := strings.Cut(e, "=")
		s.printf("%s=%s\n", k, shellValue(v))
	}
	return 0
}

// shellValue quotes a value with $'…' where a shell would change it.
func shellValue(v string) string {
	plain := true
	for _, c := range []byte(v) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"'`$\\|&;<>()*?[]#~!{}", c) >= 0 {
			plain = false
		}
	}
	if plain {
		return v
	}
	escaped := value.CEscape(v)
	// Inside $'…' a double quote needs no escape.
	return "$'" + strings.ReplaceAll(escaped, `\"`, `"`) + "'"
}

// setEnvironment is set-environment and unset-environment.
func setEnvironment(s *systemctl, name string, args []string) int {
	if !s.online() {
		return exitFailure
	}
	method := "SetEnvironment"
	if name == "unset-environment" {
		method = "UnsetEnvironment"
	}
	if _, err := s.call(method, args); err != nil {
		s.errorf("Failed to set environment: %s", errorText(err))
		return exitFailure
	}
	return 0
}

// importEnvironment is import-environment: variables of this process for the manager's environment block.
func importEnvironment(s *systemctl, _ string, args []string) int {
	if !s.online() {
		return exitFailure
	}
	var list []string
	if len(args) == 0 {
		s.notef("Calling import-environment without a list of variable names is deprecated.")
		for _, e := range s.Environ() {
			if k, v, ok := strings.Cut(e, "="); ok && value.EnvNameIsValid(k) && value.EnvValueIsValid(v) {
				list = append(list, e)
			}
		}
		sort.Strings(list)
	}
	for _, k := range args {
		if !value.EnvNameIsValid(k) {
			s.errorf("Not a valid environment variable name: %s", k)
			return exitFailure
		}
		v, ok := s.LookupEnv(k)
		if !ok {
			s.notef("Environment variable $%s not set, ignoring.", k)
			continue
		}
		list = append(list, k+"="+v)
	}
	if len(list) == 0 {
		return 0
	}
	if _, err := s.call("SetEnvironment", list); err != nil {
		s.errorf("Failed to import environment: %s", errorText(err))
		return exitFailure
	}
	return 0
}
