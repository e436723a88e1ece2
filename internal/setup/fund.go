package setup

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/params"

	"github.com/verdict-bench/verdict/internal/contract"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/load"
)

// shortfall is what an account lacks.
type shortfall struct {
	address common.Address
	wei     *big.Int
}

// paysOthers says whether the payer funds the accounts, too.
func (o Options) paysOthers() bool { return o.Rich != nil || o.Unlocked }

// shortfalls are the accounts that need ether, but for the payer itself.
func (p *preparation) shortfalls(ctx context.Context) ([]shortfall, error) {
	p.sent = new(big.Int)
	if p.o.Need == nil || !p.o.paysOthers() {
		return nil, nil
	}
	balances, err := p.balances(ctx, p.o.Accounts)
	if err != nil {
		return nil, err
	}
	var short []shortfall
	for i, a := range p.o.Accounts {
		if lacks := new(big.Int).Sub(p.o.Need, balances[i]); lacks.Sign() > 0 && a.Address != p.payer.address {
			short = append(short, shortfall{a.Address, lacks})
		}
	}
	return short, nil
}

// awaitPayer waits until the payer can pay for everything.
func (p *preparation) awaitPayer(ctx context.Context, short []shortfall) error {
	funds := new(big.Int)
	for _, s := range short {
		funds.Add(funds, s.wei)
	}
	gas := p.gasNeeded(len(short))
	fees := new(big.Int).Mul(new(big.Int).SetUint64(gas), p.fees().Cap)
	needs := new(big.Int).Add(funds, fees)
	isSender := slices.ContainsFunc(p.o.Accounts, func(a load.Account) bool { return a.Address == p.payer.address })
	if isSender && p.o.Need != nil {
		needs.Add(needs, p.o.Need)
	}
	var has *big.Int
	told := false
	look := func() (int, error) {
		balances, err := p.balances(ctx, []load.Account{{Address: p.payer.address}})
		if err != nil {
			return 0, err
		}
		if has = balances[0]; has.Cmp(needs) >= 0 {
			return 0, nil
		}
		if !told {
			p.say("account %s has %s and needs %s: waiting%s for it", p.payer.address, ether(has), ether(needs), p.upTo())
			told = true
		}
		return 1, nil
	}
	err := p.await(ctx, "waiting for the account that pays", look, func(context.Context) string {
		return fmt.Sprintf("account %s has %s and needs %s: %s for %d accounts, up to %s for %d gas, and what it is to have itself",
			p.payer.address, ether(has), ether(needs), ether(funds), len(short), ether(fees), gas)
	})
	return unfunded(err)
}

// unfunded is the error of a wait for ether that did not come: a chain without
// money for it is not a failure of the load's.
func unfunded(err error) error {
	var final *fault.Error
	if !errors.As(err, &final) {
		return err
	}
	return fault.Newf(fault.Prerequisite, "%w", err).
		Hint("send ether to that account, or need less: fewer accounts, fewer transactions of each, or a lower balance")
}

// gasNeeded is the gas that the whole setup may use.
func (p *preparation) gasNeeded(short int) uint64 {
	var gas uint64
	for _, s := range p.missing() {
		gas += creationGas(s.name)
	}
	codes, slots := p.o.heavySize()
	gas += codes*heavyCodeGas + slots*heavySlotGas
	switch {
	case short > 1:
		gas += creationGas(contract.Spread) + uint64(short)*(spreadGas+baseGas/mostAtOnce+1) + baseGas
	case short == 1:
		gas += params.TxGas
	}
	if slices.Contains(p.o.Types, load.ERC20) {
		gas += uint64(len(p.o.Accounts))*(mintGas+baseGas/mostAtOnce+1) + baseGas
	}
	return gas
}

