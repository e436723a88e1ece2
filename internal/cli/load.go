package cli

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/load"
	"github.com/verdict-bench/verdict/internal/send"
)

// loadOptions are the flags of verdict load.
type loadOptions struct {
	nodes      []string
	keys       string
	kind       string
	perAccount uint64
	// amountGiven says that perAccount is the user's: by the flag or by the
	// environment.
	amountGiven bool
	wait        minutes
	endless     bool

	accounts    int
	richKey     string
	nodeAccount bool
	seed        uint64
	fund        weiAmount
	refund      bool

	tps         float64
	perBlock    int
	maxPending  int
	batch       int
	connections int
	duration    time.Duration
	feeCap      weiAmount
	chainID     uint64

	fibonacciN uint64
	legacy     bool
	recipients string
	ownSlots   bool
	weights    string
	contracts  []string
	heavyCodes uint64
	heavySlots uint64

	json     bool
	interval time.Duration

	// given says whether a flag was given.
	given func(flag string) bool
}

// The defaults that are load_test's own, and ours where it has none.
const (
	defaultLoadNode     = "http://localhost:8545"
	defaultLoadType     = load.ERC20
	defaultPerAccount   = 1000
	defaultLoadAccounts = 50
	defaultLoadWait     = 2 * time.Minute
)

// The environment that load_test reads.
const (
	envLoadNode    = "LOAD_TEST_RPC_URL"
	envLoadAmount  = "LOAD_TEST_TX_AMOUNT"
	envLoadEndless = "LOAD_TEST_ENDLESS"
)

// The values of --recipients.
const (
	freshRecipients = "fresh"
	warmRecipients  = "warm"
)

// newLoad is the command verdict load.
func newLoad(w World) *cobra.Command {
	o := loadOptions{
		wait:   minutes(defaultLoadWait),
		fund:   weiAmount{unit: ether},
		feeCap: weiAmount{unit: gwei},
	}
	cmd := &cobra.Command{
		Use:   "load (--pkeys FILE | --rich-key FILE | --node-account)",
		Short: "Send transactions to a node and follow them until they are included",
		Long: `Load puts transactions onto a chain at a rate, or as fast as the node takes them,
and accounts for each: offered, accepted, refused and why, included, reverted,
dropped, and how long inclusion took. What the node loses is sent again; a node
that restarts, a reorg, a full pool and a rising base fee are survived.

The senders are the keys of --pkeys, or --accounts many that are derived from
--rich-key and --seed. The rich account, or with --node-account the node's own
unlocked one (geth --dev and anvil have it), deploys the contracts and gives each
sender what it lacks; --refund sends what is left back. Without either, the first
sender deploys, and all are waited for until they can pay for a transaction.

It takes the flags and the environment of ethrex's load_test (` + envLoadNode + `,
` + envLoadAmount + `, ` + envLoadEndless + `; flags win) and has its default type and
amount. Unlike it, fibonacci succeeds, gas limits and fees fit, and the recipients
follow from --seed; --legacy sends what load_test sends.

An interrupt ends the sending; what is pending is waited for, up to half a
minute. A second one ends at once.

Exit status: 0 all is included; 1 something failed, or nothing was included for
--wait; 2 bad usage; 4 the node or the accounts cannot be used; 130 interrupted.`,
		Example: `  # in place of load_test
  verdict load -n http://127.0.0.1:8545 -k keys.txt -t eth-transfers -N 50

  # geth --dev or anvil: 20 accounts, 500 transactions each
  verdict load --node-account --accounts 20 -N 500 -t mixed

  # 200 transactions a second for ten minutes, and back what is left
  verdict load --rich-key rich.hex --accounts 100 --tps 200 --duration 10m --refund

  # one JSON line a second
  verdict load -k keys.txt --endless --json | jq .interval.included_tps

  # only fetch back what earlier runs left
  verdict load --rich-key rich.hex --accounts 100 -N 0 --refund`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.given = cmd.Flags().Changed
			return runLoad(cmd.Context(), w, &o)
		},
	}
	o.addFlags(cmd)
	return cmd
}

