package bench

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/verdict-bench/verdict/internal/collect"
	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
)

// meter is the sampler of one side with a client for everything that is not
// timed.
type meter struct {
	side    sample.Side
	sampler *collect.Sampler
	rpc     *ethrpc.Client
}

func newMeter(side sample.Side, rawURL, hostname string, s *spec.Witness) (*meter, error) {
	sampler, err := collect.NewSampler(rawURL, collect.Options{
		Side: side, Host: hostname,
		MeterOptions: ethrpc.MeterOptions{Timeout: s.Timeout, Gzip: s.Gzip},
	})
	if err != nil {
		return nil, err
	}
	rpc, err := ethrpc.NewClient(rawURL)
	if err != nil {
		return nil, errors.Join(err, sampler.Close())
	}
	return &meter{side: side, sampler: sampler, rpc: rpc}, nil
}

func (m *meter) close() error {
	m.rpc.Close()
	return m.sampler.Close()
}

// target is a block that both sides have.
type target struct {
	block collect.Block
	// seen is when each side was first known to have it, behind how far it was
	// behind that side's head.
	seen   [2]time.Time
	behind [2]uint64
	// importNS is how long each side took to import it, 0 if unknown.
	importNS [2]int64
}

// orders draws which side is asked first.
type orders struct{ rng *rand.Rand }

// newOrders draws from the recorded seed. The second word keeps this stream
// apart from others that are seeded by the same number.
func newOrders(seed uint64) *orders {
	return &orders{rand.New(rand.NewPCG(seed, 0x6f72646572))}
}

// draw returns the two side indexes in the order in which they are asked.
func (o *orders) draw() [2]int {
	if o.rng.IntN(2) == 0 {
		return [2]int{0, 1}
	}
	return [2]int{1, 0}
}

// measure measures n blocks on both sides. It counts blocks, not valid pairs:
// a side that always fails must not keep the run going for ever.
func (r *runner) measure(ctx context.Context, s plan.Step, n int) (err error) {
	warmUp := s.Kind() == plan.WarmUp
	if r.watch, err = r.newWatch(s, n); err != nil {
		return err
	}
	var last *proof
	defer func() { err = errors.Join(err, r.settle(last)) }()
	for done := range n {
		if !warmUp && r.mayStop() {
			r.Progress(r.watch.progress(done))
			return nil
		}
		t, err := r.source.next(ctx, func(note string, waiting time.Duration) {
			p := r.watch.progress(done)
			p.Note, p.Waiting = note, waiting
			r.Progress(p)
		})
		if err != nil {
			return err
		}
		// The last pair was proved while the next block was being made; no
		// proof runs while a request is timed.
		err, last = r.settle(last), nil
		if err != nil {
			return err
		}
		r.Progress(r.watch.progress(done))
		if last, err = r.pair(ctx, t, warmUp); err != nil {
			return err
		}
		if !plan.Driven(r.Spec.Place) {
			// The next block may be long in coming.
			err, last = r.settle(last), nil
			if err != nil {
				return err
			}
		}
	}
	err, last = r.settle(last), nil
	r.Progress(r.watch.progress(n))
	return err
}

// mayStop reports whether the sequence has decided and the registered rule lets
// the run end then. A shift between the places forbids it: the sequence is not
// corrected by the A/A control.
func (r *runner) mayStop() bool {
	return r.Spec.Stop == spec.Auto && r.control == "" && r.watch.monitor.Decided() && r.watch.quiet
}

// pair measures one block on both sides, one after the other, and begins to
// prove the answers.
func (r *runner) pair(ctx context.Context, t target, warmUp bool) (*proof, error) {
	p := &proof{done: make(chan struct{})}
	var bodies [2]*ethrpc.Body
	order := r.orders.draw()
	for place, i := range order {
		s, body, err := r.meters[i].sampler.Measure(ctx, collect.Ask{
			Block: t.block, Seen: t.seen[i], Behind: t.behind[i],
			Order: place + 1, WarmUp: warmUp,
		})
		if err != nil {
			if place == 1 { // the side that was asked first has its sample
				err = errors.Join(err, r.record(order[0], sample.Record{V: sample.Version, Sample: &p.samples[order[0]]}))
			}
			return nil, err
		}
		s.ImportNS = t.importNS[i]
		p.samples[i], bodies[i] = s, body
	}
	go func() {
		defer close(p.done)
		p.err = r.verifier.check(ctx, t.block, &p.samples, bodies)
	}()
	return p, nil
}

// proof is a measured pair whose answers are being proved. Its samples are
// stored when that is done.
type proof struct {
	samples [2]sample.Sample
	done    chan struct{}
	err     error
}

// settle waits for a proof and stores its samples, also when it failed: they
// were measured. A nil proof is settled.
func (r *runner) settle(p *proof) error {
	if p == nil {
		return nil
	}
	<-p.done
	err := p.err
	for i := range p.samples {
		err = errors.Join(err, r.record(i, sample.Record{V: sample.Version, Sample: &p.samples[i]}))
	}
	if err != nil {
		return err
	}
	return r.watch.add(&p.samples[0], &p.samples[1])
}

// record stores a record before anything is computed from it.
func (r *runner) record(side int, rec sample.Record) error {
	if rec.Sample != nil {
		rec.Sample.Control = r.control
	}
	if err := r.Run.Append(sample.Sides[side], rec); err != nil {
		return err
	}
	r.records[side] = append(r.records[side], rec)
	return nil
}