// fund sends ether to the accounts that lack some.
func (p *preparation) fund(ctx context.Context, short []shortfall) error {
	if len(short) == 0 {
		return nil
	}
	for _, s := range short {
		p.sent.Add(p.sent, s.wei)
	}
	p.funded = len(short)
	p.say("funding %d of %d accounts with %s in all", len(short), len(p.o.Accounts), ether(p.sent))
	if len(short) == 1 {
		_, err := p.payer.carryOut(ctx, "funding accounts", []job{{to: &short[0].address, value: short[0].wei, gas: params.TxGas}})
		return err
	}
	spread, err := p.create(ctx, []job{{data: contract.Spread.Artifact().Creation, gas: creationGas(contract.Spread)}})
	if err != nil {
		return err
	}
	var jobs []job
	for some := range slices.Chunk(short, p.perTransaction(spreadGas)) {
		total := new(big.Int)
		var to []common.Address
		var values []*big.Int
		for _, s := range some {
			total.Add(total, s.wei)
			to = append(to, s.address)
			values = append(values, s.wei)
		}
		jobs = append(jobs, job{
			to: &spread[0], value: total, data: contract.SpreadCall(to, values),
			gas: baseGas + uint64(len(some))*spreadGas,
		})
	}
	_, err = p.payer.carryOut(ctx, "funding accounts", jobs)
	return err
}

// perTransaction is how many entries of so much gas one transaction can have.
func (p *preparation) perTransaction(gas uint64) int {
	room := p.transactionGas() - min(baseGas, p.transactionGas())
	return int(min(mostAtOnce, max(1, room/gas)))
}

// awaitBalances waits until the node shows what all accounts are to have: what
// was sent, and on a layer 2 what was deposited elsewhere.
func (p *preparation) awaitBalances(ctx context.Context) error {
	if p.o.Need == nil {
		return nil
	}
	var poorest common.Address
	var least *big.Int
	short := 0
	look := func() (int, error) {
		balances, err := p.balances(ctx, p.o.Accounts)
		if err != nil {
			return 0, err
		}
		short, least = 0, nil
		for i, b := range balances {
			if b.Cmp(p.o.Need) >= 0 {
				continue
			}
			short++
			if least == nil || b.Cmp(least) < 0 {
				poorest, least = p.o.Accounts[i].Address, b
			}
		}
		return short, nil
	}
	return unfunded(p.await(ctx, "waiting for the accounts' ether", look, func(context.Context) string {
		return fmt.Sprintf("%d of %d accounts have too little: %s has %s and needs %s",
			short, len(p.o.Accounts), poorest, ether(least), ether(p.o.Need))
	}))
}

// mint gives tokens to the accounts that have few.
func (p *preparation) mint(ctx context.Context) error {
	if !slices.Contains(p.o.Types, load.ERC20) {
		return nil
	}
	// An account with the floor can send a billion times; minted are a
	// thousand billion times as much, so that no run ends for want of it.
	floor := new(big.Int).Exp(big.NewInt(10), big.NewInt(18), nil)
	amount := new(big.Int).Exp(big.NewInt(10), big.NewInt(30), nil)
	var params [][]any
	for _, a := range p.o.Accounts {
		call := map[string]any{"to": p.contracts.Token, "data": hexutil.Bytes(contract.BalanceCall(a.Address))}
		params = append(params, []any{call, "latest"})
	}
	balances, err := ask[hexutil.Bytes](ctx, p.node, "eth_call", params)
	if err != nil {
		return fmt.Errorf("the token at %s: %w", p.contracts.Token, err)
	}
	var holders []common.Address
	for i, b := range balances {
		if new(big.Int).SetBytes(b).Cmp(floor) < 0 {
			holders = append(holders, p.o.Accounts[i].Address)
		}
	}
	var jobs []job
	for some := range slices.Chunk(holders, p.perTransaction(mintGas)) {
		jobs = append(jobs, job{
			to: &p.contracts.Token, data: contract.MintCall(some, amount),
			gas: baseGas + uint64(len(some))*mintGas,
		})
	}
	if len(jobs) > 0 {
		p.say("minting tokens for %d of %d accounts", len(holders), len(p.o.Accounts))
	}
	_, err = p.payer.carryOut(ctx, "minting tokens", jobs)
	return err
}

// ether writes an amount of wei for people, exactly.
func ether(wei *big.Int) string {
	whole, rest := new(big.Int).QuoRem(wei, big.NewInt(params.Ether), new(big.Int))
	if rest.Sign() == 0 {
		return whole.String() + " ether"
	}
	if whole.Sign() == 0 && rest.Cmp(big.NewInt(params.GWei)) < 0 {
		return rest.String() + " wei"
	}
	return fmt.Sprintf("%d.%s ether", whole, strings.TrimRight(fmt.Sprintf("%018d", rest), "0"))
}
