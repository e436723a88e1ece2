package inspect

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/verdict-bench/verdict/internal/doctor"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/shell"
)

// Target is a machine to examine, with what to look at and what is expected.
type Target struct {
	Host host.Host
	// Here says that it is the machine that this program runs on.
	Here bool
	Side sample.Side
	// Reach is the command that reaches it, for cures: see doctor.Subject.
	Reach  []string
	Query  doctor.Query
	Expect doctor.Expect
}

// Examination is what came of the examination of one machine.
type Examination struct {
	Subject doctor.Subject
	// Reached says that there are facts in the subject.
	Reached  bool
	Findings []doctor.Finding
}

// Options are what an examination needs of this machine.
type Options struct {
	// Binary finds the program to install on a machine: see Install.
	Binary func(goos, goarch string) (string, error)
	// Version is this program's own.
	Version string
}

// Servers examines machines, all at the same time, and judges each, and two of
// them also together. A machine that cannot be reached is a finding; the error
// is of ctx alone.
func Servers(ctx context.Context, targets []Target, o Options) ([]Examination, []doctor.Finding, error) {
	out := make([]Examination, len(targets))
	var group sync.WaitGroup
	for i, t := range targets {
		group.Go(func() { out[i] = examine(ctx, t, o) })
	}
	group.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, nil, err
	}
	var all []doctor.Finding
	for _, e := range out {
		all = append(all, e.Findings...)
	}
	doctor.Sort(all)
	if len(out) == 2 && out[0].Reached && out[1].Reached {
		together := doctor.Together(out[0].Subject, out[1].Subject)
		doctor.Sort(together)
		all = append(all, together...)
	}
	return out, all, nil
}

// examine examines one machine.
func examine(ctx context.Context, t Target, o Options) Examination {
	blank := doctor.Subject{Host: t.Host.Name(), Side: t.Side, Reach: t.Reach}
	if t.Here {
		blank.Facts = Here(ctx, t.Host, t.Query, o.Version)
		return Examination{Subject: blank, Reached: true, Findings: doctor.Server(blank, t.Expect)}
	}
	began := time.Now()
	path, err := Install(ctx, t.Host, o.Binary)
	if err != nil {
		return Examination{Subject: blank, Findings: []doctor.Finding{missed(blank, err)}}
	}
	ready := time.Since(began)
	s, err := Remote(ctx, t.Host, path, t.Query)
	if err != nil {
		return Examination{Subject: blank, Findings: []doctor.Finding{missed(blank, err)}}
	}
	s.Side, s.Reach = t.Side, t.Reach
	findings := []doctor.Finding{doctor.Reached(s, fmt.Sprintf("reached, verdict %s runs there after %.1f s", s.Facts.Verdict, ready.Seconds()))}
	return Examination{Subject: s, Reached: true, Findings: append(findings, doctor.Server(s, t.Expect)...)}
}

// missed is the finding of a machine that was not examined, for that reason.
func missed(s doctor.Subject, err error) doctor.Finding {
	advice, cures := sift(fault.HintsOf(err), s.Reach)
	var lost *host.LostError
	if errors.As(err, &lost) {
		return doctor.Unreachable(s, lost.Why, advice, cures)
	}
	return doctor.Unfit(s, err.Error(), advice, cures)
}

// sift tells the commands among hints, which are written for people, from what
// is said in words. Reach is the command that reaches the machine: its options
// go into commands of ssh.
func sift(hints, reach []string) (advice, cures []string) {
	for _, hint := range hints {
		words, command := "", hint
		if i := strings.LastIndex(hint, ": ssh "); i >= 0 {
			words, command = hint[:i], hint[i+len(": "):]
		}
		if i := strings.Index(command, " ("); i >= 0 && words != "" {
			words, command = words+command[i:], command[:i]
		}
		rest, ssh := strings.CutPrefix(command, "ssh ")
		switch {
		case ssh && len(reach) > 1:
			command = shell.Join(reach[:len(reach)-1]...) + " " + rest
		case !ssh && !strings.HasPrefix(command, "sudo ") && !strings.HasPrefix(command, "CGO_ENABLED="):
			words, command = hint, ""
		}
		if words != "" {
			advice = append(advice, words)
		}
		if command != "" {
			cures = append(cures, command)
		}
	}
	return advice, cures
}
