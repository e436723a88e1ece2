package prove

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/journal"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/program"
	"github.com/verdict-bench/verdict/internal/shell"
	"github.com/verdict-bench/verdict/internal/store"
)

const (
	// glance is the pause between two looks at a gate.
	glance = 500 * time.Millisecond
	// rounds is the pause between two looks at whether the programs still run:
	// each costs the host a shell.
	rounds = 3 * time.Second
	// firstBlock is the block that an L2 must have made to count as working: it
	// answers before it makes any.
	firstBlock = 2
)

// wait looks until nothing is to be waited for any more: look says what is, and
// an error ends the wait at once, as does a program that has ended. After limit
// the error says what was waited for; hint is its cure.
func (r *runner) wait(ctx context.Context, s plan.Step, limit time.Duration, hint string, look func(context.Context) (wait string, err error)) error {
	began, checked := time.Now(), time.Now()
	for {
		wait, err := look(ctx)
		if err != nil || wait == "" {
			return err
		}
		if waited := time.Since(began); waited > limit || time.Since(checked) >= rounds {
			before := time.Now()
			if err := r.alive(ctx, s.Session); err != nil {
				return err
			}
			checked = time.Now()
			if lasted := checked.Sub(before); lasted > rounds {
				began = began.Add(lasted) // the connection was lost: nobody looked
				continue
			}
			if waited <= limit {
				continue
			}
			return fault.Newf(fault.Failed, "%s: gave up after %v: %s", s.ID, limit, wait).Hint("%s", hint)
		}
		r.Progress(Progress{Phase: s.ID, Note: wait, Waiting: time.Since(began)})
		if err := journal.Pause(ctx, glance); err != nil {
			return err
		}
	}
}

// alive makes sure that what this run started in a session still runs: waiting
// for a program that has ended would be waiting for ever. A load may end, and
// the collector is started again.
func (r *runner) alive(ctx context.Context, session int) error {
	for _, name := range []string{nameL1, nameL2, nameProver, nameLoad} {
		if !r.up[name] {
			continue
		}
		_, st, err := r.found(ctx, session, name)
		if err != nil {
			return err
		}
		if st.Phase != host.Running && (name != nameLoad || st.Exit != 0) {
			return r.exited(ctx, session, name, st)
		}
	}
	return nil
}

// exited is the error of a program that has ended and should not have, with the
// end of its log.
func (r *runner) exited(ctx context.Context, session int, name string, st host.State) error {
	how := fmt.Sprintf("has ended with status %d", st.Exit)
	if st.Exit < 0 {
		how = "has ended, with its keeper or the machine"
	}
	return r.failure(ctx, session, name, how)
}

// failure is the error of a program that does not do what it should, with the
// end of its log.
func (r *runner) failure(ctx context.Context, session int, name, how string) error {
	log, err := r.fetchLog(ctx, session, name)
	e := &host.ExitError{Name: fmt.Sprintf("the %s of session %d on %s", titles[name], session, r.Host.Name()), How: how, Log: log}
	if err == nil {
		e.Last = host.Tail(log, 15)
	}
	return e
}

// blocks is the gate of an L1: it answers, and makes blocks.
func (r *runner) blocks(ctx context.Context, s plan.Step) error {
	first, port := uint64(math.MaxUint64), r.Spec.Ports.L1
	return r.wait(ctx, s, r.Spec.Timeouts.Ready, "see the log of the L1", func(ctx context.Context) (string, error) {
		head, err := r.headAt(ctx, port)
		if err != nil {
			return fmt.Sprintf("the L1 does not answer at port %d: %v", port, err), ctx.Err()
		}
		if first = min(first, head); head == first {
			return fmt.Sprintf("the L1 answers and stays at block %d", head), nil
		}
		return "", nil
	})
}

// commitHash is a whole commit hash in the text of web3_clientVersion.
var commitHash = regexp.MustCompile(`\b[0-9a-f]{40}\b`)

