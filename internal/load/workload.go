package load

import (
	"encoding/binary"
	"math/big"
	"math/rand/v2"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/params"

	"github.com/verdict-bench/verdict/internal/contract"
	"github.com/verdict-bench/verdict/internal/fault"
)

// The sizes of a call of [WitnessHeavy]: it reads the code of so many
// contracts and so many slots, or as many as there are. A call uses a little
// less than a million gas, so that blocks of any usual size are filled well.
const (
	heavyCodes = 300
	heavySlots = 40
)

// Contracts are the addresses of what the types of load call, zero where
// nothing is deployed.
type Contracts struct {
	Token     common.Address `json:"token,omitzero"`
	Fibonacci common.Address `json:"fibonacci,omitzero"`
	IOHeavy   common.Address `json:"ioHeavy,omitzero"`
	// Heavy has deployed HeavyCodes contracts and filled HeavySlots slots.
	Heavy      common.Address `json:"heavy,omitzero"`
	HeavyCodes uint64         `json:"heavyCodes,omitempty"`
	HeavySlots uint64         `json:"heavySlots,omitempty"`
}

// Options decide a workload.
type Options struct {
	Type Type
	// Seed decides recipients, amounts and whatever else is drawn.
	Seed uint64
	// Accounts are the senders. Calls name them by their index.
	Accounts []common.Address
	// Contracts must have what the type calls.
	Contracts Contracts
	// FibonacciN is the argument of fibonacci, [contract.MaxFibonacci] when
	// zero.
	FibonacciN uint64
	// Legacy sends what load_test of ethrex sends: fibonacci calls that
	// revert, a gas limit of 2,100,000 for whatever it is, 1000 wei or one
	// token to a new address each, and slots that all senders share. It
	// overrides FibonacciN, Fresh and OwnSlots.
	Legacy bool
	// Fresh has each transfer go to an address that nobody has used, so that
	// the state grows. Otherwise transfers go to one of Recipients.
	Fresh bool
	// Recipients counts the addresses that Recipient gives, from 0 on. They
	// should hold tokens already: the gas that a token transfer is expected
	// to use is that of a recipient who does. Without a Recipient, accounts
	// send to each other.
	Recipients int
	Recipient  func(i int) common.Address
	// OwnSlots gives each sender of [IOHeavy] slots of its own. The first call
	// of an account creates them and uses four times the gas of the others.
	OwnSlots bool
	// Weights are the shares of [Mixed], of any sum; nil is [DefaultWeights].
	Weights map[Type]int
}

// Uses are the types of transactions that the options lead to: the type
// itself, or the parts of the mix.
func (o Options) Uses() []Type { return parts(o.Type, o.Weights) }

// Cost is the most that n transactions of one account can cost it in wei, at
// the given most per gas: what its balance must be for all of them to be taken.
// It needs no contracts to be there yet.
func (o Options) Cost(n uint64, feeCap *big.Int) *big.Int {
	o = o.complete()
	o.Contracts.HeavyCodes, o.Contracts.HeavySlots = heavyCodes, heavySlots
	most := new(big.Int)
	for _, t := range o.Uses() {
		limit := o.limit(t)
		if t == IOHeavy && o.OwnSlots {
			limit = ioFirstLimit
		}
		one := new(big.Int).Mul(feeCap, new(big.Int).SetUint64(limit))
		if t == EthTransfers {
			one.Add(one, big.NewInt(maxAmount))
		}
		if one.Cmp(most) > 0 {
			most = one
		}
	}
	return most.Mul(most, new(big.Int).SetUint64(n))
}

// complete puts in the defaults, and what Legacy decides.
func (o Options) complete() Options {
	switch {
	case o.Legacy:
		o.Fresh, o.OwnSlots, o.FibonacciN = true, false, legacyFibonacciN
	case o.FibonacciN == 0:
		o.FibonacciN = contract.MaxFibonacci
	}
	if o.Type == Mixed && o.Weights == nil {
		o.Weights = DefaultWeights()
	}
	if o.Recipient == nil {
		accounts := o.Accounts
		o.Recipients = len(accounts)
		o.Recipient = func(i int) common.Address { return accounts[i] }
	}
	return o
}

