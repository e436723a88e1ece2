package host

import "syscall"

// childAttributes puts a child into its own process group and has the kernel
// end it when this process dies without having stopped it.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
