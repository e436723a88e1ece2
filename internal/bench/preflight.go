package bench

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/collect"
	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/journal"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/stateless"
	"github.com/verdict-bench/verdict/internal/store"
)

// preflight reaches both sides, makes sure that they can be compared, and sets
// up everything that the measurement needs.
func (r *runner) preflight(ctx context.Context) error {
	urls := [2]string{r.Spec.Baseline.RPC, r.Spec.Test.RPC}
	if r.control != "" {
		urls[1] = urls[0]
	}
	if plan.Driven(r.Spec.Place) {
		c, local, err := r.openChain(ctx)
		if err != nil {
			return r.explain(err)
		}
		r.source, urls = c, local
	}
	var rpcs [2]*ethrpc.Client
	for i, side := range sample.Sides {
		m, err := newMeter(side, urls[i], r.manifest.Environment.Hostname, &r.Spec)
		if err != nil {
			return fault.As(fault.Usage, err)
		}
		r.onCleanUp(m.close)
		r.meters[i], rpcs[i] = m, m.rpc
	}
	chainID, err := r.inspect(ctx)
	if err != nil {
		return err
	}
	if r.verifier, err = newVerifier(r.Spec.VerifyEvery, chainID, r.Spec.Genesis, rpcs); err != nil {
		return err
	}
	if r.Spec.Place == spec.Attached {
		if err := r.tryWitness(ctx); err != nil {
			return err
		}
		r.source = newHeads(r.meters, r.Spec.Patience, r.Spec.Settle, r.record)
	}
	r.onCleanUp(r.source.close)
	return r.Run.WriteJSON(store.StartName, r.manifest)
}

// tryWitness asks each server for the witness of its newest block, so that one
// that cannot serve any is refused with its own reason. A block can vanish in a
// reorg, or be refused for a moment, so there are some tries. The genesis block
// was not executed and has no witness; a chain that is only there passes.
func (r *runner) tryWitness(ctx context.Context) error {
	const (
		tries   = 3
		between = 200 * time.Millisecond
	)
	for i, m := range r.meters {
		var s sample.Sample
		for try := 0; try < tries && s.Status != sample.OK; try++ {
			if try > 0 {
				if err := journal.Pause(ctx, between); err != nil {
					return err
				}
			}
			head, err := m.sampler.Head(ctx)
			if err != nil {
				return fault.Newf(fault.Prerequisite, "the %s server (%s): %w", sample.Sides[i], m.sampler.URL(), err)
			}
			if head == 0 {
				s.Status = sample.OK
				break
			}
			block, err := m.sampler.Block(ctx, head)
			if err != nil {
				return fault.Newf(fault.Prerequisite, "the %s server (%s): %w", sample.Sides[i], m.sampler.URL(), err)
			}
			if s, _, err = m.sampler.Measure(ctx, collect.Ask{Block: block}); err != nil {
				return err
			}
		}
		if s.Status != sample.OK {
			return fault.Newf(fault.Prerequisite, "the %s server (%s) answers debug_executionWitness of its newest block with %s: %s",
				sample.Sides[i], m.sampler.URL(), s.Status, s.Failure.Message).
				Hint("verdict check --rpc URL --block latest shows what that server says")
		}
	}
	return nil
}

// explain puts the end of a node's log under an error that it caused.
func (r *runner) explain(err error) error {
	for _, n := range r.nodes {
		if n == nil {
			continue
		}
		select {
		case <-n.process.Done():
			return fault.As(fault.Prerequisite, n.process.Exit())
		default:
		}
	}
	return err
}

// inspect asks both servers what they are, notes it in the manifest, and
// refuses two that cannot be compared.
func (r *runner) inspect(ctx context.Context) (chainID uint64, err error) {
	var servers [2]collect.Server
	var genesis [2]string
	for i, m := range r.meters {
		if servers[i], err = m.sampler.Preflight(ctx); err != nil {
			return 0, fmt.Errorf("the %s server: %w", sample.Sides[i], err)
		}
		if genesis[i], err = genesisHash(ctx, m.rpc); err != nil {
			return 0, fault.Newf(fault.Prerequisite, "the %s server (%s): %w", sample.Sides[i], m.sampler.URL(), err)
		}
		r.describe(i, servers[i].Version)
	}
	switch {
	case servers[0].ChainID != servers[1].ChainID:
		return 0, fault.Newf(fault.Prerequisite, "the servers are on different chains: baseline %d, test %d", servers[0].ChainID, servers[1].ChainID).
			Hint("point --baseline-rpc and --test-rpc at servers of the same network")
	case genesis[0] != genesis[1]:
		return 0, fault.Newf(fault.Prerequisite, "the servers have chain id %d but different genesis blocks: baseline %s, test %s",
			servers[0].ChainID, genesis[0], genesis[1])
	}
	r.manifest.ChainID = servers[0].ChainID
	r.manifest.Network = stateless.NetworkName(servers[0].ChainID)
	return servers[0].ChainID, nil
}

// describe fills in what is known of one side.
func (r *runner) describe(i int, version string) {
	s, m := &r.manifest.Sides[i], r.Spec.Side(sample.Sides[i])
	s.RPC = r.meters[i].sampler.URL()
	s.Version, s.Witness = version, string(m.Witness)
	switch {
	case r.Spec.Place == spec.Devnet: // startProgram has told
	case m.Witness == "":
		s.Ref = m.Ref
	default:
		s.Ref = fmt.Sprintf("built-in node, witnesses %s", m.Witness)
	}
	u, err := url.Parse(s.RPC)
	if err != nil || loopback(u.Hostname()) {
		return
	}
	s.Host = u.Hostname()
}

// loopback reports whether a server of that name is on this machine.
func loopback(name string) bool {
	hostname, _ := os.Hostname()
	return name == "localhost" || name == "::1" || name == hostname || strings.HasPrefix(name, "127.")
}
