package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// The pauses between attempts to reach a host again.
const (
	firstPause = 500 * time.Millisecond
	maxPause   = 15 * time.Second
	// chunk is the most that Follow reads at once, in bytes.
	chunk = 1 << 20
)

// Waiting is told that a host cannot be reached, and that it is tried again
// after pause. A nil Waiting is told nothing.
type Waiting func(err error, pause time.Duration)

// Lost reports whether err is a connection that was lost and that may come
// back.
func Lost(err error) bool {
	var lost *LostError
	return errors.As(err, &lost) && !lost.Hopeless
}

// Retry does f, and again while the connection is lost, for as long as patience
// since its first attempt. It is for what may be done twice: after a lost
// connection nobody knows whether it was done. Every other error, and the last
// loss, is returned.
func Retry(ctx context.Context, patience time.Duration, waiting Waiting, f func(context.Context) error) error {
	begin := time.Now()
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		err := f(ctx)
		if !Lost(err) {
			return err
		}
		left := patience - time.Since(begin)
		if left <= 0 {
			return fmt.Errorf("gave up after %v: %w", patience, err)
		}
		wait := min(pause, left)
		if waiting != nil {
			waiting(err, wait)
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// FollowOptions say how a file is followed.
type FollowOptions struct {
	// Every is the pause between two looks at the file.
	Every time.Duration
	// Patience is how long a lost connection is tried again before it is an
	// error.
	Patience time.Duration
	Waiting  Waiting
}

// Follow calls each with what the file at path holds from offset on, and with
// what is appended, in order and nothing twice, until ctx ends or each returns
// an error; that error is returned. A file that is not there yet is waited for.
// A connection that was lost is made again; a file that was cut is a
// *ShrunkError. p is valid until each returns.
func Follow(ctx context.Context, h Host, path string, offset int64, o FollowOptions, each func(p []byte) error) error {
	for {
		var p []byte
		err := Retry(ctx, o.Patience, o.Waiting, func(ctx context.Context) (err error) {
			p, err = h.ReadFrom(ctx, path, offset, chunk)
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if len(p) > 0 {
			if err := each(p); err != nil {
				return err
			}
			offset += int64(len(p))
		}
		if len(p) == chunk {
			continue
		}
		if err := sleep(ctx, o.Every); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
