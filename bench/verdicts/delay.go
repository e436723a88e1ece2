package main

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/verdict-bench/verdict/internal/chaintest"
)

// The distribution of the delays, after noise model M6 of the method. Its
// additive part, a hundredth of a latency there, is left out.
const (
	// spread is the standard deviation between blocks, on the log scale; both
	// sides have it in common.
	spread = 0.4
	// jitter is that of each answer around its block.
	jitter = 0.08
	// stalls is the share of answers that take 1+E times as long, E
	// exponential with mean 1.
	stalls = 0.04
)

// delays are the known delays of two servers, a pure function of seed, stream
// and block.
type delays struct {
	base         time.Duration
	seed, stream uint64
	// factors are what each server takes longer: effect and offset.
	factors [2]float64
}

// at is how long each server delays its answer for a block. A generator for
// each block, keyed by all three numbers, makes it independent of the order
// and number of the questions.
func (d *delays) at(number uint64) [2]time.Duration {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[0:], d.seed)
	binary.LittleEndian.PutUint64(key[8:], d.stream)
	binary.LittleEndian.PutUint64(key[16:], number)
	rng := rand.New(rand.NewChaCha8(key))
	block := spread * rng.NormFloat64()
	var out [2]time.Duration
	for i := range out {
		y := block + jitter*rng.NormFloat64()
		if rng.Float64() < stalls {
			y += math.Log1p(rng.ExpFloat64())
		}
		out[i] = time.Duration(float64(d.base) * math.Exp(y) * d.factors[i])
	}
	return out
}

// spin is how long before its end a wait stops to sleep: a timer is late by up
// to 1.1 milliseconds.
const spin = 1500 * time.Microsecond

// waitUntil returns at due and says how late it is.
func waitUntil(due time.Time) (late time.Duration) {
	time.Sleep(time.Until(due) - spin)
	for time.Now().Before(due) {
	}
	return time.Since(due)
}

// servers are two execution clients with the same chain and known delays. A
// block comes whenever both are asked for their heads.
type servers struct {
	nodes  [2]*chaintest.Node
	delays *delays

	mu sync.Mutex
	// late is by how much each wait overran.
	late []time.Duration
}

// ahead bounds how far the heads get ahead of what is measured: the program
// leaves out blocks that are a hundred behind.
const ahead = 16

func startServers(d *delays) (*servers, error) {
	s := &servers{delays: d}
	for i := range s.nodes {
		n, err := chaintest.Start(1)
		if err != nil {
			s.stop()
			return nil, err
		}
		s.nodes[i] = n
		n.Grow(ahead)
		n.Answering(func(number uint64, received time.Time) {
			late := waitUntil(received.Add(d.at(number)[i]))
			s.mu.Lock()
			defer s.mu.Unlock()
			s.late = append(s.late, late)
		})
	}
	return s, nil
}

func (s *servers) stop() {
	for _, n := range s.nodes {
		if n != nil {
			n.Stop()
		}
	}
}

// overruns are by how much each wait was longer than its delay.
func (s *servers) overruns() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.late)
}
