package load

import (
	"fmt"
	"math"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
)

// Call is a transaction before it has a nonce, fees and a signature. What it
// points to belongs to the workload and must not be changed.
type Call struct {
	To *common.Address
	// Value is in wei.
	Value *big.Int
	Data  []byte
	// Gas is what the transaction is expected to use, Limit what it is sent
	// with.
	Gas, Limit uint64
	Type       Type
}

// Fees are in wei per gas: the most that is paid in all, and the part of it
// that goes to whoever builds the block.
type Fees struct {
	Cap, Tip *big.Int
}

// LegacyFees are the fees that load_test sends with, whatever the base fee is.
// A pool that asks for balances to cover its transactions asks for 19 million
// ether with each.
func LegacyFees() Fees {
	return Fees{Cap: big.NewInt(math.MaxInt64), Tip: big.NewInt(10)}
}

// Tx is a signed transaction.
type Tx struct {
	Hash   common.Hash
	Sender common.Address
	Nonce  uint64
	// Raw is the binary form, as eth_sendRawTransaction takes it.
	Raw []byte
	// Gas is what the transaction is expected to use, Limit the most it may.
	Gas   uint64
	Limit uint64
}

// Sign makes the EIP-1559 transaction that c is, sent by from with the given
// nonce. The same arguments give the same bytes.
func Sign(signer types.Signer, from Account, nonce uint64, c Call, f Fees) (Tx, error) {
	tx, err := types.SignNewTx(from.Key, signer, &types.DynamicFeeTx{
		ChainID:   signer.ChainID(),
		Nonce:     nonce,
		GasTipCap: f.Tip,
		GasFeeCap: f.Cap,
		Gas:       c.Limit,
		To:        c.To,
		Value:     c.Value,
		Data:      c.Data,
	})
	if err != nil {
		return Tx{}, fmt.Errorf("load: signing for %s: %w", from.Address, err)
	}
	raw, err := tx.MarshalBinary()
	if err != nil {
		return Tx{}, fmt.Errorf("load: encoding: %w", err)
	}
	return Tx{Hash: tx.Hash(), Sender: from.Address, Nonce: nonce, Raw: raw, Gas: c.Gas, Limit: c.Limit}, nil
}