func (o *loadOptions) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.SortFlags = false
	f.StringArrayVarP(&o.nodes, "node", "n", []string{defaultLoadNode}, "`URL` of a node's JSON-RPC; repeat for more nodes of one network")
	f.StringVarP(&o.keys, "pkeys", "k", "", "key `FILE` of the senders: one private key a line, in hex")
	f.StringVarP(&o.kind, "test-type", "t", string(defaultLoadType), "`TYPE` of the transactions: "+typeNames(", "))
	f.Uint64VarP(&o.perAccount, "tx-amount", "N", defaultPerAccount, "transactions of each account; 0 sends nothing, for --refund alone")
	f.VarP(&o.wait, "wait", "w", "give up when nothing is included for so long; 0 never does")
	f.BoolVar(&o.endless, "endless", false, "go on until interrupted, whatever -N is")
	f.IntVar(&o.accounts, "accounts", defaultLoadAccounts, "derive so many senders, instead of --pkeys")
	f.StringVar(&o.richKey, "rich-key", "", "`FILE` with the private key of an account that pays for everything")
	f.BoolVar(&o.nodeAccount, "node-account", false, "let an unlocked account of the node pay; for test chains, as the derived keys are then no secret")
	f.Uint64Var(&o.seed, "seed", 1, "decides derived accounts, recipients and all else that is drawn")
	f.Var(&o.fund, "fund", "what each sender is to have, such as 0.5 or 2ether (default: enough for its transactions at ten times the fees, at most 10000)")
	f.BoolVar(&o.refund, "refund", false, "at the end send all ether of the senders to the account that pays")
	f.Float64Var(&o.tps, "tps", 0, "transactions per second (default: as many as the node takes)")
	f.IntVar(&o.perBlock, "per-block", 0, "have so many transactions waiting for each block")
	f.IntVar(&o.maxPending, "max-pending", 0, "keep at most so many transactions with the node (default: what its pool is known to hold)")
	f.IntVar(&o.batch, "batch", 0, "most transactions in one request (default 100)")
	f.IntVar(&o.connections, "connections", 0, "connections to each node (default 8)")
	f.DurationVar(&o.duration, "duration", 0, "stop sending after so long; without -N there is no other end")
	f.Var(&o.feeCap, "fee-cap", "most to offer per gas, such as 50 or 1000000wei (default: a hundred times what the first block asks)")
	f.Uint64Var(&o.chainID, "chain-id", 0, "refuse any other chain")
	f.Uint64Var(&o.fibonacciN, "fibonacci-n", 0, "argument of fibonacci (default 370, the last that fits into 256 bits)")
	f.BoolVar(&o.legacy, "legacy", false, "send what load_test sends: fibonacci reverts, gas limit 2100000, fee cap 2^63-1 wei")
	f.StringVar(&o.recipients, "recipients", freshRecipients, "send to `fresh` addresses, which the seed decides, or among the senders with warm")
	f.BoolVar(&o.ownSlots, "own-slots", false, "io-heavy: give each sender slots of its own, instead of sharing 100")
	f.StringVar(&o.weights, "weights", "", "mixed: shares as `TYPE=N,...` (default "+weightsText(load.DefaultWeights())+")")
	f.StringArrayVar(&o.contracts, "contract", nil, "use the contract that an earlier run deployed, as `TYPE=ADDRESS`; repeat for more")
	f.Uint64Var(&o.heavyCodes, "heavy-codes", 0, "witness-heavy: contracts to deploy, 5 Mgas each (default 400)")
	f.Uint64Var(&o.heavySlots, "heavy-slots", 0, "witness-heavy: slots to fill (default 2000)")
	f.BoolVar(&o.json, "json", false, "one JSON object per interval on stdout, and one with the totals")
	f.DurationVar(&o.interval, "interval", time.Second, "time between reports")
	cmd.RegisterFlagCompletionFunc("test-type", cobra.FixedCompletions(strings.Split(typeNames(" "), " "), cobra.ShellCompDirectiveNoFileComp))
	cmd.RegisterFlagCompletionFunc("recipients", cobra.FixedCompletions([]string{freshRecipients, warmRecipients}, cobra.ShellCompDirectiveNoFileComp))
}

func typeNames(separator string) string {
	names := make([]string, len(load.Types))
	for i, t := range load.Types {
		names[i] = string(t)
	}
	return strings.Join(names, separator)
}

// environment takes from load_test's variables what no flag says.
func (o *loadOptions) environment(getenv func(string) string) error {
	if v := getenv(envLoadNode); v != "" && !o.given("node") {
		o.nodes = []string{v}
	}
	o.amountGiven = o.given("tx-amount")
	if v := getenv(envLoadAmount); v != "" && !o.given("tx-amount") {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			return fault.Newf(fault.Usage, "%s is %q, want a number of transactions", envLoadAmount, v)
		}
		o.perAccount, o.amountGiven = n, true
	}
	if v := getenv(envLoadEndless); v != "" && !o.given("endless") {
		endless, err := strconv.ParseBool(v)
		if err != nil {
			return fault.Newf(fault.Usage, "%s is %q, want true or false", envLoadEndless, v)
		}
		o.endless = endless
	}
	return nil
}

