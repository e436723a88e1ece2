package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/load"
	"github.com/verdict-bench/verdict/internal/send"
	"github.com/verdict-bench/verdict/internal/setup"
)

const (
	// drainLimit is how long an interrupted load waits for what is pending.
	drainLimit = 30 * time.Second
	// openAmount is for how many transactions a sender gets ether when their
	// number is not known.
	openAmount = 10_000
	// feeGrowth is how many times the first fee the senders can pay: a chain
	// that is kept full has its base fee grow by an eighth a block.
	feeGrowth = 10
)

// loading is one verdict load.
type loading struct {
	w World
	o *loadOptions
	// nodes are those of --node; node is the first.
	nodes []*ethrpc.Client
	node  *ethrpc.Client

	work      load.Options
	contracts load.Contracts
	accounts  []load.Account
	rich      *load.Account

	// mu guards the status line and what reports leave behind, because an
	// interrupt is told beside the reports.
	mu    sync.Mutex
	line  *statusLine
	noted send.NoteKind
	// broken is the first error of a report: it does not add up, or could not
	// be written.
	broken error
}

func runLoad(ctx context.Context, w World, o *loadOptions) error {
	l, err := openLoad(w, o)
	if err != nil {
		return err
	}
	defer func() {
		for _, n := range l.nodes {
			n.Close()
		}
	}()
	err = l.run(ctx)
	l.line.end()
	return err
}

// openLoad takes in flags, environment and files. Nothing is asked of the node.
func openLoad(w World, o *loadOptions) (*loading, error) {
	if err := o.environment(w.Getenv); err != nil {
		return nil, err
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	l := &loading{w: w, o: o, line: newStatusLine(w)}
	var err error
	if l.work, err = o.workload(); err != nil {
		return nil, err
	}
	if l.contracts, err = parseContracts(o.contracts); err != nil {
		return nil, err
	}
	if err := l.readKeys(); err != nil {
		return nil, err
	}
	for _, a := range l.accounts {
		l.work.Accounts = append(l.work.Accounts, a.Address)
	}
	if err := l.tryWorkload(); err != nil {
		return nil, err
	}
	for _, url := range o.nodes {
		c, err := ethrpc.NewClient(url)
		if err != nil {
			return nil, fault.Newf(fault.Usage, "--node: %w", err)
		}
		l.nodes = append(l.nodes, c)
	}
	l.node = l.nodes[0]
	return l, nil
}

// readKeys reads the key files and derives the senders if there are to be some.
func (l *loading) readKeys() (err error) {
	if l.o.richKey != "" {
		keys, err := readKeyFile(l.o.richKey)
		if err != nil {
			return err
		}
		if len(keys) != 1 {
			return fault.Newf(fault.Usage, "--rich-key %s: %d keys in it, want one", l.o.richKey, len(keys))
		}
		l.rich = &keys[0]
	}
	if l.o.keys != "" {
		l.accounts, err = readKeyFile(l.o.keys)
		return err
	}
	root := publicRoot()
	if l.rich != nil {
		root = *l.rich
	}
	l.accounts = load.Derive(root.Key, l.o.seed, l.o.accounts)
	return nil
}

// publicRoot is what senders are derived from that an unlocked account of the
// node pays. Everybody can know its key, as everybody can use such an account.
func publicRoot() load.Account {
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte("verdict load: senders of --node-account, a public test key")))
	if err != nil {
		// A constant, which the tests use.
		panic(fmt.Sprintf("cli: the public key of derived accounts: %v", err))
	}
	return load.AccountOf(key)
}

func readKeyFile(name string) ([]load.Account, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fault.Newf(fault.Usage, "key file: %w", err)
	}
	defer f.Close()
	return load.ReadKeys(name, f)
}

// tryWorkload finds what is wrong with the workload before anything is paid
// for, with addresses in the place of contracts that are not there yet.
func (l *loading) tryWorkload() error {
	trial := l.work
	some := common.Address{1}
	trial.Contracts = load.Contracts{Token: some, Fibonacci: some, IOHeavy: some, Heavy: some, HeavyCodes: 1}
	_, err := load.New(trial)
	return err
}

// run does everything. What is to be sent back is, however the load ends.
func (l *loading) run(ctx context.Context) error {
	var err error
	if l.o.perAccount > 0 || l.o.unending() {
		err = l.load(ctx)
	}
	if l.o.refund && fault.KindOf(err) != fault.Usage {
		if lost := l.refund(ctx); lost != nil && err != nil {
			l.say("not refunded: %v", lost)
		} else if lost != nil {
			err = lost
		}
	}
	return l.ending(ctx, err)
}

// ending is how a load that returned err has ended: with the cause of an
// interrupt first, and never without the error of a report.
func (l *loading) ending(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case err == nil || errors.Is(err, context.Canceled):
		return errors.Join(cause, l.broken)
	case cause != nil:
		// What went wrong after the interrupt does not change that it was one.
		l.say("%s", printable(err.Error()))
		return errors.Join(cause, l.broken)
	}
	return err
}

