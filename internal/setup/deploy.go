package setup

import (
	"bytes"
	"context"
	"fmt"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/verdict-bench/verdict/internal/contract"
	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/load"
)

// Gas limits of the setup's transactions. The tests on real programs say
// whether they suffice; too much of them costs nothing but room in blocks.
const (
	// ioConstructorGas is what writing a hundred slots adds to a deployment.
	ioConstructorGas = 2_600_000
	// heavyCodeGas is for one contract of Heavy, heavySlotGas for one slot.
	heavyCodeGas = 5_150_000
	heavySlotGas = 24_000
	// spreadGas is for one recipient that does not exist yet, mintGas for one
	// holder.
	spreadGas = 42_000
	mintGas   = 30_000
	// baseGas is for the transaction around them.
	baseGas = 60_000
	// mostAtOnce bounds the recipients and holders of one transaction, so that
	// it stays far from the 128 KiB that pools take.
	mostAtOnce = 400
)

// creationGas is the limit that a contract is deployed with.
func creationGas(name contract.Name) uint64 {
	a := name.Artifact()
	gas := 100_000 + 250*uint64(len(a.Runtime)) + 20*uint64(len(a.Creation))
	if name == contract.IOHeavy {
		gas += ioConstructorGas
	}
	return gas
}

// slot is where one type of load finds its contract.
type slot struct {
	load    load.Type
	name    contract.Name
	address *common.Address
}

// slots are the contracts of c, by the type that calls them.
func slots(c *load.Contracts) []slot {
	return []slot{
		{load.ERC20, contract.MintableToken, &c.Token},
		{load.Fibonacci, contract.Fibonacci, &c.Fibonacci},
		{load.IOHeavy, contract.IOHeavy, &c.IOHeavy},
		{load.WitnessHeavy, contract.Heavy, &c.Heavy},
	}
}

// Check asks the node whether there is code at each address of c that is not
// zero: after a reorg, or on another chain, there may be none any more.
func Check(ctx context.Context, node *ethrpc.Client, c load.Contracts) error {
	var given []slot
	var params [][]any
	for _, s := range slots(&c) {
		if *s.address != (common.Address{}) {
			given = append(given, s)
			params = append(params, []any{*s.address, "latest"})
		}
	}
	codes, err := ask[hexutil.Bytes](ctx, node, "eth_getCode", params)
	if err != nil {
		return err
	}
	for i, code := range codes {
		if len(code) == 0 {
			return fault.Newf(fault.Prerequisite, "%s has no contract for %s at %s: it was never deployed on this chain, or a reorg or a restart took it away",
				node.URL(), given[i].load, given[i].address).
				Hint("leave its address out to have a new one deployed")
		}
	}
	return nil
}

// missing are the contracts that have to be deployed.
func (p *preparation) missing() []slot {
	return slices.DeleteFunc(slots(&p.contracts), func(s slot) bool {
		return !slices.Contains(p.o.Types, s.load) || *s.address != (common.Address{})
	})
}

// heavySize is what the user wants of witness-heavy.
func (o Options) heavySize() (codes, slots uint64) {
	switch {
	case !slices.Contains(o.Types, load.WitnessHeavy):
		return 0, 0
	case o.HeavyCodes == 0 && o.HeavySlots == 0:
		return DefaultHeavyCodes, DefaultHeavySlots
	}
	return o.HeavyCodes, o.HeavySlots
}

// deploy deploys what is missing.
func (p *preparation) deploy(ctx context.Context) error {
	missing := p.missing()
	var jobs []job
	for _, s := range missing {
		jobs = append(jobs, job{data: s.name.Artifact().Creation, gas: creationGas(s.name)})
	}
	addresses, err := p.create(ctx, jobs)
	if err != nil {
		return err
	}
	for i, s := range missing {
		*s.address = addresses[i]
		p.say("deployed the contract for %s at %s", s.load, addresses[i])
		if err := p.holds(ctx, addresses[i], s.name); err != nil {
			return err
		}
	}
	if slices.Contains(p.o.Types, load.WitnessHeavy) {
		return p.grow(ctx)
	}
	return nil
}