// check finds what is wrong with the flags themselves.
func (o *loadOptions) check() error {
	usage := func(format string, args ...any) error {
		return fault.Newf(fault.Usage, format, args...).Hint("verdict load --help")
	}
	pays := o.richKey != "" || o.nodeAccount
	switch {
	case o.keys == "" && !pays:
		return usage("no accounts to send from: give --pkeys FILE, --rich-key FILE or --node-account")
	case o.richKey != "" && o.nodeAccount:
		return usage("--rich-key and --node-account exclude each other")
	case o.keys != "" && o.given("accounts"):
		return usage("--pkeys and --accounts exclude each other")
	case o.refund && !pays:
		return usage("--refund needs an account to send to: --rich-key or --node-account")
	case o.perAccount == 0 && !o.unending() && !o.refund:
		return usage("-N 0: nothing to send, and nothing to refund without --refund")
	case o.accounts < 1 || o.accounts > maxLoadAccounts:
		return usage("--accounts %d: must be 1 to %d", o.accounts, maxLoadAccounts)
	case !(o.tps >= 0) || math.IsInf(o.tps, 0):
		return usage("--tps %v: must be a number above 0", o.tps)
	case o.duration < 0:
		return usage("--duration %v: must not be negative", o.duration)
	case o.interval < minLoadInterval:
		return usage("--interval %v: must be at least %v", o.interval, minLoadInterval)
	case o.recipients != freshRecipients && o.recipients != warmRecipients:
		return usage("--recipients %q: must be %s or %s", o.recipients, freshRecipients, warmRecipients)
	case o.legacy && (o.given("fibonacci-n") || o.given("recipients") || o.given("own-slots")):
		return usage("--legacy decides what --fibonacci-n, --recipients and --own-slots would: they exclude it")
	}
	for name, n := range map[string]int{
		"per-block": o.perBlock, "max-pending": o.maxPending, "batch": o.batch, "connections": o.connections,
	} {
		if o.given(name) && n < 1 {
			return usage("--%s %d: must be positive", name, n)
		}
	}
	return nil
}

// Bounds of flags: more accounts than this would take gigabytes, and shorter
// intervals than this hold nothing.
const (
	maxLoadAccounts = 100_000
	minLoadInterval = 10 * time.Millisecond
)

// unending says that the number of transactions does not end the run.
func (o *loadOptions) unending() bool {
	return o.endless || o.duration > 0 && !o.amountGiven
}

// workload puts together what to send, but for accounts and contracts.
func (o *loadOptions) workload() (load.Options, error) {
	kind, err := load.ParseType(o.kind)
	if err != nil {
		return load.Options{}, fault.As(fault.Usage, err)
	}
	weights, err := parseWeights(o.weights)
	if err != nil {
		return load.Options{}, err
	}
	return load.Options{
		Type: kind, Seed: o.seed, FibonacciN: o.fibonacciN, Legacy: o.legacy,
		Fresh: o.recipients == freshRecipients, OwnSlots: o.ownSlots, Weights: weights,
	}, nil
}

// limit is how long to wait while nothing changes, negative for ever, as
// packages send and setup have it.
func (o *loadOptions) limit() time.Duration {
	if o.wait == 0 {
		return -1
	}
	return time.Duration(o.wait)
}

// sending puts together how to send, but for accounts and transactions.
func (o *loadOptions) sending() send.Options {
	s := send.Options{
		URLs: o.nodes, TPS: o.tps, PerBlock: o.perBlock, MaxPending: o.maxPending,
		Batch: o.batch, Connections: o.connections, Duration: o.duration, FeeCap: o.feeCap.wei,
		Wait: o.limit(), Every: o.interval,
	}
	if !o.unending() {
		s.PerAccount = o.perAccount
	}
	if o.legacy && o.feeCap.wei == nil {
		fees := load.LegacyFees()
		s.FeeCap, s.Tip, s.FixedFee = fees.Cap, fees.Tip, true
	}
	return s
}

// minutes is a flag value that takes a number of minutes, as load_test does,
// and durations such as 90s.
type minutes time.Duration

func (m *minutes) String() string {
	return strconv.FormatFloat(time.Duration(*m).Minutes(), 'f', -1, 64)
}

// Type is the word for the value in the help.
func (m *minutes) Type() string { return "MINUTES" }