// load prepares the chain, sends, and shows the totals.
func (l *loading) load(ctx context.Context) error {
	ready, err := l.prepare(ctx)
	if err != nil {
		return err
	}
	l.say("%s: chain %d, %d senders, %s", l.node.URL(), ready.ChainID, len(l.accounts), l.work.Type)
	l.work.Contracts = ready.Contracts
	workload, err := load.New(l.work)
	if err != nil {
		return err
	}
	o := l.o.sending()
	o.Source, o.Accounts, o.ChainID = workload, l.accounts, ready.ChainID
	report, err := l.send(ctx, o)
	if report.Total.Seconds > 0 {
		if lost := l.finish(l.summary(ctx, ready, report, err)); l.broken == nil {
			// What cannot be written now could not be before either.
			err = errors.Join(err, lost)
		}
	}
	return l.advise(err, report)
}

// summary is what the totals say.
func (l *loading) summary(ctx context.Context, ready setup.Ready, r send.Report, err error) loadSummary {
	s := loadSummary{
		Type: l.work.Type, Legacy: l.work.Legacy, Seed: l.work.Seed, Accounts: len(l.accounts),
		Node: l.node.URL(), ChainID: ready.ChainID, Contracts: ready.Contracts, State: stateDone, Report: r,
	}
	switch {
	case ctx.Err() != nil:
		s.State = stateInterrupted
	case err != nil:
		s.State, s.Error = stateFailed, err.Error()
	}
	return s
}

// prepare has the chain made ready.
func (l *loading) prepare(ctx context.Context) (setup.Ready, error) {
	if err := l.sameChain(ctx); err != nil {
		return setup.Ready{}, err
	}
	need, err := l.need(ctx)
	if err != nil {
		return setup.Ready{}, err
	}
	return setup.Prepare(ctx, l.node, setup.Options{
		Types: l.work.Uses(), Accounts: l.accounts, Need: need,
		Rich: l.rich, Unlocked: l.o.nodeAccount, ChainID: l.o.chainID,
		Contracts: l.contracts, HeavyCodes: l.o.heavyCodes, HeavySlots: l.o.heavySlots,
		Progress: func(text string) { l.say("%s", printable(text)) }, Limit: l.o.limit(),
	})
}

// sameChain checks that all nodes are of one chain, before anything is paid.
func (l *loading) sameChain(ctx context.Context) error {
	var first hexutil.Big
	for i, n := range l.nodes {
		var id hexutil.Big
		switch err := n.Call(ctx, &id, "eth_chainId"); {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && i == 0:
			return nil // Prepare says better what is wrong with the first
		case err != nil:
			return fault.Newf(fault.Prerequisite, "%s does not answer as an execution client does: %w", n.URL(), err)
		case i == 0:
			first = id
		case id.ToInt().Cmp(first.ToInt()) != 0:
			return fault.Newf(fault.Prerequisite, "%s is on chain %d, but %s is on chain %d", n.URL(), id.ToInt(), l.node.URL(), first.ToInt()).
				Hint("give nodes of one network, or run one load for each")
		}
	}
	return nil
}

// need is what each sender is to have: what was asked for, or what its
// transactions may cost should fees grow. Of accounts that nobody here pays
// for, no more is asked than that they can begin.
func (l *loading) need(ctx context.Context) (*big.Int, error) {
	if l.o.fund.wei != nil {
		return l.o.fund.wei, nil
	}
	price, err := l.price(ctx)
	if err != nil {
		return nil, err
	}
	if l.rich == nil && !l.o.nodeAccount {
		return l.work.Cost(1, price), nil
	}
	if !l.o.sending().FixedFee {
		price = new(big.Int).Mul(price, big.NewInt(feeGrowth))
		if most := l.o.feeCap.wei; most != nil && price.Cmp(most) > 0 {
			price = most
		}
	}
	return l.work.Cost(min(l.each(), openAmount), price), nil
}

// each is how many transactions a sender has to be able to pay for.
func (l *loading) each() uint64 {
	switch {
	case !l.o.unending():
		return l.o.perAccount
	case l.o.tps > 0 && !l.o.endless:
		// The rate is not spread evenly: a connection with one sender has as
		// much of it as one with two.
		const uneven, spare = 2, 100
		return uint64(uneven*l.o.tps*l.o.duration.Seconds()/float64(len(l.accounts))) + spare
	}
	return openAmount
}

// price is what a transaction offers per gas at first, in wei.
func (l *loading) price(ctx context.Context) (*big.Int, error) {
	if o := l.o.sending(); o.FixedFee {
		return o.FeeCap, nil
	}
	var head struct {
		BaseFee *hexutil.Big `json:"baseFeePerGas"`
	}
	var tip hexutil.Big
	if err := l.node.Call(ctx, &head, "eth_getBlockByNumber", "latest", false); err != nil || head.BaseFee == nil {
		// Prepare says better what is wrong with the node.
		return new(big.Int), ctx.Err()
	}
	if err := l.node.Call(ctx, &tip, "eth_maxPriorityFeePerGas"); err != nil {
		tip = hexutil.Big(*big.NewInt(params.GWei))
	}
	price := new(big.Int).Lsh(head.BaseFee.ToInt(), 1)
	return price.Add(price, tip.ToInt()), nil
}