// maxAmount is the most that a transfer moves, in wei or in the token's
// smallest unit.
const maxAmount = params.GWei

// Workload is what transactions a load consists of. Nothing in it changes, so
// that it is safe for concurrent use.
type Workload struct {
	o Options
	// types and until give the share of each type: that of types[i] ends
	// before until[i].
	types []Type
	until []uint64
}

// New returns the workload that o decides. Errors are the user's.
func New(o Options) (*Workload, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	o = o.complete()
	w := &Workload{o: o, types: o.Uses()}
	var sum uint64
	for _, t := range w.types {
		// The only type of a load that is no mix has no weight.
		sum += uint64(max(1, o.Weights[t]))
		w.until = append(w.until, sum)
	}
	return w, nil
}

// validate checks what a user can get wrong.
func (o Options) validate() error {
	if _, err := ParseType(string(o.Type)); err != nil {
		return err
	}
	if len(o.Accounts) == 0 {
		return fault.Newf(fault.Usage, "a load needs at least one account to send from")
	}
	if err := o.validateWeights(); err != nil {
		return err
	}
	switch {
	case o.Legacy && (o.Type == Mixed || o.Type == WitnessHeavy):
		return fault.Newf(fault.Usage, "load_test has no %s: there is nothing legacy to reproduce", o.Type)
	case o.FibonacciN > contract.MaxFibonacci && !o.Legacy:
		return fault.Newf(fault.Usage, "fibonacci(%d) does not fit into 256 bits and reverts; the last that does is fibonacci(%d)",
			o.FibonacciN, contract.MaxFibonacci)
	case o.Recipient != nil && o.Recipients < 1:
		return fault.Newf(fault.Usage, "transfers need at least one recipient")
	}
	for _, t := range o.Uses() {
		if err := o.deployed(t); err != nil {
			return err
		}
	}
	return nil
}

func (o Options) validateWeights() error {
	if o.Weights != nil && o.Type != Mixed {
		return fault.Newf(fault.Usage, "weights are for the type %s, not for %s", Mixed, o.Type)
	}
	for t, weight := range o.Weights {
		if _, err := ParseType(string(t)); err != nil {
			return err
		}
		const most = 1_000_000
		if t == Mixed || weight < 0 || weight > most {
			return fault.Newf(fault.Usage, "the weight of %s is %d, want 0 to %d and not for %s itself", t, weight, most, Mixed)
		}
	}
	if len(o.Uses()) == 0 {
		return fault.Newf(fault.Usage, "all weights of the mix are zero")
	}
	return nil
}

// deployed checks that there is a contract for the type.
func (o Options) deployed(t Type) error {
	c := o.Contracts
	var at common.Address
	switch t {
	case ERC20:
		at = c.Token
	case Fibonacci:
		at = c.Fibonacci
	case IOHeavy:
		at = c.IOHeavy
	case WitnessHeavy:
		at = c.Heavy
		if c.HeavyCodes == 0 && c.HeavySlots == 0 {
			return fault.Newf(fault.Usage, "%s has neither contracts nor slots to read", t)
		}
	default:
		return nil
	}
	if at == (common.Address{}) {
		return fault.Newf(fault.Usage, "no contract is given for %s", t)
	}
	return nil
}

// Call is transaction i, counted from 0, of the account with the given index.
// It is a pure function: asked again, it gives the same again.
func (w *Workload) Call(account int, i uint64) Call {
	d := w.draw(account, i)
	switch t := w.pick(&d); t {
	case EthTransfers:
		to := w.recipient(&d, account)
		return w.call(t, &to, w.amount(&d, legacyWei), nil)
	case ERC20:
		to := w.recipient(&d, account)
		return w.call(t, &w.o.Contracts.Token, nil, contract.TransferCall(to, w.amount(&d, legacyTokens)))
	case Fibonacci:
		return w.call(t, &w.o.Contracts.Fibonacci, nil, contract.FibonacciCall(w.o.FibonacciN))
	case IOHeavy:
		return w.increment(account, i)
	default:
		c := w.o.Contracts
		data := contract.TouchCall(d.below(max(1, c.HeavyCodes)), min(c.HeavyCodes, heavyCodes),
			d.below(max(1, c.HeavySlots)), min(c.HeavySlots, heavySlots))
		return w.call(t, &w.o.Contracts.Heavy, nil, data)
	}
}

