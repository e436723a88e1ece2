package l1

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/genesis"
	"github.com/verdict-bench/verdict/internal/load"
)

func TestFixtures(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "here")
	for range 2 { // the second time over itself
		if err := Fixtures(dir); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		L1GenesisFile: genesis.L1().ToBlock().Hash().Hex(), L2GenesisFile: genesis.L2().ToBlock().Hash().Hex(),
	} {
		g, err := genesis.Read(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := g.ToBlock().Hash().Hex(); got != want {
			t.Errorf("%s describes the block %s, want %s", name, got, want)
		}
	}
	for name, count := range map[string]int{LoadKeysFile: genesis.RollupSenders, L1KeysFile: genesis.RollupSenders + 1} {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		accounts, err := load.ReadKeys(name, bytes.NewReader(raw))
		if err != nil || len(accounts) != count {
			t.Errorf("%s has %d keys, %v; want %d", name, len(accounts), err, count)
		}
		alloc := genesis.L1().Alloc
		for _, a := range accounts {
			if alloc[a.Address].Balance == nil {
				t.Errorf("%s: %s has nothing on the L1", name, a.Address)
			}
		}
		// ethrex's programs take nothing but keys of 66 characters.
		for line := range strings.Lines(string(raw)) {
			if len(strings.TrimSuffix(line, "\n")) != 66 || !strings.HasPrefix(line, "0x") {
				t.Errorf("%s: a line of %d characters", name, len(line))
			}
		}
	}
}

func TestFixtures_overwritesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := Fixtures(dir); err != nil {
		t.Fatal(err)
	}
	other, gone := filepath.Join(dir, L1KeysFile), filepath.Join(dir, L1GenesisFile)
	if err := os.WriteFile(other, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	err := Fixtures(dir)
	if fault.KindOf(err) != fault.Prerequisite || !strings.Contains(err.Error(), other+" holds something else") {
		t.Errorf("Fixtures = %v", err)
	}
	if raw, _ := os.ReadFile(other); string(raw) != "mine" {
		t.Errorf("%s is now %q", other, raw)
	}
	if _, err := os.Stat(gone); err == nil {
		t.Errorf("%s was written although there was an error", gone)
	}
}
