package store

import (
	"fmt"
	"os"
	"syscall"

	"github.com/verdict-bench/verdict/internal/fault"
)

// lockFile takes the lock of a run, which ends with the process however that
// ends.
func lockFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fault.As(fault.Prerequisite, fmt.Errorf("locking the run: %w", err))
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, fault.Newf(fault.Usage, "the run %w", ErrBusy).
			Hint("wait for it, or end that process first")
	}
	return file, nil
}