// create carries out deployments and returns where they went.
func (p *preparation) create(ctx context.Context, jobs []job) ([]common.Address, error) {
	for _, j := range jobs {
		if j.gas > p.transactionGas() {
			return nil, fault.Newf(fault.Prerequisite, "a deployment takes up to %d gas, and %s takes no transaction of more than %d: its block gas limit is %d",
				j.gas, p.node.URL(), p.transactionGas(), p.gasLimit)
		}
	}
	txs, err := p.payer.carryOut(ctx, "deploying contracts", jobs)
	if err != nil {
		return nil, err
	}
	addresses := make([]common.Address, len(txs))
	for i, tx := range txs {
		if tx.done.ContractAddress == nil {
			return nil, fmt.Errorf("deploying contracts: the receipt of %s names no contract", tx.hash)
		}
		addresses[i] = *tx.done.ContractAddress
	}
	return addresses, nil
}

// holds checks that a deployed contract is what was sent: on some chains code
// is changed or cut on its way.
func (p *preparation) holds(ctx context.Context, at common.Address, name contract.Name) error {
	var code hexutil.Bytes
	if err := p.node.Call(ctx, &code, "eth_getCode", at, "latest"); err != nil {
		return fmt.Errorf("%s: %w", p.node.URL(), err)
	}
	if !bytes.Equal(code, name.Artifact().Runtime) {
		return fmt.Errorf("deploying contracts: %s has %d bytes of code at %s that are not those of %s", p.node.URL(), len(code), at, name)
	}
	return nil
}

// grow brings the contract of witness-heavy to the size that is wanted, and
// notes the size that it has.
func (p *preparation) grow(ctx context.Context) error {
	have, err := p.heavyHas(ctx)
	if err != nil {
		return err
	}
	codes, slots := p.o.heavySize()
	jobs, err := p.growth(have, codes, slots)
	if err != nil {
		return err
	}
	if _, err := p.payer.carryOut(ctx, "deploying large contracts", jobs); err != nil {
		return err
	}
	have, err = p.heavyHas(ctx)
	p.contracts.HeavyCodes, p.contracts.HeavySlots = have[0], have[1]
	return err
}

// growth are the transactions that bring witness-heavy from what it has to so
// many contracts and slots.
func (p *preparation) growth(have [2]uint64, codes, slots uint64) ([]job, error) {
	var jobs []job
	for i, part := range []struct {
		want, gas uint64
		call      func(uint64) []byte
	}{{codes, heavyCodeGas, contract.DeployCall}, {slots, heavySlotGas, contract.FillCall}} {
		if have[i] >= part.want {
			continue
		}
		most := (p.transactionGas() - min(baseGas, p.transactionGas())) / part.gas
		if most == 0 {
			return nil, fault.Newf(fault.Prerequisite, "%s takes %d gas for one contract, and %s takes no transaction of more than %d: its block gas limit is %d",
				load.WitnessHeavy, part.gas+baseGas, p.node.URL(), p.transactionGas(), p.gasLimit)
		}
		for left := part.want - have[i]; left > 0; {
			n := min(left, most)
			jobs = append(jobs, job{to: &p.contracts.Heavy, data: part.call(n), gas: baseGas + n*part.gas})
			left -= n
		}
	}
	return jobs, nil
}

// heavyHas reads how many contracts and slots witness-heavy has: two numbers
// of 128 bits in slot 0, the first in the lower half.
func (p *preparation) heavyHas(ctx context.Context) ([2]uint64, error) {
	var counts common.Hash
	if err := p.node.Call(ctx, &counts, "eth_getStorageAt", p.contracts.Heavy, "0x0", "latest"); err != nil {
		return [2]uint64{}, fmt.Errorf("%s: %w", p.node.URL(), err)
	}
	return [2]uint64{
		new(big.Int).SetBytes(counts[16:]).Uint64(),
		new(big.Int).SetBytes(counts[:16]).Uint64(),
	}, nil
}
