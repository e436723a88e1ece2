package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/verdict-bench/verdict/internal/batch"
	"github.com/verdict-bench/verdict/internal/coordinator"
	"github.com/verdict-bench/verdict/internal/devnet"
	"github.com/verdict-bench/verdict/internal/drive"
	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/genesis"
	"github.com/verdict-bench/verdict/internal/load"
	"github.com/verdict-bench/verdict/internal/witness"
)

// record makes a chain and records its batches in dir, as a proxy between a
// coordinator and a prover does.
func record(ctx context.Context, o options, dir string, progress io.Writer) error {
	data, err := os.MkdirTemp("", "bench-replay-node-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(data)
	node, err := devnet.Start(ctx, devnet.Options{DataDir: data, HTTPAddr: "127.0.0.1:0", EngineAddr: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	s, err := open(ctx, o, node)
	if err == nil {
		err = s.record(ctx, o, dir, progress)
	}
	return errors.Join(err, node.Close())
}

// source makes the blocks of the batches.
type source struct {
	rpc    *ethrpc.Client
	driver *drive.Driver
	next   uint64
}

func open(ctx context.Context, o options, node *devnet.Node) (*source, error) {
	rpc, err := ethrpc.NewClient(node.RPC())
	if err != nil {
		return nil, err
	}
	secret, err := ethrpc.ReadSecret(node.JWTSecret())
	if err != nil {
		return nil, err
	}
	engine, err := ethrpc.NewEngine(node.Engine(), secret)
	if err != nil {
		return nil, err
	}
	driver, err := drive.Open(ctx, drive.Options{Clients: []drive.Client{{Name: "node", RPC: rpc, Engine: engine}}, Seed: o.seed})
	if err != nil {
		return nil, err
	}
	stream, err := load.NewStream(load.Local(o.seed))
	if err != nil {
		return nil, err
	}
	return &source{rpc: rpc, driver: driver}, driver.Offer(ctx, stream, o.gas)
}

// batch makes the next batch.
func (s *source) batch(ctx context.Context, o options) (batch.Batch, error) {
	s.next++
	b := batch.Batch{Number: s.next, Config: genesis.LocalConfig()}
	var parts []*witness.Witness
	for range o.blocks {
		made, err := s.driver.Next(ctx)
		if err != nil {
			return b, err
		}
		var raw hexutil.Bytes
		if err := s.rpc.Call(ctx, &raw, "debug_getRawBlock", hexutil.Uint64(made.Number)); err != nil {
			return b, err
		}
		block := new(types.Block)
		if err := rlp.DecodeBytes(raw, block); err != nil {
			return b, err
		}
		request, err := ethrpc.EncodeRequest("debug_executionWitness", hexutil.Uint64(made.Number))
		if err != nil {
			return b, err
		}
		answer, err := s.rpc.Post(ctx, request, nil)
		if err != nil {
			return b, err
		}
		w, err := witness.Decode(bytes.NewReader(answer))
		if err != nil {
			return b, fmt.Errorf("witness of block %d: %w", made.Number, err)
		}
		b.Blocks, parts = append(b.Blocks, block), append(parts, w)
	}
	b.Witness = batch.Merge(parts...)
	return b, nil
}

// record asks for every batch through a recording proxy.
func (s *source) record(ctx context.Context, o options, dir string, progress io.Writer) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var lns [2]net.Listener
	for i := range lns {
		if lns[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return err
		}
		defer lns[i].Close()
	}
	upstream := lns[0].Addr().String()
	recorder, err := coordinator.Record(dir, upstream, "bench/replay", time.Now())
	if err != nil {
		return err
	}
	ended := make(chan error, len(lns))
	var current batch.Batch
	go func() {
		ended <- coordinator.Serve(ctx, lns[0], coordinator.Limits{}, func(_ context.Context, _ coordinator.Received, w io.Writer) error {
			return batch.Respond(w, current.Number, func(w io.Writer) error { return batch.Encode(w, current) })
		}, nil)
	}()
	go func() {
		ended <- (&coordinator.Proxy{Upstream: upstream, Recorder: recorder}).Serve(ctx, lns[1])
	}()
	for range max(o.sameBatches, o.slowedBatches) {
		if current, err = s.batch(ctx, o); err != nil {
			break
		}
		request := coordinator.Request(coordinator.BatchRequest, strings.Repeat("0", 40), "Exec")
		var m coordinator.Message
		if m, _, err = coordinator.Ask(ctx, lns[1].Addr().String(), request, io.Discard); err != nil {
			break
		}
		fmt.Fprintf(progress, "recorded batch %d: %d blocks, %.1f MB\n", m.Batch, len(current.Blocks), float64(m.Size)/1e6)
	}
	cancel()
	return errors.Join(err, <-ended, <-ended, recorder.Close())
}
