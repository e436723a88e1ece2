package cli

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/verdict-bench/verdict/internal/bench"
	"github.com/verdict-bench/verdict/internal/compare"
)

// progress shows how a run gets on: on a terminal one line that is written
// over, elsewhere a plain line now and then.
type progress struct {
	w        World
	terminal bool
	started  time.Time
	last     time.Time
	phase    string
	drawn    bool
}

// How often progress is shown.
const (
	terminalPause = 100 * time.Millisecond
	plainPause    = 10 * time.Second
	// worthNoting is longer than the time between blocks usually is.
	worthNoting = 15 * time.Second
)

func newProgress(w World, what string) *progress {
	p := &progress{w: w, started: w.Now()}
	if f, ok := w.Stderr.(*os.File); ok {
		p.terminal = term.IsTerminal(int(f.Fd())) && w.Getenv("TERM") != "dumb"
	}
	return p
}

// update shows u if it is time to, and always when a phase begins or ends.
func (p *progress) update(u bench.Progress) {
	now := p.w.Now()
	if u.Message != "" {
		p.end()
		fmt.Fprintln(p.w.Stderr, u.Message)
		return
	}
	pause := plainPause
	if p.terminal {
		pause = terminalPause
	}
	news := u.Phase != p.phase || u.Planned > 0 && u.Done == u.Planned
	if !news && now.Sub(p.last) < pause {
		return
	}
	p.last, p.phase = now, u.Phase
	line := progressLine(u, now.Sub(p.started))
	if p.terminal {
		// A line that wraps cannot be written over.
		if width, _, err := term.GetSize(int(p.w.Stderr.(*os.File).Fd())); err == nil && width > 1 && len(line) >= width {
			line = line[:width-1]
		}
		fmt.Fprintf(p.w.Stderr, "\r\x1b[K%s", line)
		p.drawn = true
		return
	}
	fmt.Fprintln(p.w.Stderr, line)
}

// end leaves the terminal at the start of a fresh line.
func (p *progress) end() {
	if p.drawn {
		fmt.Fprint(p.w.Stderr, "\r\x1b[K")
		p.drawn = false
	}
}

// progressLine is one line of progress: blocks done, both medians and the
// interval so far.
func progressLine(u bench.Progress, elapsed time.Duration) string {
	line := fmt.Sprintf("%-8s", u.Phase)
	if u.Planned > 0 {
		line += fmt.Sprintf(" %*d/%d", len(fmt.Sprint(u.Planned)), u.Done, u.Planned)
	}
	if u.Median[0] > 0 {
		line += fmt.Sprintf("  baseline %.4g ms  test %.4g ms", u.Median[0], u.Median[1])
	}
	if u.Low > 0 {
		line += fmt.Sprintf("  ratio %.3g [%.3g, %.3g]", u.Ratio, u.Low, u.High)
	}
	if u.Decided {
		line += "  decided"
	}
	if u.More > 0 {
		line += fmt.Sprintf("  about %d more pairs (%s) to see %s %%", u.More, roughly(u.MoreTime), compare.Percent(u.Margin))
	}
	if u.Failed > 0 {
		line += fmt.Sprintf("  failed %d", u.Failed)
	}
	if u.Note != "" && u.Waiting >= worthNoting {
		line += "  " + u.Note
	}
	return line + fmt.Sprintf("  %s", elapsed.Round(time.Second))
}

// roughly is a duration as one says it.
func roughly(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.0f h", d.Hours())
}
