package batch

import (
	"bytes"
	"context"
	"encoding/json"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/consensus/beacon"
	"github.com/ethereum/go-ethereum/consensus/ethash"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"

	"github.com/verdict-bench/verdict/internal/genesis"
	"github.com/verdict-bench/verdict/internal/witness"
)

// looker is a contract that reads the hash of the block two before its own and
// stores it under the block's number, so that later blocks of a batch need
// headers of earlier ones and state that earlier ones wrote.
var looker = common.HexToAddress("0x0100000000000000000000000000000000000001")

var lookerCode = []byte{
	byte(vm.PUSH1), 2, byte(vm.NUMBER), byte(vm.SUB), byte(vm.BLOCKHASH),
	byte(vm.NUMBER), byte(vm.SSTORE),
	byte(vm.PUSH1), 1, byte(vm.NUMBER), byte(vm.SUB), byte(vm.SLOAD), byte(vm.POP),
}

// chain is a few real blocks, the witness of each, and what they begin at.
type chain struct {
	config    *params.ChainConfig
	blocks    []*types.Block
	witnesses []*witness.Witness
}

// batch is the batch of the blocks from index first on, with their witnesses
// merged.
func (c chain) batch(number uint64, first int) Batch {
	return Batch{Number: number, Blocks: c.blocks[first:], Witness: Merge(c.witnesses[first:]...), Config: c.config}
}

// makeChain makes blocks with transfers, calls and deposits.
func makeChain(t testing.TB, count int) chain {
	t.Helper()
	key, err := crypto.ToECDSA(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	g := &core.Genesis{
		Config: genesis.LocalConfig(), GasLimit: 30_000_000,
		BaseFee: big.NewInt(params.GWei), Difficulty: new(big.Int),
		Alloc: types.GenesisAlloc{
			crypto.PubkeyToAddress(key.PublicKey): {Balance: big.NewInt(params.Ether)},
			looker:                                {Code: lookerCode, Balance: new(big.Int)},

			params.BeaconRootsAddress:        {Nonce: 1, Code: params.BeaconRootsCode, Balance: new(big.Int)},
			params.HistoryStorageAddress:     {Nonce: 1, Code: params.HistoryStorageCode, Balance: new(big.Int)},
			params.WithdrawalQueueAddress:    {Nonce: 1, Code: params.WithdrawalQueueCode, Balance: new(big.Int)},
			params.ConsolidationQueueAddress: {Nonce: 1, Code: params.ConsolidationQueueCode, Balance: new(big.Int)},
		},
	}
	for i := range 300 {
		g.Alloc[common.BigToAddress(big.NewInt(int64(i+1)<<8))] = types.Account{Balance: common.Big1}
	}
	engine := beacon.New(ethash.NewFaker())
	bc, err := core.NewBlockChain(rawdb.NewMemoryDatabase(), g, engine, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer bc.Stop()
	nonce := uint64(0)
	send := func(b *core.BlockGen, tx types.DynamicFeeTx) {
		tx.ChainID, tx.Nonce = g.Config.ChainID, nonce
		nonce++
		tx.GasTipCap, tx.GasFeeCap = common.Big1, new(big.Int).Add(b.BaseFee(), common.Big1)
		b.AddTxWithChain(bc, types.MustSignNewTx(key, types.LatestSigner(g.Config), &tx))
	}
	db, _, _ := core.GenerateChainWithGenesis(g, engine, 0, nil)
	c := chain{config: g.Config}
	parent := bc.Genesis()
	for i := range count {
		// One at a time, because a block looks its ancestors up in bc.
		blocks, _ := core.GenerateChain(g.Config, parent, engine, db, 1, func(_ int, b *core.BlockGen) {
			b.SetPoS()
			b.SetParentBeaconRoot(common.Hash{31: byte(i)})
			for to := range 3 {
				address := common.BigToAddress(big.NewInt(int64(7*i+to+1) << 8))
				send(b, types.DynamicFeeTx{To: &address, Gas: 21_000, Value: common.Big1})
			}
			if i > 2 {
				send(b, types.DynamicFeeTx{To: &looker, Gas: 100_000})
			}
			if i%2 == 1 {
				b.AddWithdrawal(&types.Withdrawal{Address: common.Address{0xde, byte(i)}, Amount: uint64(i) * 1e9})
			}
		})
		parent = blocks[0]
		stock, err := bc.InsertBlockWithoutSetHead(context.Background(), parent, true)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bc.SetCanonical(parent); err != nil {
			t.Fatal(err)
		}
		answer, err := json.Marshal(map[string]any{"result": stock.ToExtWitness()})
		if err != nil {
			t.Fatal(err)
		}
		w, err := witness.Decode(bytes.NewReader(answer))
		if err != nil {
			t.Fatal(err)
		}
		c.blocks, c.witnesses = append(c.blocks, parent), append(c.witnesses, w)
	}
	return c
}
