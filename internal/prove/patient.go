package prove

import (
	"context"
	"io/fs"
	"syscall"
	"time"

	"github.com/verdict-bench/verdict/internal/host"
)

// patience is how long a lost connection is tried again before this process
// leaves the run to itself.
const patience = 5 * time.Minute

// patient is a host that is asked again while the connection to it is lost, as
// long as patience lasts. All that a run asks can be asked twice: scripts look
// first what is done already.
type patient struct {
	host.Host
	// say tells that the connection was lost, and that it is back.
	say func(format string, args ...any)
}

func (p patient) retry(ctx context.Context, f func(context.Context) error) error {
	var since time.Time
	err := host.Retry(ctx, patience, func(err error, _ time.Duration) {
		if since.IsZero() {
			since = time.Now()
			p.say("%v; trying again for %v", err, patience)
		}
	}, f)
	if err == nil && !since.IsZero() {
		p.say("%s answers again, after %v", p.Name(), time.Since(since).Round(time.Second))
	}
	return err
}

// Run is the host's, asked again.
func (p patient) Run(ctx context.Context, script string) (out []byte, err error) {
	err = p.retry(ctx, func(ctx context.Context) (err error) {
		out, err = p.Host.Run(ctx, script)
		return err
	})
	return out, err
}

// Start is the host's, asked again.
func (p patient) Start(ctx context.Context, program host.Program) (id host.Identity, err error) {
	err = p.retry(ctx, func(ctx context.Context) (err error) {
		id, err = p.Host.Start(ctx, program)
		return err
	})
	return id, err
}

// Find is the host's, asked again.
func (p patient) Find(ctx context.Context, dir, name string) (id host.Identity, st host.State, err error) {
	err = p.retry(ctx, func(ctx context.Context) (err error) {
		id, st, err = p.Host.Find(ctx, dir, name)
		return err
	})
	return id, st, err
}

// Stop is the host's, asked again.
func (p patient) Stop(ctx context.Context, id host.Identity, signal syscall.Signal, grace time.Duration) (killed bool, err error) {
	err = p.retry(ctx, func(ctx context.Context) (err error) {
		killed, err = p.Host.Stop(ctx, id, signal, grace)
		return err
	})
	return killed, err
}

// ReadFrom is the host's, asked again.
func (p patient) ReadFrom(ctx context.Context, path string, offset int64, limit int) (data []byte, err error) {
	err = p.retry(ctx, func(ctx context.Context) (err error) {
		data, err = p.Host.ReadFrom(ctx, path, offset, limit)
		return err
	})
	return data, err
}

// Put is the host's, asked again.
func (p patient) Put(ctx context.Context, local, remote string, mode fs.FileMode) error {
	return p.retry(ctx, func(ctx context.Context) error { return p.Host.Put(ctx, local, remote, mode) })
}

// Fetch is the host's, asked again.
func (p patient) Fetch(ctx context.Context, remote, local string) error {
	return p.retry(ctx, func(ctx context.Context) error { return p.Host.Fetch(ctx, remote, local) })
}

// Forward is the host's, asked again.
func (p patient) Forward(ctx context.Context, address string) (local string, stop func() error, err error) {
	err = p.retry(ctx, func(ctx context.Context) (err error) {
		local, stop, err = p.Host.Forward(ctx, address)
		return err
	})
	return local, stop, err
}
