package cli

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/chaintest"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/store"
)

// killed is a collection whose collector is killed again and again.
type killed struct {
	t    *testing.T
	node *chaintest.Node
	rng  *rand.Rand
	// dir holds the file and verdict itself.
	dir  string
	args []string
	// before is what the file held when the collector was last killed, without
	// a torn line.
	before []byte
	kills  int
}

func (k *killed) file() string { return filepath.Join(k.dir, "samples.jsonl") }

// run starts the collector and kills it after a random time; ended says that it
// had ended by itself before.
func (k *killed) run() (ended bool) {
	k.t.Helper()
	cmd := exec.Command(filepath.Join(k.dir, "verdict"), k.args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	// The clock of a kill that cannot come is stopped after 20 of them.
	limit := time.Duration(20+k.rng.IntN(150)) * time.Millisecond
	if k.kills >= 20 {
		limit = time.Minute
	}
	select {
	case err := <-done:
		if err != nil {
			k.t.Fatalf("%v\n%s", err, stderr.String())
		}
		return true
	case <-time.After(limit):
	}
	if k.kills >= 20 {
		k.t.Error("the collector does not come to an end")
	}
	if err := cmd.Process.Kill(); err != nil && err != os.ErrProcessDone {
		k.t.Fatal(err)
	}
	<-done
	k.kills++
	return false
}

// check looks at the file as a killed collector left it: what was in it before
// is still there.
func (k *killed) check() {
	k.t.Helper()
	raw, err := os.ReadFile(k.file())
	if err != nil && !os.IsNotExist(err) {
		k.t.Fatal(err)
	}
	if !bytes.HasPrefix(raw, k.before) {
		k.t.Fatalf("after kill %d: %d bytes, and the %d of before are not their beginning", k.kills, len(raw), len(k.before))
	}
	k.before = raw[:bytes.LastIndexByte(raw, '\n')+1]
}

// tear leaves the file as a machine that lost its power may.
func (k *killed) tear() {
	k.t.Helper()
	file, err := os.OpenFile(k.file(), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		k.t.Fatal(err)
	}
	line := `{"v":1,"sample":{"number":`
	if _, err := file.WriteString(line[:1+k.rng.IntN(len(line)-1)]); err != nil {
		k.t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		k.t.Fatal(err)
	}
}

// reorg replaces up to three of the newest blocks that were measured, and what
// stands on them.
func (k *killed) reorg() {
	newest := uint64(0)
	if _, err := store.ReadLines(k.file(), func(r sample.Record) error {
		if r.Sample != nil {
			newest = max(newest, r.Sample.Number)
		}
		return nil
	}); err != nil && !os.IsNotExist(err) {
		k.t.Fatal(err)
	}
	if newest > 20 {
		k.node.Reorg(newest - k.rng.Uint64N(3))
	}
}

// samples reads the file, by number and hash, and finds what is there twice.
func (k *killed) samples() map[string]*sample.Sample {
	k.t.Helper()
	all := map[string]*sample.Sample{}
	torn, err := store.ReadLines(k.file(), func(r sample.Record) error {
		if r.Sample == nil {
			return nil
		}
		key := fmt.Sprint(r.Sample.Number, r.Sample.Hash)
		if all[key] != nil {
			k.t.Errorf("two samples of block %s: %s and %s", key, all[key].Status, r.Sample.Status)
		}
		all[key] = r.Sample
		return nil
	})
	if torn || err != nil {
		k.t.Fatalf("torn %v, %v", torn, err)
	}
	return all
}

func newKilled(t *testing.T, seed uint64, head uint64, args ...string) *killed {
	t.Helper()
	node, err := chaintest.Start(head)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(node.Stop)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	k := &killed{t: t, node: node, rng: rand.New(rand.NewPCG(seed, 0)), dir: t.TempDir()}
	if err := os.Symlink(self, filepath.Join(k.dir, "verdict")); err != nil {
		t.Fatal(err)
	}
	k.args = append([]string{"collect", "--rpc", node.URL(), "--out", k.file()}, args...)
	return k
}

// However often and whenever a collector is killed, and whatever the chain does
// meanwhile: each block of the chain that it ends with has one sample, no block
// has two, warm-up is the same heights, and nothing that was written is lost.
func TestCollect_killed(t *testing.T) {
	const first, last, warmUp = 10, 400, 30
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			k := newKilled(t, seed, first+5, "--from", strconv.Itoa(first), "--until", strconv.Itoa(last),
				"--warmup", strconv.Itoa(warmUp), "--wait", "20s", "--side", "test", "--session", "2")
			failing := map[uint64]bool{}
			for number := uint64(first); number < last; number += 7 + k.rng.Uint64N(9) {
				fault := []chaintest.Fault{chaintest.RPCError, chaintest.Drop, chaintest.ShortJSON, chaintest.ReorgDuring}[k.rng.IntN(4)]
				k.node.SetFault(number, fault)
				failing[number] = fault != chaintest.ReorgDuring
			}
			// The head stays near what is asked for, so that nothing is skipped.
			k.node.Grow(8)
			for !k.run() {
				k.check()
				switch k.rng.IntN(3) {
				case 0:
					k.tear()
				case 1:
					k.reorg()
				}
			}
			k.check()
			all := k.samples()
			for number := uint64(first); number <= last; number++ {
				s := all[fmt.Sprint(number, k.node.Hash(number))]
				if s == nil {
					t.Errorf("block %d of the chain has no sample", number)
					continue
				}
				if (s.Status == sample.OK) == failing[number] {
					t.Errorf("block %d is %s, scripted failure %v", number, s.Status, failing[number])
				}
			}
			for key, s := range all {
				if s.WarmUp != (s.Number < first+warmUp) || s.Session != 2 || s.Side != sample.Test || s.Status == sample.Skipped {
					t.Errorf("sample %s: %s, warm-up %v, session %d", key, s.Status, s.WarmUp, s.Session)
				}
			}
			t.Logf("%d kills, %d samples", k.kills, len(all))
		})
	}
}

// The same far behind the head: skipped heights are not skipped twice, and old
// blocks do not become what was asked for.
func TestCollect_killedFarBehind(t *testing.T) {
	const first, head, last = 10, 900, 1000
	k := newKilled(t, 5, head, "--from", strconv.Itoa(first), "--until", strconv.Itoa(last), "--live")
	k.node.Grow(8)
	for !k.run() {
		k.check()
	}
	k.check()
	all := k.samples()
	for number := uint64(first); number <= last; number++ {
		key := fmt.Sprint(number)
		if number >= head-120 {
			key += k.node.Hash(number)
		}
		if s := all[key]; s == nil || (s.Status == sample.OK) != (number >= head-120) {
			t.Errorf("block %d: %+v", number, s)
		}
	}
	if len(all) != last-first+1 {
		t.Errorf("%d samples of %d blocks", len(all), last-first+1)
	}
}
