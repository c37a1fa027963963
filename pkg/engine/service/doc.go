// Package service is the state machine of service units (systemd.service(5)).
package service
