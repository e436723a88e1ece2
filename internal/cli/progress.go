package cli

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/verdict-bench/verdict/internal/bench"
	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/report"
)

// statusLine shows on stderr how long work gets on. On a terminal the current
// state is one line that is written over; elsewhere it is a plain line now and
// then. What is said stays.
type statusLine struct {
	w        World
	terminal bool
	current  string
	shown    time.Time
}

// How often the state is shown.
const (
	terminalPause = 100 * time.Millisecond
	plainPause    = 10 * time.Second
)

func newStatusLine(w World) *statusLine {
	l := &statusLine{w: w}
	if f, ok := w.Stderr.(*os.File); ok {
		l.terminal = term.IsTerminal(int(f.Fd())) && w.Getenv("TERM") != "dumb"
	}
	return l
}

// show replaces the current state, if it is time to; news is always shown.
func (l *statusLine) show(text string, news bool) {
	pause := plainPause
	if l.terminal {
		pause = terminalPause
	}
	now := l.w.Now()
	if !news && now.Sub(l.shown) < pause {
		return
	}
	l.shown = now
	text = report.Clean(text)
	if !l.terminal {
		fmt.Fprintln(l.w.Stderr, text)
		return
	}
	// A line that wraps cannot be written over.
	if width, _, err := term.GetSize(int(l.w.Stderr.(*os.File).Fd())); err == nil && width > 1 && len(text) >= width {
		text = text[:width-1]
	}
	l.current = text
	fmt.Fprintf(l.w.Stderr, "\r\x1b[K%s", text)
}

// say prints a line that stays, above the current state.
func (l *statusLine) say(format string, args ...any) {
	if l.terminal {
		fmt.Fprint(l.w.Stderr, "\r\x1b[K")
	}
	fmt.Fprintln(l.w.Stderr, report.Clean(fmt.Sprintf(format, args...)))
	if l.terminal {
		fmt.Fprint(l.w.Stderr, l.current)
	}
}

// end removes the current state.
func (l *statusLine) end() {
	if l.terminal && l.current != "" {
		fmt.Fprint(l.w.Stderr, "\r\x1b[K")
	}
	l.current = ""
}

// progress shows how a run gets on.
type progress struct {
	w       World
	line    *statusLine
	started time.Time
	// seen are the phases so far: some go on at the same time.
	seen map[string]bool
}

// worthNoting is longer than the time between blocks usually is.
const worthNoting = 15 * time.Second

func newProgress(w World) *progress {
	return &progress{w: w, line: newStatusLine(w), started: w.Now(), seen: make(map[string]bool)}
}

// update shows u if it is time to, and always when a phase begins or ends.
func (p *progress) update(u bench.Progress) {
	if u.Message != "" {
		p.line.say("%s", u.Message)
		return
	}
	news := !p.seen[u.Phase] || u.Planned > 0 && u.Done == u.Planned
	p.seen[u.Phase] = true
	p.line.show(progressLine(u, p.w.Now().Sub(p.started)), news)
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