// ready is the gate of an L2: it answers, makes blocks, hands out batches, and
// is of the commit that was built. An L2 whose sequencer did not start answers,
// too, so what its log says is looked at, and so is the growth of its chain.
func (r *runner) ready(ctx context.Context, s plan.Step) (detail string, err error) {
	var version string
	hint := "see the log of the L2; the gate is: RPC, blocks, and the proof coordinator"
	err = r.wait(ctx, s, r.Spec.Timeouts.Ready, hint, func(ctx context.Context) (string, error) {
		if err := r.unstarted(ctx, s.Session); err != nil {
			return "", err
		}
		p := r.Spec.Ports
		head, err := r.head(ctx)
		if err != nil {
			return fmt.Sprintf("the L2 does not answer at port %d: %v", p.L2, err), ctx.Err()
		}
		if head < firstBlock {
			return fmt.Sprintf("the L2 answers and is at block %d; it must have made block %d", head, firstBlock), nil
		}
		open, err := listening(ctx, r.Host, p.Coordinator)
		if err != nil || len(open) == 0 {
			return fmt.Sprintf("nothing listens at the port of the proof coordinator, %d", p.Coordinator), err
		}
		if err := r.ports.call(ctx, p.L2, &version, "web3_clientVersion"); err != nil {
			return fmt.Sprintf("the L2 does not tell its version: %v", err), ctx.Err()
		}
		return "", nil
	})
	if err != nil {
		return "", err
	}
	if err := r.ofCommit(s, version); err != nil {
		return "", err
	}
	r.note(s, version)
	return version, r.Run.WriteJSON(store.StartName, r.manifest)
}

// ofCommit refuses an L2 that says that it is of another commit than the one that
// was built: its coordinator gives a prover of that one nothing.
func (r *runner) ofCommit(s plan.Step, version string) error {
	built, said := r.built(s).Commit, commitHash.FindString(version)
	if built == "" || said == "" || built == said {
		return nil
	}
	return fault.Newf(fault.Failed, "the L2 says that it is commit %s, and the prover is %s: it would get no batch", said, built).
		Hint("prove with a build of the commit that the L2 runs, or look for another L2 at port %d", r.Spec.Ports.L2)
}

// note puts what an L2 said into the manifest.
func (r *runner) note(s plan.Step, version string) {
	side, built := &r.manifest.Sides[s.Side.Index()], r.built(s)
	side.Version, side.RPC = version, fmt.Sprintf("http://127.0.0.1:%d", r.Spec.Ports.L2)
	if side.Commit = built.Commit; built.Commit == "" {
		side.Commit = commitHash.FindString(version)
	}
	side.Binary, side.BinarySHA256 = built.Binary, built.SHA256
}

// unstarted finds the line after which an L2 of ethrex goes on to answer and
// never makes a block.
func (r *runner) unstarted(ctx context.Context, session int) error {
	const line = "Error starting Sequencer"
	log := r.dir(session) + "/" + nameL2 + ".log"
	out, err := r.Host.Run(ctx, "grep -aFm1 -- "+shell.Quote(line)+" "+shell.Path(log)+" 2>/dev/null\n:\n")
	if err != nil {
		return err
	}
	if said := strings.TrimSpace(string(out)); said != "" {
		return r.failure(ctx, session, nameL2, "answers and makes no blocks: "+said)
	}
	return nil
}

// head is the number of the L2's newest block.
func (r *runner) head(ctx context.Context) (uint64, error) { return r.headAt(ctx, r.Spec.Ports.L2) }

func (r *runner) headAt(ctx context.Context, port uint16) (uint64, error) {
	var n hexutil.Uint64
	err := r.ports.call(ctx, port, &n, "eth_blockNumber")
	return uint64(n), err
}

// switchCommitter has the L2's committer stop or start, by its admin server.
func (r *runner) switchCommitter(ctx context.Context, s plan.Step, what string) (detail string, err error) {
	hint := "start the committer right away: --hold-committer=false"
	err = r.wait(ctx, s, r.Spec.Timeouts.Ready, hint, func(ctx context.Context) (string, error) {
		if detail, err = r.ports.fetch(ctx, r.Spec.Ports.Admin, "/committer/"+what); err != nil {
			return fmt.Sprintf("the admin server at port %d: %v", r.Spec.Ports.Admin, err), ctx.Err()
		}
		if is, err := r.committing(ctx); err != nil || is != (what == "start") {
			return fmt.Sprintf("the admin server at port %d answered %s and says that the committer runs: %v (%v)", r.Spec.Ports.Admin, detail, is, err), ctx.Err()
		}
		return "", nil
	})
	return detail, err
}

// committing is whether the L2's committer runs, by its admin server.
func (r *runner) committing(ctx context.Context) (bool, error) {
	page, err := r.ports.fetch(ctx, r.Spec.Ports.Admin, "/health")
	if err != nil {
		return false, err
	}
	var health struct {
		Committer *struct {
			Running *bool `json:"running"`
		} `json:"l1_committer"`
	}
	if err := json.Unmarshal([]byte(page), &health); err != nil {
		return false, fmt.Errorf("/health: %w", err)
	}
	if health.Committer == nil || health.Committer.Running == nil {
		return false, errors.New("/health does not tell of the committer")
	}
	return *health.Committer.Running, nil
}

