package inspect

import (
	"io/fs"
	"syscall"

	"github.com/verdict-bench/verdict/internal/doctor"
)

// clock asks the kernel whether a time service disciplines it.
func clock() doctor.Clock {
	const unsynchronized = 0x40 // STA_UNSYNC of adjtimex(2)
	var t syscall.Timex         // of which no mode is set: nothing is changed
	if _, err := syscall.Adjtimex(&t); err != nil {
		return doctor.Clock{Problem: "adjtimex: " + err.Error()}
	}
	synchronized := t.Status&unsynchronized == 0
	return doctor.Clock{Synchronized: &synchronized}
}

// room is what this user may still write on the file system that path is on,
// and its size, in bytes.
func room(path string) (free, total int64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return 0, 0, &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	return int64(s.Bavail) * s.Bsize, int64(s.Blocks) * s.Bsize, nil
}

// owner is the uid of a file's owner.
func owner(info fs.FileInfo) int {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid)
	}
	return -1
}

// allocated is what a file takes on the disk: databases have sparse files.
func allocated(info fs.FileInfo) int64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Blocks * 512
	}
	return info.Size()
}
