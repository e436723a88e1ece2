package beacon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/verdict-bench/verdict/internal/fault"
)

// headPath is the file in a data directory that holds the head. As Lighthouse
// does, it keeps its own things in a folder beacon.
func headPath(dir string) string { return filepath.Join(dir, "beacon", "head.json") }

// readHead is the head of the last run in dir. Without a file, or without a
// dir, it is the zero block.
func readHead(dir string, net network) (block, error) {
	if dir == "" {
		return block{}, nil
	}
	path := headPath(dir)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return block{}, nil
	}
	if err != nil {
		return block{}, fault.Newf(fault.Prerequisite, "--datadir: %w", err)
	}
	var h headFile
	if err := json.Unmarshal(raw, &h); err != nil {
		return block{}, fault.Newf(fault.Prerequisite, "--datadir: %s is not what a beacon has written: %v", path, err).
			Hint("--purge-db deletes it")
	}
	if h.Network != net.Name || h.Genesis != net.Genesis {
		return block{}, fault.Newf(fault.Usage, "--datadir %s is of the network %s with the genesis %s, not of %s with %s",
			dir, h.Network, h.Genesis, net.Name, net.Genesis).Hint("use another directory, or add --purge-db")
	}
	return h.Head, nil
}

// writeHead replaces the file by rename, so that it is always whole.
func writeHead(dir string, h headFile) error {
	path := headPath(dir)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fault.Newf(fault.Prerequisite, "--datadir: %w", err)
	}
	raw, err := json.Marshal(h)
	if err != nil {
		return err
	}
	next := path + ".next"
	if err := os.WriteFile(next, append(raw, '\n'), 0o644); err != nil {
		return fmt.Errorf("--datadir: %w", err)
	}
	return os.Rename(next, path)
}

// Purge deletes what a follower keeps in dir, and nothing else. It is no error
// if there is nothing.
func Purge(dir string) error {
	err := os.Remove(headPath(dir))
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fault.Newf(fault.Prerequisite, "--purge-db: %w", err)
}
