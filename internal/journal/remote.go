package journal

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/store"
)

// chunk bounds what is read of a file on a host at once, in bytes.
const chunk = 1 << 20

// NewRemoteDir is a directory for the run on a host that no other run has.
func NewRemoteDir(run *store.Run) string {
	var id [4]byte
	rand.Read(id[:])
	return "~/.verdict/runs/" + filepath.Base(run.Dir()) + "-" + hex.EncodeToString(id[:])
}

// Argv is the argument vector of a step as a host is given it, where program is
// verdict and dir the run's directory; others are replaced whole.
func Argv(argv []string, program, dir string, others map[string]string) []string {
	out := make([]string, len(argv))
	for i, arg := range argv {
		if value, ok := others[arg]; ok {
			arg = value
		} else if arg == plan.ProgramVariable {
			arg = program
		} else if rest, ok := strings.CutPrefix(arg, plan.RunVariable+"/"); ok {
			arg = dir + "/" + rest
		}
		out[i] = arg
	}
	return out
}

// Written is what h has in a file from offset on, at most a megabyte; nothing
// while the file is not there yet.
func Written(ctx context.Context, h host.Host, path string, offset int64) ([]byte, error) {
	data, err := h.ReadFrom(ctx, path, offset, chunk)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// WholeLines is data up to its last newline.
func WholeLines(data []byte) []byte { return data[:bytes.LastIndexByte(data, '\n')+1] }