// funded is the gate of the load: the accounts of the first and the last key,
// and the one that deploys, have money on the L2.
func (r *runner) funded(ctx context.Context, s plan.Step) (detail string, err error) {
	accounts, err := r.accounts(ctx, s)
	if err != nil {
		return "", err
	}
	hint := "the deposits of the deployer become money on the L2 by its watcher: see the logs of deploy and L2"
	err = r.wait(ctx, s, r.Spec.Timeouts.Funded, hint, func(ctx context.Context) (string, error) {
		for _, a := range accounts {
			var balance hexutil.Big
			if err := r.ports.call(ctx, r.Spec.Ports.L2, &balance, "eth_getBalance", a, "latest"); err != nil {
				return fmt.Sprintf("the balance of %s: %v", a, err), ctx.Err()
			}
			if (*big.Int)(&balance).Sign() <= 0 {
				return fmt.Sprintf("account %s has no money on the L2 yet", a), nil
			}
		}
		return "", nil
	})
	if err == nil {
		var head uint64
		if head, err = r.head(ctx); err == nil {
			err = r.save(func(st *state) { st.Sessions[s.Session-1].Head = head })
		}
	}
	return strings.Join(accounts, ", "), err
}

// accounts are those of the first and the last key that the load sends from, and
// the rich one.
func (r *runner) accounts(ctx context.Context, s plan.Step) ([]string, error) {
	file := program.Fill([]string{program.RollupOf(&r.Spec, s.Side, s.Session).Keys()}, r.values(s))[0]
	raw, err := journal.Written(ctx, r.Host, file, 0)
	if err != nil {
		return nil, err
	}
	keys := bytes.Fields(raw)
	if len(keys) == 0 {
		return nil, fault.Newf(fault.Failed, "%s on %s holds no keys", file, r.Host.Name())
	}
	var accounts []string
	for _, key := range [][]byte{keys[0], keys[len(keys)-1]} {
		k, err := crypto.HexToECDSA(strings.TrimPrefix(string(key), "0x"))
		if err != nil {
			return nil, fault.Newf(fault.Failed, "%s on %s: a line is no private key", file, r.Host.Name())
		}
		accounts = append(accounts, strings.ToLower(crypto.PubkeyToAddress(k.PublicKey).Hex()))
	}
	return slices.Compact(append(accounts, program.RichAddress)), nil
}

// release lets the committer start once blocks hold load: the batches before
// that would be empty.
func (r *runner) release(ctx context.Context, s plan.Step) (detail string, err error) {
	next, seen := r.state.Sessions[s.Session-1].Head+1, 0
	err = r.wait(ctx, s, r.Spec.Timeouts.Loaded, "see the log of the load", func(ctx context.Context) (string, error) {
		head, err := r.head(ctx)
		if err != nil {
			return fmt.Sprintf("the L2 does not answer: %v", err), ctx.Err()
		}
		for ; next <= head && seen < r.Spec.MinTransactions; next++ {
			var n hexutil.Uint64
			if err := r.ports.call(ctx, r.Spec.Ports.L2, &n, "eth_getBlockTransactionCountByNumber", hexutil.Uint64(next)); err != nil {
				return fmt.Sprintf("block %d: %v", next, err), ctx.Err()
			}
			seen += int(n)
		}
		if seen < r.Spec.MinTransactions {
			return fmt.Sprintf("the blocks hold %d of %d transactions", seen, r.Spec.MinTransactions), nil
		}
		return "", nil
	})
	if err != nil {
		return "", err
	}
	_, err = r.switchCommitter(ctx, s, "start")
	return fmt.Sprintf("%d transactions up to block %d", seen, next-1), err
}

// loaded is the gate of the prover: a batch with load is sealed.
func (r *runner) loaded(ctx context.Context, s plan.Step) (detail string, err error) {
	f := r.newFollower(s)
	hint := "see the logs of the load and of the L2: its committer seals batches"
	err = r.wait(ctx, s, r.Spec.Timeouts.Loaded, hint, func(ctx context.Context) (string, error) {
		if err := f.read(ctx); err != nil {
			return "", err
		}
		if first, ok := f.proofs.firstLoaded(); ok {
			detail = fmt.Sprintf("batch %d", first)
			return "", nil
		}
		return fmt.Sprintf("%d batches are sealed, none with %d transactions", len(f.proofs.batches), r.Spec.MinTransactions), f.supervise(ctx)
	})
	return detail, err
}
