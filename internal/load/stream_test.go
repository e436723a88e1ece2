package load

import (
	"context"
	"errors"
	"math/big"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
)

const testChain = 1337

var testToken = common.Address{0x70}

// options are those of a small stream with the given seed.
func options(t testing.TB, seed uint64) StreamOptions {
	t.Helper()
	o := StreamOptions{
		Seed: seed, ChainID: testChain,
		Recipients: 500,
		Recipient:  func(i int) common.Address { return common.BigToAddress(big.NewInt(int64(1000 + i))) },
		Token:      testToken, TokenShare: 0.7,
		FeeCap: big.NewInt(100 * params.GWei), Tip: big.NewInt(params.GWei),
	}
	for i := range 20 {
		key, err := crypto.ToECDSA(crypto.Keccak256([]byte{byte(i)}))
		if err != nil {
			t.Fatal(err)
		}
		o.Senders = append(o.Senders, Account{Key: key, Address: crypto.PubkeyToAddress(key.PublicKey)})
	}
	return o
}

func stream(t testing.TB, o StreamOptions) *Stream {
	t.Helper()
	s, err := NewStream(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func next(t testing.TB, s *Stream, gas uint64) []Tx {
	t.Helper()
	txs, err := s.Next(gas)
	if err != nil {
		t.Fatal(err)
	}
	return txs
}

func hashes(txs []Tx) []common.Hash {
	var h []common.Hash
	for _, tx := range txs {
		h = append(h, tx.Hash)
	}
	return h
}

func TestStream_seedDecides(t *testing.T) {
	a := hashes(next(t, stream(t, options(t, 1)), 5_000_000))
	b := hashes(next(t, stream(t, options(t, 1)), 5_000_000))
	c := hashes(next(t, stream(t, options(t, 2)), 5_000_000))
	if !slices.Equal(a, b) {
		t.Error("two streams with one seed differ")
	}
	if slices.Equal(a, c) {
		t.Error("two streams with different seeds are equal")
	}
}

// How the stream is cut into calls, and what is signed ahead, must not change
// the transactions.
func TestStream_cutsDoNotMatter(t *testing.T) {
	whole := next(t, stream(t, options(t, 3)), 4_000_000)
	s := stream(t, options(t, 3))
	if err := s.Prepare(1_234_567); err != nil {
		t.Fatal(err)
	}
	var pieces []Tx
	for len(pieces) < len(whole) {
		pieces = append(pieces, next(t, s, 100_000)...)
	}
	if !slices.Equal(hashes(pieces[:len(whole)]), hashes(whole)) {
		t.Error("the stream depends on how it is cut")
	}
}

func TestStream_transactions(t *testing.T) {
	const gas = 3_000_000
	txs := next(t, stream(t, options(t, 4)), gas)
	signer := types.LatestSignerForChainID(big.NewInt(testChain))
	nonces := map[common.Address]uint64{}
	var sum uint64
	tokens := 0
	for i, tx := range txs {
		var decoded types.Transaction
		if err := decoded.UnmarshalBinary(tx.Raw); err != nil {
			t.Fatalf("transaction %d: %v", i, err)
		}
		sender, err := types.Sender(signer, &decoded)
		if err != nil || sender != tx.Sender {
			t.Fatalf("transaction %d is signed by %s, want %s (error %v)", i, sender, tx.Sender, err)
		}
		if decoded.Hash() != tx.Hash || decoded.Gas() != tx.Limit || tx.Gas > tx.Limit {
			t.Errorf("transaction %d does not agree with its description %+v", i, tx)
		}
		if decoded.Nonce() != tx.Nonce || tx.Nonce != nonces[sender] {
			t.Errorf("transaction %d has nonce %d, want %d", i, decoded.Nonce(), nonces[sender])
		}
		nonces[sender]++
		sum += tx.Gas
		if *decoded.To() == testToken {
			tokens++
			if data := decoded.Data(); len(data) != 68 || !slices.Equal(data[:4], crypto.Keccak256([]byte("transfer(address,uint256)"))[:4]) {
				t.Errorf("transaction %d calls the token with %x", i, data)
			}
		}
	}
	if sum > gas || sum < gas-tokenGas {
		t.Errorf("transactions use %d gas, want just below %d", sum, gas)
	}
	if share := float64(tokens) / float64(len(txs)); share < 0.5 || share > 0.9 {
		t.Errorf("%d of %d transactions are token transfers, want about 70 %%", tokens, len(txs))
	}
	if len(nonces) != 20 {
		t.Errorf("%d senders took turns, want all 20", len(nonces))
	}
}

func TestStream_withoutToken(t *testing.T) {
	o := options(t, 5)
	o.Token = common.Address{}
	for _, tx := range next(t, stream(t, o), 1_000_000) {
		if tx.Gas != params.TxGas {
			t.Fatalf("a transaction of %d gas in a stream without a token", tx.Gas)
		}
	}
}

func TestStream_Resync(t *testing.T) {
	o := options(t, 6)
	s := stream(t, o)
	next(t, s, 1_000_000)
	if err := s.Prepare(1_000_000); err != nil {
		t.Fatal(err)
	}
	err := s.Resync(t.Context(), func(_ context.Context, accounts []common.Address) ([]uint64, error) {
		nonces := make([]uint64, len(accounts))
		for i, a := range accounts {
			if a != o.Senders[i].Address {
				t.Errorf("nonce %d is asked for %s, want %s", i, a, o.Senders[i].Address)
			}
			nonces[i] = uint64(100 * i)
		}
		return nonces, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[common.Address]bool{}
	for _, tx := range next(t, s, 1_000_000) {
		i := slices.IndexFunc(o.Senders, func(a Account) bool { return a.Address == tx.Sender })
		if !seen[tx.Sender] && tx.Nonce != uint64(100*i) {
			t.Errorf("after Resync sender %d goes on with nonce %d, want %d", i, tx.Nonce, 100*i)
		}
		seen[tx.Sender] = true
	}
	lost := errors.New("connection lost")
	if err := s.Resync(t.Context(), func(context.Context, []common.Address) ([]uint64, error) { return nil, lost }); !errors.Is(err, lost) {
		t.Errorf("Resync = %v, want %v", err, lost)
	}
	if err := s.Resync(t.Context(), func(context.Context, []common.Address) ([]uint64, error) { return []uint64{1}, nil }); err == nil {
		t.Error("Resync took one nonce for 20 senders")
	}
}

func TestNewStream_badOptions(t *testing.T) {
	check := func(name string, spoil func(*StreamOptions)) {
		t.Helper()
		o := options(t, 7)
		spoil(&o)
		if _, err := NewStream(o); err == nil {
			t.Errorf("NewStream took options with %s", name)
		}
	}
	check("no senders", func(o *StreamOptions) { o.Senders = nil })
	check("no recipients", func(o *StreamOptions) { o.Recipients = 0 })
	check("a share above 1", func(o *StreamOptions) { o.TokenShare = 1.1 })
	check("a negative share", func(o *StreamOptions) { o.TokenShare = -0.1 })
	check("no fee cap", func(o *StreamOptions) { o.FeeCap = nil })
	check("a tip above the cap", func(o *StreamOptions) { o.Tip = big.NewInt(1000 * params.GWei) })
}

// BenchmarkStream is the cost of one block's worth of transactions.
func BenchmarkStream(b *testing.B) {
	s := stream(b, options(b, 8))
	n := 0
	for b.Loop() {
		n += len(next(b, s, 30_000_000))
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "tx/s")
}
