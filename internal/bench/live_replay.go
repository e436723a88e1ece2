package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/intake"
	"github.com/verdict-bench/verdict/internal/journal"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/program"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/shell"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/store"
)

// byReplay reports whether ethrex-replay does the measuring.
func (r *runner) byReplay() bool {
	return r.Spec.Servers != nil && r.Spec.Servers.Collector == spec.EthrexReplay
}

// replayLog is where what an ethrex-replay has printed is kept.
func (r *runner) replayLog(side sample.Side) string {
	return filepath.Join(r.Run.Dir(), store.LogsName, "replay-"+string(side)+".log")
}

// replayed reports whether both have printed something.
func (r *runner) replayed() bool {
	for _, side := range sample.Sides {
		if info, err := os.Stat(r.replayLog(side)); err != nil || info.Size() == 0 {
			return false
		}
	}
	return true
}

// replayResult compares the two logs by the registered rule.
func (r *runner) replayResult() (*compare.Result, error) {
	var series [2]*intake.Series
	for i, side := range sample.Sides {
		file, err := os.Open(r.replayLog(side))
		if err != nil {
			return nil, err
		}
		series[i], err = intake.Read(file.Name(), file)
		if err := errors.Join(err, file.Close()); err != nil {
			return nil, err
		}
	}
	return compare.FromReplay(series, compare.RuleOf(&r.Spec))
}

// replayBinary is the ethrex-replay of server j.
func (l *live) replayBinary(j int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.Builds[plan.BuildReplay+"-"+string(sample.Sides[j])].Binary
}

// measureReplay follows the logs of both ethrex-replays until they have the
// planned pairs.
func (l *live) measureReplay(ctx context.Context, s plan.Step) (detail string, err error) {
	quiet := [2]time.Time{time.Now(), time.Now()}
	pairs := 0
	for {
		grown := false
		for j := range l.hosts {
			more, err := l.fetchReplay(ctx, j)
			if err != nil {
				return "", err
			}
			if more {
				quiet[j], grown = time.Now(), true
			} else if waited := time.Since(quiet[j]); waited > l.Spec.Patience {
				return "", fault.Newf(fault.Prerequisite, "gave up: ethrex-replay on %s has printed nothing for %v", l.serverOf(j).Host, waited.Round(time.Second)).
					Hint("verdict doctor %s", shell.Quote(l.serverOf(j).Host))
			}
		}
		if grown && l.replayed() {
			pairs = l.countReplayed(s)
		}
		if pairs >= l.Spec.Blocks {
			return fmt.Sprintf("%d pairs", pairs), nil
		}
		if err := journal.Pause(ctx, l.Spec.Servers.Poll); err != nil {
			return "", err
		}
	}
}

// countReplayed shows the comparison so far and counts its pairs. Logs that hold
// nothing yet have none.
func (l *live) countReplayed(s plan.Step) int {
	result, err := l.replayResult()
	if err != nil {
		return 0
	}
	p := Progress{Phase: s.ID, Done: len(result.Pairs), Planned: l.Spec.Blocks, Margin: result.Rule.Margin}
	for i := range result.Sides {
		p.Median[i] = result.Sides[i].Median
	}
	if e := result.Effect; e.N > 0 {
		p.Ratio, p.Low, p.High = e.Center, e.Low, e.High
	}
	l.Progress(p)
	return len(result.Pairs)
}

// fetchReplay appends what ethrex-replay on server j has printed since.
func (l *live) fetchReplay(ctx context.Context, j int) (more bool, err error) {
	file, err := os.OpenFile(l.replayLog(sample.Sides[j]), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return false, err
	}
	for offset := info.Size(); ; {
		var data []byte
		err := l.retry(ctx, j, func(ctx context.Context) (err error) {
			data, err = journal.Written(ctx, l.hosts[j], l.state.Dir+"/"+program.ReplayLog, offset)
			return err
		})
		if err != nil || len(data) == 0 {
			return more, err
		}
		if _, err := file.Write(data); err != nil {
			return more, err
		}
		offset, more = offset+int64(len(data)), true
	}
}

// stopReplay ends the ethrex-replay of one server and fetches the end of its
// log.
func (l *live) stopReplay(ctx context.Context, s plan.Step) (detail string, err error) {
	j := s.Side.Index()
	if detail, err = l.stopInSession(ctx, s, program.ReplaySupervisor); err != nil {
		return detail, err
	}
	_, err = l.fetchReplay(ctx, j)
	return detail, err
}

// ended notes that the collector of a session has ended on one server and that
// all that it wrote is here.
func (l *live) ended(s plan.Step) error {
	return l.save(func(st *liveState) {
		n := &st.Sessions[s.Session-1]
		n.Ended[s.Side.Index()] = true
		n.Done = n.Ended[0] && n.Ended[1]
	})
}
