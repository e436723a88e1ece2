//go:build !linux

package host

import "syscall"

// childAttributes puts a child into its own process group.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