// send runs the engine. When ctx ends, nothing new is sent, and what is pending
// gets a while to be included.
func (l *loading) send(ctx context.Context, o send.Options) (send.Report, error) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop, ended := make(chan struct{}), make(chan struct{})
	o.Stop = stop
	o.Progress = func(r send.Report) {
		if err := l.progress(r); err != nil {
			cancel()
		}
	}
	var drain sync.WaitGroup
	drain.Go(func() {
		select {
		case <-ended:
			return
		case <-ctx.Done():
		}
		l.say("stopping: waiting up to %v for what is pending; another interrupt ends at once", drainLimit)
		close(stop)
		timer := time.NewTimer(drainLimit)
		defer timer.Stop()
		select {
		case <-ended:
		case <-timer.C:
			cancel()
		}
	})
	report, err := send.Run(work, o)
	close(ended)
	drain.Wait()
	return report, l.withBroken(ctx, err)
}

// withBroken adds to the engine's error that of a report, which is why the
// engine was canceled if nobody interrupted it.
func (l *loading) withBroken(ctx context.Context, err error) error {
	switch {
	case l.broken == nil:
		return err
	case err == nil || ctx.Err() == nil && errors.Is(err, context.Canceled), err.Error() == l.broken.Error():
		return l.broken
	}
	return errors.Join(err, l.broken)
}

// progress shows a report. An error ends the load.
func (l *loading) progress(r send.Report) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := r.Check(); err != nil && l.broken == nil {
		l.broken = err
	}
	if r.NoteKind != l.noted {
		if l.noted = r.NoteKind; r.Note != "" {
			l.line.say("%s", printable(r.Note))
		}
	}
	l.line.show(loadLine(r), false)
	if l.o.json {
		if err := l.write(intervalRecord(r, l.w.Now())); err != nil && l.broken == nil {
			l.broken = err
		}
	}
	return l.broken
}

func (l *loading) write(r loadRecord) error {
	if err := json.NewEncoder(l.w.Stdout).Encode(r); err != nil {
		return fmt.Errorf("writing a report: %w", err)
	}
	return nil
}

// finish shows the totals.
func (l *loading) finish(s loadSummary) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line.end()
	if !l.o.json {
		_, err := fmt.Fprint(l.w.Stdout, loadTable(s))
		return err
	}
	fmt.Fprint(l.w.Stderr, loadTable(s))
	return l.write(totalRecord(s, l.w.Now()))
}

// say prints a line that stays.
func (l *loading) say(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line.say(format, args...)
}

// advise adds to an error what can be done about it.
func (l *loading) advise(err error, r send.Report) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	poor, kind := r.Total.Rejected[send.Funds] > 0, fault.KindOf(err)
	switch {
	case l.o.sending().FixedFee && (poor || r.Total.Rejected[send.Invalid] > 0):
		return fault.Newf(kind, "%w", err).Hint("with load_test's fee cap a transaction may cost 19 million ether, which nodes may not take; offer less: --fee-cap 100")
	case poor:
		return fault.Newf(kind, "%w", err).Hint("give the senders more with --fund, or offer less with --fee-cap")
	}
	return err
}

// refund sends back what the senders have. An interrupted load does so, too.
func (l *loading) refund(ctx context.Context) error {
	limit := l.o.limit()
	if ctx.Err() != nil {
		ctx, limit = context.WithoutCancel(ctx), drainLimit
	}
	to, err := l.payer(ctx)
	if err != nil {
		return err
	}
	back, err := setup.Refund(ctx, l.node, setup.RefundOptions{
		Accounts: l.accounts, To: to, ChainID: l.o.chainID, Limit: limit,
		Progress: func(text string) { l.say("%s", printable(text)) },
	})
	if n := len(back.Left); n > 0 {
		first := back.Left[0]
		l.say("accounts that keep what they have: %d; the first, %s, has %s wei: %s", n, first.Address, first.Wei, printable(first.Why))
	}
	return err
}

// payer is the account that pays, and gets refunds.
func (l *loading) payer(ctx context.Context) (common.Address, error) {
	if l.rich != nil {
		return l.rich.Address, nil
	}
	var own []common.Address
	if err := l.node.Call(ctx, &own, "eth_accounts"); err != nil {
		return common.Address{}, fault.Newf(fault.Prerequisite, "%s: %w", l.node.URL(), err)
	}
	if len(own) == 0 {
		return common.Address{}, fault.Newf(fault.Prerequisite, "%s has no account of its own", l.node.URL())
	}
	return own[0], nil
}
