package devnet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/verdict-bench/verdict/internal/load"
)

// localGas is the gas of the blocks that the witness sizes and times of the
// local chain are told for.
const localGas = 30_000_000

// fill puts the load of one block of localGas into the next block.
func (c *consensus) fill(stream *load.Stream) {
	c.t.Helper()
	txs, err := stream.Next(localGas)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, tx := range txs {
		decoded := new(types.Transaction)
		if err := decoded.UnmarshalBinary(tx.Raw); err != nil {
			c.t.Fatal(err)
		}
		c.pending = append(c.pending, decoded)
	}
}

// localBlocks starts a node of the local chain for each of the forms, the empty
// one meaning no store, and drives count full blocks on all of them.
func localBlocks(t testing.TB, count int, forms ...Form) (nodes []*Node, last *engine.ExecutionPayloadEnvelope) {
	t.Helper()
	for _, form := range forms {
		nodes = append(nodes, start(t, func(o *Options) { o.Genesis, o.Precompute, o.Form = nil, form != "", form }))
	}
	stream, err := load.NewStream(load.Local(1))
	if err != nil {
		t.Fatal(err)
	}
	builder := attach(t, nodes[0])
	var others []*consensus
	for _, n := range nodes[1:] {
		others = append(others, attach(t, n))
	}
	for range count {
		builder.fill(stream)
		last = builder.build()
		builder.deliver(last)
		for _, other := range others {
			other.deliver(last)
		}
	}
	return nodes, last
}

// A full block of scattered transfers has a witness of the size that the local
// chain promises, whose many nodes are collected by concurrent readers, and
// still the answer on demand and the stored one agree to the byte.
func TestLocal_fullBlock(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 170,000 state entries twice")
	}
	nodes, last := localBlocks(t, 2, "", Serialized)
	if used := last.ExecutionPayload.GasUsed; used < localGas*9/10 {
		t.Errorf("the block used %d gas, want about %d", used, localGas)
	}
	want := ask(t, nodes[0], 2)
	if len(want) < 1<<20 {
		t.Errorf("the answer has %d bytes, want at least 1 MiB", len(want))
	}
	verify(t, nodes[0], 2, decode(t, want))
	for i := range 5 {
		if got := ask(t, nodes[0], 2); !bytes.Equal(got, want) {
			t.Fatalf("the answer on demand changed at repetition %d", i)
		}
	}
	if got := ask(t, nodes[1], 2); !bytes.Equal(got, want) {
		t.Error("stored, the answer differs")
	}
	if hits := metric(t, nodes[1], "verdict_witness_store_hits_total"); hits != 1 {
		t.Errorf("%v hits, want 1", hits)
	}
}

// BenchmarkWitness is the time of one request for the witness of a full block,
// from the first byte sent to the last byte received, in each of the three
// ways. All three nodes, and the client, are in this process.
func BenchmarkWitness(b *testing.B) {
	nodes, last := localBlocks(b, 3, "", Generated, Serialized)
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"debug_executionWitness","params":["%#x"]}`, last.ExecutionPayload.Number)
	client := plainClient()
	for i, name := range []string{"on-demand", "generated", "serialized"} {
		b.Run(name, func(b *testing.B) {
			var size int64
			for b.Loop() {
				res, err := client.Post(nodes[i].RPC(), "application/json", strings.NewReader(body))
				if err != nil {
					b.Fatal(err)
				}
				size, err = io.Copy(io.Discard, res.Body) // the client's memory is not the node's time
				if err := errors.Join(err, res.Body.Close()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(size), "answer-bytes")
			b.ReportMetric(float64(last.ExecutionPayload.GasUsed)/1e6, "Mgas")
		})
	}
}

// BenchmarkStart is the time from nothing to a node of the local chain that
// answers, in an empty data directory and in one that has the genesis.
func BenchmarkStart(b *testing.B) {
	run := func(b *testing.B, dir func(i int) string) {
		for i := 0; b.Loop(); i++ {
			n, err := Start(b.Context(), Options{DataDir: dir(i), HTTPAddr: "127.0.0.1:0", EngineAddr: "127.0.0.1:0"})
			if err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			if err := n.Close(); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	}
	root := b.TempDir()
	b.Run("empty", func(b *testing.B) { run(b, func(i int) string { return fmt.Sprintf("%s/%d", root, i) }) })
	b.Run("again", func(b *testing.B) { run(b, func(int) string { return root + "/0" }) })
}
