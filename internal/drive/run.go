package drive

import (
	"context"
	"time"
)

// Pace says how many blocks Run makes, and when.
type Pace struct {
	// Blocks is the number of blocks; 0 is no end.
	Blocks int
	// Slot is the time from one block to the next. When a block takes longer,
	// slots are left out. Zero means at once.
	Slot time.Duration
}

// Run makes blocks until there are enough, ctx ends or each returns an error.
// It calls each after every block; in lockstep the next block waits for it.
// When ctx ends, the error is its error and no client is behind another.
func Run(ctx context.Context, d *Driver, p Pace, each func(Block) error) error {
	start := time.Now()
	for n := 0; p.Blocks == 0 || n < p.Blocks; n++ {
		if err := untilSlot(ctx, start, p.Slot); err != nil {
			return err
		}
		b, err := d.Next(ctx)
		switch {
		case err != nil && ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return err
		}
		if err := each(b); err != nil {
			return err
		}
	}
	return nil
}

// untilSlot waits for the next whole multiple of slot since start.
func untilSlot(ctx context.Context, start time.Time, slot time.Duration) error {
	if slot <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(slot - time.Since(start)%slot)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
