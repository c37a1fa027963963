//go:build !linux || (!amd64 && !arm64)

package main

import "github.com/muster-init/muster/pkg/execplan/plan"

// session can't be had where the handler is not written.
type session struct{}

func open(*plan.Plan) (*session, *plan.Failure) {
	return nil, failed("muster-pam", "not available on this architecture")
}

func (*session) environment() []string { return nil }
func (*session) watch(*plan.Plan) *plan.Failure {
	return failed("muster-pam", "not available on this architecture")
}
