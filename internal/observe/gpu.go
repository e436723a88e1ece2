package observe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/sample"
)

const (
	smi = "nvidia-smi"
	// probeTimeout bounds the question for the fields. Without persistence
	// mode the driver is loaded first, which takes seconds on large machines.
	probeTimeout = 30 * time.Second
	// smiRest is the pause before a program that failed is started again, and
	// smiSilence how long one may print nothing.
	smiRest    = 30 * time.Second
	smiSilence = time.Minute
	// smiGrace is how long it has to end when told to.
	smiGrace = 2 * time.Second
	// freshFor is for how many pauses a reading counts as the newest one: the
	// program's clock and the collector's are not the same.
	freshFor = 3
)

// reading is what one GPU told last.
type reading struct {
	gpu sample.GPU
	at  time.Time
}

// gpus keeps an nvidia-smi running that prints a line for each GPU again and
// again, which costs the machine less than to start one each time.
type gpus struct {
	every, rest, silence time.Duration

	mu     sync.Mutex
	latest map[int]reading
	// heard is when a reading last came; odd is the first line since then that
	// was none.
	heard time.Time
	odd   string
}

func newGPUs(every time.Duration) *gpus {
	return &gpus{every: every, rest: smiRest, silence: max(smiSilence, 5*every), latest: make(map[int]reading)}
}

// newest are the readings of all GPUs that are no older than they may be, by
// index; nil without any.
func (g *gpus) newest(now time.Time) []sample.GPU {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []sample.GPU
	for _, r := range g.latest {
		if now.Sub(r.at) <= freshFor*g.every {
			out = append(out, r.gpu)
		}
	}
	slices.SortFunc(out, func(a, b sample.GPU) int { return a.Index - b.Index })
	return out
}

// run keeps the program running until ctx ends. notice is told when there is
// none, or none that answers, once until readings come again; its error ends
// run.
func (g *gpus) run(ctx context.Context, notice func(message string) error) error {
	starter := host.NewChildren()
	defer starter.Close()
	last := ""
	for {
		begun := time.Now()
		err := g.attempt(ctx, starter)
		if ctx.Err() != nil {
			return nil
		}
		g.mu.Lock()
		again := g.heard.Before(begun) // no reading since
		g.mu.Unlock()
		if message := err.Error(); !again || message != last {
			last = message
			if err := notice(message); err != nil {
				return err
			}
		}
		select {
		case <-time.After(g.rest):
		case <-ctx.Done():
			return nil
		}
	}
}

// attempt starts the program and returns why it printed no more readings.
func (g *gpus) attempt(ctx context.Context, starter *host.Children) error {
	q, err := g.probe(ctx, starter)
	if err != nil {
		return err
	}
	g.mu.Lock()
	g.odd = ""
	g.mu.Unlock()
	lines := &lineWriter{each: func(line string) { g.take(&q, line) }}
	p, err := starter.Start(host.Command{Name: smi, Output: lines, Argv: []string{
		smi, "--query-gpu=" + strings.Join(q.names, ","), "--format=csv,noheader,nounits",
		"--loop-ms=" + strconv.FormatInt(g.every.Milliseconds(), 10),
	}})
	if err != nil {
		return err
	}
	defer stop(p)
	ticker := time.NewTicker(g.every)
	defer ticker.Stop()
	begun := time.Now()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.Done():
			return g.why(p.Failure())
		case <-ticker.C:
			if silent := g.silent(begun); silent > g.silence {
				return g.why(fmt.Errorf("%s has given no reading for %v", smi, g.silence))
			}
		}
	}
}

// take notes one line of the program.
func (g *gpus) take(q *query, line string) {
	gpu, ok := q.parse(line)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case ok:
		g.heard, g.odd = time.Now(), ""
		g.latest[gpu.Index] = reading{gpu, g.heard}
	case g.odd == "":
		g.odd = firstLine(line)
	}
}

// silent is how long no reading came.
func (g *gpus) silent(begun time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.heard.After(begun) {
		begun = g.heard
	}
	return time.Since(begun)
}

// why says why there are no readings: what the program itself printed tells
// more than how it ended.
func (g *gpus) why(err error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.odd != "" {
		return errors.New(smi + ": " + g.odd)
	}
	if ended := (*host.ExitError)(nil); errors.As(err, &ended) {
		return errors.New(smi + " " + ended.How)
	}
	if err == nil {
		return errors.New(smi + " ended")
	}
	return err
}

// probe asks which fields the driver knows.
func (g *gpus) probe(ctx context.Context, starter *host.Children) (query, error) {
	var help bytes.Buffer
	p, err := starter.Start(host.Command{Name: smi, Output: &help, Argv: []string{smi, "--help-query-gpu"}})
	if err != nil {
		return query{}, err
	}
	defer stop(p)
	limit := time.NewTimer(probeTimeout)
	defer limit.Stop()
	select {
	case <-p.Done():
	case <-ctx.Done():
		return query{}, ctx.Err()
	case <-limit.C:
		return query{}, fmt.Errorf("%s does not answer within %v", smi, probeTimeout)
	}
	if err := p.Failure(); err != nil {
		g.mu.Lock()
		g.odd = firstLine(help.String())
		g.mu.Unlock()
		return query{}, g.why(err)
	}
	return chooseColumns(help.String())
}

// stop ends the program. One that hangs in a driver that hangs cannot even be
// killed: it is not waited for longer than that takes, and ends when it can.
func stop(p *host.Process) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.Stop(smiGrace) // that it had to be killed is nothing to act on
	}()
	select {
	case <-ended:
	case <-time.After(2 * smiGrace):
	}
}

// lineWriter hands on the lines that are written to it, each whole.
type lineWriter struct {
	each func(line string)
	held []byte
}

// Write never fails. What is too long for a line is cut.
func (w *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for {
		part, rest, ended := bytes.Cut(p, []byte("\n"))
		if len(w.held) < longest {
			w.held = append(w.held, part...)
		}
		if !ended {
			return n, nil
		}
		if line := strings.TrimSpace(string(w.held)); line != "" {
			w.each(line)
		}
		w.held, p = w.held[:0], rest
	}
}