// Set parses minutes or a duration.
func (m *minutes) Set(s string) error {
	const most = 365 * 24 * time.Hour
	d, err := time.ParseDuration(s)
	if n, notNumber := strconv.ParseFloat(s, 64); notNumber == nil {
		d, err = time.Duration(min(max(n, -1), 2*most.Minutes())*float64(time.Minute)), nil
	}
	if err != nil || d < 0 || d > most {
		return errors.New("want a number of minutes, or a duration such as 90s")
	}
	*m = minutes(d)
	return nil
}

// unit is a unit of ether, by the power of ten that it is in wei.
type unit int

const (
	wei   unit = 0
	gwei  unit = 9
	ether unit = 18
)

// units are the names of the units. One that ends like another comes first.
var units = []struct {
	name string
	unit unit
}{{"gwei", gwei}, {"wei", wei}, {"ether", ether}, {"eth", ether}}

// weiAmount is a flag value that takes an amount of ether, in the given unit
// where the text names none. It is nil until it is set.
type weiAmount struct {
	wei  *big.Int
	unit unit
}

func (a *weiAmount) String() string {
	if a.wei == nil {
		return ""
	}
	return a.wei.String() + "wei"
}

// Type is the word for the value in the help.
func (a *weiAmount) Type() string {
	if a.unit == gwei {
		return "GWEI"
	}
	return "ETHER"
}

// Set parses a decimal number that may name its unit.
func (a *weiAmount) Set(s string) error {
	number, u := strings.TrimSpace(s), a.unit
	for _, known := range units {
		if rest, ok := strings.CutSuffix(number, known.name); ok {
			number, u = strings.TrimSpace(rest), known.unit
			break
		}
	}
	bad := errors.New("want an amount such as 0.5, 2ether, 30gwei or 1000wei")
	whole, fraction, _ := strings.Cut(number, ".")
	digits := whole + fraction
	const longest = 60
	if digits == "" || len(digits) > longest || strings.Trim(digits, "0123456789") != "" {
		return bad
	}
	if len(fraction) > int(u) {
		return errors.New("less than one wei: want fewer digits after the point")
	}
	n, ok := new(big.Int).SetString(digits+strings.Repeat("0", int(u)-len(fraction)), 10)
	if !ok {
		return bad
	}
	a.wei = n
	return nil
}

// parseWeights parses TYPE=N,TYPE=N; an empty text is nil.
func parseWeights(text string) (map[load.Type]int, error) {
	if text == "" {
		return nil, nil
	}
	weights := make(map[load.Type]int)
	for part := range strings.SplitSeq(text, ",") {
		name, number, ok := strings.Cut(part, "=")
		t, err := load.ParseType(strings.TrimSpace(name))
		if err != nil {
			return nil, fault.Newf(fault.Usage, "--weights: %w", err)
		}
		n, err := strconv.Atoi(strings.TrimSpace(number))
		if !ok || err != nil {
			return nil, fault.Newf(fault.Usage, "--weights %q: want TYPE=N", part).Hint("--weights %s", weightsText(load.DefaultWeights()))
		}
		if _, twice := weights[t]; twice {
			return nil, fault.Newf(fault.Usage, "--weights: %s is given twice", t)
		}
		weights[t] = n
	}
	return weights, nil
}

// weightsText is the text that parseWeights takes.
func weightsText(weights map[load.Type]int) string {
	var parts []string
	for _, t := range load.Types {
		if n, ok := weights[t]; ok {
			parts = append(parts, fmt.Sprintf("%s=%d", t, n))
		}
	}
	return strings.Join(parts, ",")
}

// parseContracts parses the values of --contract.
func parseContracts(texts []string) (load.Contracts, error) {
	var c load.Contracts
	for _, text := range texts {
		name, address, ok := strings.Cut(text, "=")
		if !ok || !common.IsHexAddress(address) {
			return c, fault.Newf(fault.Usage, "--contract %q: want TYPE=ADDRESS", text)
		}
		at := common.HexToAddress(address)
		switch load.Type(name) {
		case load.ERC20:
			c.Token = at
		case load.Fibonacci:
			c.Fibonacci = at
		case load.IOHeavy:
			c.IOHeavy = at
		case load.WitnessHeavy:
			c.Heavy = at
		default:
			return c, fault.Newf(fault.Usage, "--contract %q: the types with a contract are %s, %s, %s and %s",
				text, load.ERC20, load.Fibonacci, load.IOHeavy, load.WitnessHeavy)
		}
	}
	return c, nil
}
