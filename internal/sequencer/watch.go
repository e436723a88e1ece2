package sequencer

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/verdict-bench/verdict/internal/l1"
)

// watcher looks for deposits on the L1.
type watcher struct {
	l1       *l1.Client
	deposits *deposits
	log      *slog.Logger

	bridge   common.Address
	interval time.Duration
	// delay is how many blocks of the L1 have to lie on a deposit's before it
	// counts.
	delay uint64
	// from is the first block of the L1 that was not looked at. It is not kept
	// on disk: what is known already is passed over by its id.
	from uint64
}

// run looks at once and then each interval, until ctx ends. An L1 that does not
// answer is waited for.
func (w *watcher) run(ctx context.Context) error {
	for {
		if err := w.look(ctx); err != nil && ctx.Err() == nil {
			w.log.Error(fmt.Sprintf("L1 watcher: %v", err))
		}
		if err := pause(ctx, w.interval); err != nil {
			return err
		}
	}
}

// look takes what is new.
func (w *watcher) look(ctx context.Context) error {
	head, err := w.l1.Head(ctx)
	if err != nil {
		return err
	}
	if head < w.delay || head-w.delay < w.from {
		return nil
	}
	to := head - w.delay
	found, err := w.l1.Deposits(ctx, w.bridge, w.from, to)
	if err != nil {
		return err
	}
	for _, d := range found {
		fresh, err := w.deposits.add(d)
		if err != nil {
			return err
		}
		if fresh {
			w.log.Info(fmt.Sprintf("Initiating mint transaction for %x with value %x and transactionId: %d", d.To, d.Wei, d.ID))
		}
	}
	w.from = to + 1
	return nil
}