// call puts a call together with the gas of its type.
func (w *Workload) call(t Type, to *common.Address, value *big.Int, data []byte) Call {
	if value == nil {
		value = new(big.Int)
	}
	return Call{To: to, Value: value, Data: data, Gas: w.o.gas(t), Limit: w.o.limit(t), Type: t}
}

// increment is a call of [IOHeavy].
func (w *Workload) increment(account int, i uint64) Call {
	if !w.o.OwnSlots {
		return w.call(IOHeavy, &w.o.Contracts.IOHeavy, nil, contract.IncrementSharedCall())
	}
	c := w.call(IOHeavy, &w.o.Contracts.IOHeavy, nil, contract.IncrementOwnCall())
	if w.first(IOHeavy, account, i) {
		c.Gas, c.Limit = ioFirstGas, ioFirstLimit
	}
	return c
}

// first says whether none of the account's transactions before i has type t.
// In a mix it looks back from i, which does not take long: where there are
// any, one of the last is likely to be of the type.
func (w *Workload) first(t Type, account int, i uint64) bool {
	if len(w.types) == 1 {
		return i == 0
	}
	for i > 0 {
		i--
		d := w.draw(account, i)
		if w.pick(&d) == t {
			return false
		}
	}
	return true
}

// pick draws the type of a transaction.
func (w *Workload) pick(d *draw) Type {
	if len(w.types) == 1 {
		return w.types[0]
	}
	at := d.below(w.until[len(w.until)-1])
	i, exact := slices.BinarySearch(w.until, at)
	if exact {
		i++
	}
	return w.types[i]
}

// recipient draws where a transfer goes.
func (w *Workload) recipient(d *draw, account int) common.Address {
	if w.o.Fresh {
		return d.address()
	}
	i := int(d.below(uint64(w.o.Recipients)))
	to := w.o.Recipient(i)
	if to == w.o.Accounts[account] && w.o.Recipients > 1 {
		// A transfer to oneself uses less gas and touches less.
		to = w.o.Recipient((i + 1) % w.o.Recipients)
	}
	return to
}

// amount draws how much a transfer moves: little enough to last, and odd
// enough that no two accounts get to have the same balance, because equal
// leaves would shrink the witness.
func (w *Workload) amount(d *draw, legacy int64) *big.Int {
	if w.o.Legacy {
		return big.NewInt(legacy)
	}
	return new(big.Int).SetUint64(1 + d.below(maxAmount))
}

// draw is the randomness of one transaction.
type draw struct{ rand.PCG }

// workloadID sets a workload apart from other uses of the same seed.
const workloadID = 0x776f726b // "work"

// draw is seeded with what identifies the transaction and nothing else.
func (w *Workload) draw(account int, i uint64) draw {
	var d draw
	// Scattered first: neighbors in a generator's seed space can be alike.
	d.Seed(scatter(w.o.Seed^workloadID)+scatter(uint64(account)), scatter(i^scatter(w.o.Seed)))
	return d
}

// scatter maps numbers to numbers one to one, and neighbors far apart. It is
// the output function of SplitMix64 (Steele, Lea and Flood, 2014).
func scatter(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// below draws a number from 0 to n-1. The remainder favors small numbers by
// less than n in 2^64.
func (d *draw) below(n uint64) uint64 { return d.Uint64() % n }

// address draws an address that nobody has used.
func (d *draw) address() common.Address {
	var a common.Address
	binary.BigEndian.PutUint64(a[:8], d.Uint64())
	binary.BigEndian.PutUint64(a[8:16], d.Uint64())
	binary.BigEndian.PutUint32(a[16:], uint32(d.Uint64()))
	return a
}
