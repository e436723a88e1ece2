package ethrpc

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pipeSize is what an unprivileged process may ask for, in bytes.
const pipeSize = 1 << 20

// diverter moves bytes from a socket to the spool file without taking them
// through this process. Copying a very large answer in and out again takes
// about as long as the server takes to send it, and would be measured as the
// server's time.
type diverter struct {
	pipe [2]int
}

// newDiverter returns nil when the system has no pipe to spare; the spool file
// is then written the ordinary way.
func newDiverter() *diverter {
	d := new(diverter)
	if err := unix.Pipe2(d.pipe[:], unix.O_CLOEXEC); err != nil {
		return nil
	}
	// A smaller pipe works too, only slower, so that a refusal does not matter.
	unix.FcntlInt(uintptr(d.pipe[1]), unix.F_SETPIPE_SZ, pipeSize)
	return d
}

func (d *diverter) close() error {
	return errors.Join(unix.Close(d.pipe[0]), unix.Close(d.pipe[1]))
}

// move waits until the socket holds something and writes it, at most limit
// bytes, to the file at offset. It ends as a Read does, with io.EOF. An error
// of the file is a *spoolError, after which the diverter is of no more use.
func (d *diverter) move(conn *net.TCPConn, file *os.File, offset int64, limit int) (int, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var taken int64
	var refused error
	err = raw.Read(func(fd uintptr) bool {
		taken, refused = splice(int(fd), nil, d.pipe[1], nil, limit, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		return refused != unix.EAGAIN
	})
	switch {
	case err != nil:
		return 0, err
	case refused != nil:
		return 0, os.NewSyscallError("splice", refused)
	case taken == 0:
		return 0, io.EOF
	}
	for left := taken; left > 0; {
		n, err := splice(d.pipe[0], nil, int(file.Fd()), &offset, int(left), unix.SPLICE_F_MOVE)
		if err != nil {
			return 0, &spoolError{fmt.Errorf("spool file: %w", os.NewSyscallError("splice", err))}
		}
		left -= n
	}
	return int(taken), nil
}

// wakeAt makes the system wake the reader of conn only when that many bytes
// are there. Otherwise each segment of a large answer wakes the runtime's
// poller, which takes processor time from the server that is being measured.
// It must not be more than what is certain to come: the reader would sleep on.
func wakeAt(conn *net.TCPConn, bytes int) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	// A refusal costs time and nothing else.
	raw.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT, bytes)
	})
}

// splice is splice(2), once more when a signal interrupts it.
func splice(from int, fromOffset *int64, to int, toOffset *int64, limit, flags int) (int64, error) {
	for {
		n, err := unix.Splice(from, fromOffset, to, toOffset, limit, flags)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// preferHugePages asks for large pages in memory: a large answer then costs
// fewer faults and fewer misses of the address cache. It is a wish only, so
// that a refusal does not matter.
func preferHugePages(memory []byte) {
	at := int(-uintptr(unsafe.Pointer(unsafe.SliceData(memory))) % pageSize)
	if whole := (len(memory) - at) / pageSize * pageSize; whole > 0 {
		unix.Madvise(memory[at:at+whole], unix.MADV_HUGEPAGE)
	}
}
