package beacon

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/verdict-bench/verdict/internal/drive"
	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
)

// Following is what a follower follows, and how.
type Following struct {
	// URL is the beacon API of the producer.
	URL string
	// Timeout is how long the producer may take to answer for the first time.
	Timeout time.Duration
	// Distance is how many blocks to stay behind the network's head. It can be
	// changed over HTTP.
	Distance uint64
	// Pace is the least time from one block to the next while catching up.
	Pace time.Duration
	// DataDir keeps the head over a restart; empty for nowhere.
	DataDir string
}

// follower delivers the blocks of a producer to an execution client.
type follower struct {
	*Node
	Following
	source *source
	// driver is nil while the execution client does not answer.
	driver *drive.Driver
	// shown is when the progress was last logged.
	shown time.Time
}

// Follow delivers the blocks of the producer's network to the execution client,
// from that client's head on, until ctx ends; it then returns ctx's cause.
// Once the producer has answered, neither it nor the execution client can end
// the following by not answering.
func (n *Node) Follow(ctx context.Context, o Following) error {
	source, err := newSource(o.URL)
	if err != nil {
		return fault.Newf(fault.Usage, "--checkpoint-sync-url: %w", err)
	}
	defer source.client.Close()
	ctx, release := n.guard(ctx)
	defer release()
	f := &follower{Node: n, Following: o, source: source}
	if err := f.join(ctx); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	for ctx.Err() == nil {
		f.round(ctx)
	}
	return context.Cause(ctx)
}

// join waits for the producer and takes its network.
func (f *follower) join(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, f.Timeout)
	defer cancel()
	var net network
	err := ethrpc.Until(bounded, NotServed, func() error {
		var err error
		if net, err = f.source.network(bounded); err != nil && bounded.Err() == nil {
			f.say(aboutNetwork, slog.LevelWarn, "the network does not answer yet: trying again", "err", err)
		}
		return err
	})
	switch {
	case NotServed(err):
		return fault.Newf(fault.Prerequisite, "--checkpoint-sync-url is not of a beacon that produces a network: %w", err).
			Hint("start one with verdict devnet beacon --produce, or give the URL that it prints")
	case err != nil:
		return fault.Newf(fault.Prerequisite, "--checkpoint-sync-url: no network after %s: %w", f.Timeout, err).
			Hint("start it first: verdict devnet beacon --produce --http-port 5052 --execution-endpoint URL --execution-jwt FILE")
	case f.o.Network != "" && f.o.Network != net.Name:
		return fault.Newf(fault.Usage, "--network %s: the network at %s is %s", f.o.Network, f.source.client.URL(), net.Name)
	}
	head, err := readHead(f.DataDir, net)
	if err != nil {
		return err
	}
	f.update(func(s *status) {
		s.known, s.network, s.peers, s.distance = true, net, 1, f.Distance
		s.head, s.from = head, head.Number
		s.offline = true // until it answers
	})
	f.log.Info("following", "network", net.Name, "at", f.source.client.URL(), "head", net.Head, "slot", net.slot())
	return nil
}

// round brings the execution client as far as it shall be, then waits for
// something to change.
func (f *follower) round(ctx context.Context) {
	if err := f.open(ctx); err != nil {
		f.lose(ctx, err)
		return
	}
	reached, err := f.catchUp(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		f.lose(ctx, err)
	case !reached:
		pause(ctx, retryPause)
		f.look(ctx, 0)
	default:
		f.idle(ctx)
	}
}

// lose notes what went wrong with the execution client and waits a little. The
// driver is opened again after that: where the client stands is then asked.
func (f *follower) lose(ctx context.Context, err error) {
	f.driver = nil
	if ctx.Err() != nil {
		return
	}
	f.trouble(err)
	pause(ctx, retryPause)
	f.look(ctx, 0)
}

// idle waits for a new block. When there is none, it looks whether the
// execution client is still there.
func (f *follower) idle(ctx context.Context) {
	if f.look(ctx, min(f.snapshot().network.slot(), idlePause)) {
		return
	}
	once, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err := f.driver.Check(once); err != nil {
		f.lose(ctx, err)
	}
}

