package l1

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/params"

	"github.com/verdict-bench/verdict/internal/contract"
	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/load"
	"github.com/verdict-bench/verdict/internal/store"
)

// The names in the env file that the sequencer reads, those of ethrex.
const (
	EnvProposer = "ETHREX_COMMITTER_ON_CHAIN_PROPOSER_ADDRESS"
	EnvBridge   = "ETHREX_WATCHER_BRIDGE_ADDRESS"
)

// DeployOptions say what is deployed, and for whom.
type DeployOptions struct {
	// Deployer pays for the contracts.
	Deployer load.Account
	// ProposerOwner and BridgeOwner own the contracts, Committer commits
	// batches and ProofSender verifies them.
	ProposerOwner, BridgeOwner, Committer, ProofSender common.Address
	// GenesisRoot is the state root of the rollup's first block.
	GenesisRoot common.Hash
	// L1Genesis is the hash of the first block that the L1 must have; zero
	// when any will do.
	L1Genesis common.Hash
	// Deposits are accounts that deposit half of what they have, each for
	// itself.
	Deposits []load.Account
	// EnvFile gets the addresses of the contracts.
	EnvFile string
	// Log is told what happens, in the words of ethrex's deployer; nil for
	// nobody.
	Log *slog.Logger
}

// Deployed is what Deploy has made.
type Deployed struct {
	Proposer, Bridge common.Address
	// Wei is the sum of the deposits.
	Wei *big.Int
}

// Deploy deploys the contracts, makes the deposits and waits until all of it is
// on the L1. Only then does it write the env file, by rename: after an error an
// older file is still there as it was. It can be called again on the same L1:
// the contracts are then new ones, and half of what is left is deposited.
//
// An L1 that does not answer, that is another one than L1Genesis, or where one
// of the accounts has nothing or has transactions pending, is a prerequisite
// that is missing; nothing has been sent then.
func (c *Client) Deploy(ctx context.Context, o DeployOptions) (Deployed, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log.Info("Starting deployer binary")
	amounts, err := c.ready(ctx, o)
	if err != nil {
		return Deployed{}, err
	}
	o.Log.Info("Deploying contracts")
	var d Deployed
	code := contract.ProposerCode(o.ProposerOwner, o.Committer, o.ProofSender, o.GenesisRoot)
	if d.Proposer, err = c.create(ctx, o, contract.OnChainProposer, code); err != nil {
		return Deployed{}, err
	}
	if d.Bridge, err = c.create(ctx, o, contract.CommonBridge, contract.BridgeCode(o.BridgeOwner)); err != nil {
		return Deployed{}, err
	}
	if d.Wei, err = c.deposit(ctx, o, d.Bridge, amounts); err != nil {
		return Deployed{}, err
	}
	env := fmt.Sprintf("%s=%s\n%s=%s\n", EnvProposer, hexutil.Encode(d.Proposer[:]), EnvBridge, hexutil.Encode(d.Bridge[:]))
	if err := store.WriteFile(o.EnvFile, []byte(env)); err != nil {
		return Deployed{}, fault.As(fault.Prerequisite, fmt.Errorf("env file: %w", err))
	}
	o.Log.Info("Deployer binary finished successfully")
	return d, nil
}

// ready finds out whether everything can be done, before anything is. It
// returns how much each account deposits, in wei.
func (c *Client) ready(ctx context.Context, o DeployOptions) ([]*big.Int, error) {
	if err := writable(o.EnvFile); err != nil {
		return nil, err
	}
	first, err := c.Genesis(ctx)
	if err != nil {
		return nil, unreachable(ctx, err)
	}
	if o.L1Genesis != (common.Hash{}) && first != o.L1Genesis {
		return nil, fault.Newf(fault.Prerequisite, "the L1 at %s starts from the block %s, and the L1 genesis file describes %s: it is another chain, or was started from another file", c.URL(), first, o.L1Genesis)
	}
	if _, err := c.funds(ctx, o.Deployer.Address); err != nil {
		return nil, err
	}
	amounts := make([]*big.Int, len(o.Deposits))
	for i, a := range o.Deposits {
		balance, err := c.funds(ctx, a.Address)
		if err != nil {
			return nil, err
		}
		// A deposit is a whole number of gwei.
		amounts[i] = balance.Rsh(balance, 1)
		amounts[i].Sub(amounts[i], new(big.Int).Mod(amounts[i], big.NewInt(params.GWei)))
		if amounts[i].Sign() == 0 {
			return nil, fault.Newf(fault.Prerequisite, "the account %s has less than two gwei on the L1 at %s: there is nothing to deposit", a.Address, c.URL())
		}
	}
	return amounts, nil
}

