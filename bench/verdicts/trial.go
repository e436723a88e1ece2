package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"
)

// The kinds of trials.
const (
	kindSame   = "A/A"
	kindEffect = "effect"
	kindSwap   = "swap"
)

// sessions is the number of runs in one set with exchanged hosts: the first
// and the last with the baseline on the first host, the others exchanged.
const sessions = 4

// trial is one run of the program.
type trial struct {
	Kind string `json:"kind"`
	// Run counts the trials of a kind, Session the runs of a set, both from 0.
	Run     int `json:"run"`
	Session int `json:"session"`
	// Swapped says that the baseline is on the second host.
	Swapped bool `json:"swapped,omitempty"`
	Blocks  int  `json:"-"`
}

func (t *trial) name() string {
	name := map[string]string{kindSame: "aa", kindEffect: "effect", kindSwap: "swap"}[t.Kind]
	name = fmt.Sprintf("%s-%02d", name, t.Run+1)
	if t.Kind == kindSwap {
		name += fmt.Sprintf("-%d", t.Session+1)
	}
	return name
}

// stream keeps the random numbers of the trials apart.
func (t *trial) stream() uint64 {
	kind := slices.Index([]string{kindSame, kindEffect, kindSwap}, t.Kind)
	return uint64(t.Run)<<16 | uint64(t.Session)<<8 | uint64(kind)
}

// trials are all runs in the order in which they are made: the kinds in turn,
// so that what changes on the machine meets all of them.
func (o *options) trials() []trial {
	var out []trial
	for i := range max(o.runs, o.swaps) {
		if i < o.runs {
			out = append(out, trial{Kind: kindSame, Run: i, Blocks: o.blocks})
			if !o.local {
				out = append(out, trial{Kind: kindEffect, Run: i, Blocks: o.blocks})
			}
		}
		for s := 0; i < o.swaps && s < sessions; s++ {
			out = append(out, trial{Kind: kindSwap, Run: i, Session: s, Swapped: s == 1 || s == 2, Blocks: o.blocks / sessions})
		}
	}
	return out
}

// delays are those of the two hosts in a trial.
func (o *options) delays(t *trial) *delays {
	d := &delays{base: o.base, seed: o.seed, stream: t.stream(), factors: [2]float64{1, 1}}
	if t.Kind != kindSame {
		d.factors[t.test()] *= 1 + o.effect
	}
	if t.Kind == kindSwap {
		d.factors[1] *= 1 + o.offset
	}
	return d
}

// test is the host that has the test build.
func (t *trial) test() int {
	if t.Swapped {
		return 0
	}
	return 1
}

// measured is what came of a trial.
type measured struct {
	trial
	Outcome string  `json:"outcome"`
	Effect  effect  `json:"effect"`
	Pairs   int     `json:"pairs"`
	Seconds float64 `json:"seconds"`
	program string
	// d are the log ratios as measured, drawn as the delays had them.
	d, drawn []float64
	// extra is by how much each measured latency exceeds its delay, late by
	// how much the server overran it.
	extra, late []time.Duration
}

// runAll makes the trials, some at a time, and stops at the first that fails.
func (r *result) runAll(ctx context.Context, p *program, progress io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	all := r.options.trials()
	queue := make(chan trial)
	var workers sync.WaitGroup
	var mu sync.Mutex
	for range r.options.parallel {
		workers.Go(func() {
			for t := range queue {
				m, err := r.options.measure(ctx, p, &t)
				if err != nil {
					cancel(fmt.Errorf("%s: %w", t.name(), err))
					continue
				}
				mu.Lock()
				r.trials = append(r.trials, m)
				fmt.Fprintf(progress, "%d of %d: %s\n", len(r.trials), len(all), m)
				mu.Unlock()
			}
		})
	}
	for _, t := range all {
		select {
		case queue <- t:
		case <-ctx.Done():
		}
	}
	close(queue)
	workers.Wait()
	slices.SortFunc(r.trials, func(a, b *measured) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Run, b.Run), cmp.Compare(a.Session, b.Session))
	})
	return context.Cause(ctx)
}

// String tells how a trial ended, in one line. A session with exchanged hosts
// is too short for a verdict of its own.
func (m *measured) String() string {
	s := m.name() + ": "
	if m.Kind != kindSwap {
		s += m.Outcome + ", "
	}
	if e := &m.Effect; e.exists() {
		low, high := e.bounds()
		s += fmt.Sprintf("%.4f [%.4f, %.4f], ", *e.Ratio, math.Exp(low), math.Exp(high))
	}
	return s + fmt.Sprintf("%d pairs, %.1f s", m.Pairs, m.Seconds)
}

// measure makes one trial.
func (o *options) measure(ctx context.Context, p *program, t *trial) (*measured, error) {
	args := []string{"--blocks", strconv.Itoa(t.Blocks), "--warmup", strconv.Itoa(o.warmUp)}
	var s *servers
	if o.local {
		args = append(args, "--local", "--baseline-witness", "serialized", "--test-witness", "serialized")
		if o.gas > 0 {
			args = append(args, "--gas", strconv.FormatUint(o.gas, 10))
		}
	} else {
		var err error
		if s, err = startServers(o.delays(t)); err != nil {
			return nil, err
		}
		defer s.stop()
		args = append(args, "--baseline-rpc", s.nodes[1-t.test()].URL(), "--test-rpc", s.nodes[t.test()].URL(),
			"--verify-every", "0", "--settle", "0s", "--patience", "30s")
	}
	start := time.Now()
	r, dir, err := p.witness(ctx, t.name(), o.seed<<32|t.stream(), args...)
	if err != nil {
		return nil, err
	}
	m := &measured{trial: *t, Outcome: r.Outcome, Effect: r.Effect, Pairs: r.Pairs,
		Seconds: time.Since(start).Seconds(), program: r.Manifest.Program}
	if s != nil {
		got, err := latencies(dir)
		if err != nil {
			return nil, err
		}
		m.hold(got, s)
	}
	return m, p.dispose(dir, o.out)
}

// dispose removes a run directory that nobody asked to keep.
func (p *program) dispose(dir, keep string) error {
	if keep != "" {
		return nil
	}
	return os.RemoveAll(dir)
}

// hold compares the measured latencies with the delays.
func (m *measured) hold(got [2]map[uint64]time.Duration, s *servers) {
	m.late = s.overruns()
	for _, number := range slices.Sorted(maps.Keys(got[0])) {
		base, test := got[0][number], got[1][number]
		if test == 0 {
			continue // the block has no pair
		}
		hosts := s.delays.at(number)
		known := [2]time.Duration{hosts[1-m.test()], hosts[m.test()]}
		m.d = append(m.d, math.Log(float64(test)/float64(base)))
		m.drawn = append(m.drawn, math.Log(float64(known[1])/float64(known[0])))
		m.extra = append(m.extra, base-known[0], test-known[1])
	}
}