// look asks the producer for its head, for up to wait if it has no new one,
// and reports whether it has.
func (f *follower) look(ctx context.Context, wait time.Duration) (newer bool) {
	before := f.snapshot()
	net, err := f.source.newer(ctx, before.network.Head, wait)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		f.lostPeer(err)
		pause(ctx, retryPause)
	case net.Genesis != before.network.Genesis:
		f.lostPeer(fmt.Errorf("%s is now another network: its genesis is %s, was %s", f.source.client.URL(), net.Genesis, before.network.Genesis))
		pause(ctx, retryPause)
	default:
		f.saw(net.Head)
	}
	return err == nil && net.Head > before.network.Head
}

// saw notes the network's head.
func (f *follower) saw(head uint64) {
	lost := f.snapshot().peers == 0
	f.update(func(s *status) { s.network.Head, s.peers = head, 1 })
	if lost {
		f.say(aboutNetwork, slog.LevelInfo, "the network answers again")
	}
}

// lostPeer notes that the producer does not give what it should. How far the
// network is, stays as it was last known.
func (f *follower) lostPeer(err error) {
	f.update(func(s *status) { s.peers = 0 })
	f.say(aboutNetwork, slog.LevelError, "the network does not answer: trying again", "err", err)
}

// open connects to the execution client, unless that is done.
func (f *follower) open(ctx context.Context) error {
	if f.driver != nil {
		return nil
	}
	d, err := drive.Open(ctx, drive.Options{Clients: []drive.Client{f.client()}, ReadyTimeout: idlePause})
	if err != nil {
		return err
	}
	if want := f.snapshot().network.Genesis; d.Genesis() != want {
		return &otherChainError{0, d.Genesis(), want}
	}
	number, hash := d.Head()
	parent, err := f.parentOf(ctx, number)
	if err != nil {
		return err
	}
	f.driver = d
	f.online()
	f.standOn(block{number, hash, parent})
	f.update(func(s *status) { s.from = number })
	return f.save()
}

// catchUp delivers blocks until the execution client is as far as it shall be.
// reached is false when a block could not be had.
func (f *follower) catchUp(ctx context.Context) (reached bool, err error) {
	for {
		s := f.snapshot()
		if s.head.Number >= s.target() {
			f.arrived(s)
			return true, nil
		}
		began := time.Now()
		p, head, err := f.source.payload(ctx, s.head.Number+1)
		if err != nil {
			if ctx.Err() == nil {
				f.missing(err)
			}
			return false, nil
		}
		f.saw(head)
		if p.ParentHash != s.head.Hash {
			return false, &otherChainError{s.head.Number, s.head.Hash, p.ParentHash}
		}
		b, err := f.driver.Import(ctx, p)
		if err != nil {
			return false, err
		}
		f.standOn(block{b.Number, b.Hash, b.ParentHash})
		f.update(func(s *status) { s.optimistic = false })
		if err := f.save(); err != nil {
			f.say(aboutNetwork, slog.LevelError, "the head cannot be written", "err", err)
		}
		if s = f.snapshot(); s.head.Number < s.target() {
			f.progress(s)
			pause(ctx, f.Pace-time.Since(began))
		}
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
	}
}

// missing notes why a block could not be had.
func (f *follower) missing(err error) {
	if notKept(err) {
		f.say(aboutNetwork, slog.LevelError,
			"the network does not keep the next block any more: start this execution client from a copy of another's data directory", "err", err)
		return
	}
	f.lostPeer(err)
}

// arrived notes that there is nothing to deliver.
func (f *follower) arrived(s status) {
	f.update(func(s *status) { s.optimistic, s.from = false, s.head.Number })
	if s.behind() > MaxDistance {
		f.say(aboutSync, slog.LevelInfo, "Syncing: staying behind as told", "distance", s.distance)
		return
	}
	f.say(aboutSync, slog.LevelInfo, "Synced")
}

// progress logs now and then how far there is to go.
func (f *follower) progress(s status) {
	const every = 5 * time.Second
	if !s.syncing() || time.Since(f.shown) < every {
		return
	}
	f.shown = time.Now()
	f.say(aboutSync, slog.LevelInfo, "Syncing", "distance", s.behind(), "head", s.head.Number)
}

// save keeps the head over a restart.
func (f *follower) save() error {
	if f.DataDir == "" {
		return nil
	}
	s := f.snapshot()
	return writeHead(f.DataDir, headFile{Network: s.network.Name, Genesis: s.network.Genesis, Head: s.head})
}

// headFile is what a follower keeps on disk.
type headFile struct {
	Network string      `json:"network"`
	Genesis common.Hash `json:"genesis"`
	Head    block       `json:"head"`
}