// funds is the balance of an account that transactions will be sent from, which
// must be able to: transactions that are still pending would come before.
func (c *Client) funds(ctx context.Context, account common.Address) (*big.Int, error) {
	balance, err := c.Balance(ctx, account)
	if err != nil {
		return nil, err
	}
	if balance.Sign() == 0 {
		return nil, fault.Newf(fault.Prerequisite, "the account %s has no ether on the L1 at %s", account, c.URL()).
			Hint("start the L1 from a genesis that has the account: verdict devnet l1 --network FILE")
	}
	var latest, pending hexutil.Uint64
	if err := c.call(ctx, &latest, "eth_getTransactionCount", account, "latest"); err != nil {
		return nil, err
	}
	if err := c.call(ctx, &pending, "eth_getTransactionCount", account, "pending"); err != nil {
		return nil, err
	}
	if pending > latest {
		return nil, fault.Newf(fault.Prerequisite, "the account %s has %d transactions pending on the L1 at %s: wait until they are in blocks", account, pending-latest, c.URL())
	}
	return balance, nil
}

// writable makes sure that the env file can be written in the end.
func writable(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return fault.Newf(fault.Usage, "env file: %s is a directory", path)
	}
	probe, err := os.CreateTemp(filepath.Dir(path), ".writable-")
	if err != nil {
		return fault.As(fault.Prerequisite, fmt.Errorf("env file: %w", err))
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return fault.As(fault.Prerequisite, fmt.Errorf("env file: %w", err))
	}
	return nil
}

// unreachable gives the error of a first call its kind: unless the server said
// something, or ctx ended, it is not there.
func unreachable(ctx context.Context, err error) error {
	var answer *ethrpc.Error
	if errors.As(err, &answer) || ctx.Err() != nil {
		return err
	}
	return fault.Newf(fault.Prerequisite, "%w", err).
		Hint("start an L1 (verdict devnet l1) and give its address: --eth-rpc-url http://127.0.0.1:8545")
}

// create deploys a contract and makes sure that it is the one.
func (c *Client) create(ctx context.Context, o DeployOptions, name contract.Name, code []byte) (common.Address, error) {
	r, err := c.Send(ctx, o.Deployer, Transaction{Data: code})
	if err != nil {
		return common.Address{}, fmt.Errorf("deploying %s: %w", name, err)
	}
	var deployed hexutil.Bytes
	if err := c.call(ctx, &deployed, "eth_getCode", r.Contract, "latest"); err != nil {
		return common.Address{}, fmt.Errorf("deploying %s: %w", name, err)
	}
	if !bytes.Equal(deployed, name.Artifact().Runtime) {
		return common.Address{}, fmt.Errorf("deploying %s: the L1 has %d bytes of code at %s that are not the contract's", name, len(deployed), r.Contract)
	}
	o.Log.Info(fmt.Sprintf("%s deployed:", name), "address", hexutil.Encode(r.Contract[:]), "hash", r.Hash)
	return r.Contract, nil
}

// deposit sends all deposits, so that they share blocks, and then waits for
// every one of them.
func (c *Client) deposit(ctx context.Context, o DeployOptions, bridge common.Address, amounts []*big.Int) (*big.Int, error) {
	sum := new(big.Int)
	hashes := make([]common.Hash, len(o.Deposits))
	for i, a := range o.Deposits {
		var err error
		tx := Transaction{To: &bridge, Wei: amounts[i], Data: contract.DepositCall(a.Address)}
		if hashes[i], err = c.submit(ctx, a, tx); err != nil {
			return nil, fmt.Errorf("deposit of %s: %w", a.Address, err)
		}
		o.Log.Info("Deposit transaction sent to L1", "address", hexutil.Encode(a.Address[:]), "value_to_deposit", amounts[i], "hash", hashes[i])
	}
	for i, a := range o.Deposits {
		if _, err := c.await(ctx, hashes[i]); err != nil {
			return nil, fmt.Errorf("deposit of %s: %w", a.Address, err)
		}
		sum.Add(sum, amounts[i])
	}
	return sum, nil
}
