//go:build !linux

package ethrpc

import (
	"errors"
	"net"
	"os"
)

// diverter has no counterpart here: the spool file is written the ordinary
// way.
type diverter struct{}

func newDiverter() *diverter { return nil }

func (d *diverter) close() error { return nil }

func (d *diverter) move(*net.TCPConn, *os.File, int64, int) (int, error) {
	return 0, errors.ErrUnsupported
}

func wakeAt(*net.TCPConn, int) {}

func preferHugePages([]byte) {}
