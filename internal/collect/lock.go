package collect

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/verdict-bench/verdict/internal/fault"
)

// Lock makes sure that no other collector writes the file at path, which is
// made if it is missing, until unlock is called or this process ends, however
// that comes about. A file that another one writes is an error that says which
// process that is, where the system tells.
func Lock(path string) (unlock func() error, err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fault.As(fault.Prerequisite, err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return file.Close, nil
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = busy(path, file)
	} else {
		err = fault.Newf(fault.Prerequisite, "locking %s: %w", path, err)
	}
	return nil, errors.Join(err, file.Close())
}

func busy(path string, file *os.File) error {
	if info, err := file.Stat(); err == nil {
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			// No such file is no holder: that is how other systems are.
			locks, _ := os.ReadFile("/proc/locks")
			if pid := lockHolder(string(locks), uint64(stat.Ino)); pid > 0 {
				return fault.Newf(fault.Prerequisite, "%s is being written by process %d", path, pid).
					Hint("ps -o pid,lstart,args -p %d", pid)
			}
		}
	}
	return fault.Newf(fault.Prerequisite, "%s is being written by another process", path)
}

// lockHolder finds the process that holds an flock lock on a file in the text of
// /proc/locks, 0 for none. Lines there are
//
//	N: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE START END
//
// and those of waiting processes have an arrow after the number. The device is
// not compared: what stat tells of it differs on layered file systems.
func lockHolder(locks string, inode uint64) int {
	suffix := fmt.Sprintf(":%d", inode)
	for line := range strings.Lines(locks) {
		f := strings.Fields(line)
		if len(f) < 6 || f[1] != "FLOCK" || f[3] != "WRITE" || !strings.HasSuffix(f[5], suffix) {
			continue
		}
		if pid, err := strconv.Atoi(f[4]); err == nil && pid > 0 {
			return pid
		}
	}
	return 0
}
