package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/shell"
	"github.com/verdict-bench/verdict/internal/store"
)

// This file is what runs on two servers and runs on one have in common.

// newRemoteDir is a directory for the run on a server that no other run has.
func (r *runner) newRemoteDir() string {
	var id [4]byte
	rand.Read(id[:])
	return "~/.verdict/runs/" + filepath.Base(r.Run.Dir()) + "-" + hex.EncodeToString(id[:])
}

// readState reads what an earlier process left: state, and the manifest.
func (r *runner) readState(state any) error {
	for name, into := range map[string]any{StateName: state, store.StartName: &r.manifest} {
		raw, err := os.ReadFile(filepath.Join(r.Run.Dir(), name))
		if err == nil {
			err = json.Unmarshal(raw, into)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// remoteArgv is the argument vector of a step as a server is given it, where
// program is verdict and dir the run's directory; others are replaced whole.
func remoteArgv(argv []string, program, dir string, others map[string]string) []string {
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

// written is what h has in a file from offset on, at most a chunk; nothing while
// the file is not there yet.
func written(ctx context.Context, h host.Host, path string, offset int64) ([]byte, error) {
	data, err := h.ReadFrom(ctx, path, offset, chunk)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// wholeLines is data up to its last newline.
func wholeLines(data []byte) []byte { return data[:bytes.LastIndexByte(data, '\n')+1] }

// goesOn is err, after which a run goes on without this process; resuming says
// what --resume does with it.
func (r *runner) goesOn(err error, what, resuming string) error {
	kind, dir := fault.KindOf(err), shell.Quote(r.Run.Dir())
	return fault.Newf(kind, "%w; %s", err, what).
		Hint("verdict witness --resume %s%s   # %s", dir, r.Servers.Again, resuming).
		Hint("verdict witness --stop %s%s   # end it", dir, r.Servers.Again)
}
