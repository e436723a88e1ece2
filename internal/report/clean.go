package report

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/intake"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/store"
)

// Clean is s as one line that is safe to print: what is not printable stands
// as blanks, with none at the ends. That takes line breaks, the escapes that
// rule a terminal, marks that turn the direction of text, and bytes that are
// no text.
func Clean(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s))
}

// cleaned is r with all text of others safe to print: of servers, files, hosts
// and users. What it shares with r it does not change. The samples stay as
// they are; what is shown of them is cleaned where it is.
func cleaned(r *Run) *Run {
	out := *r
	out.Dir, out.Warnings = Clean(r.Dir), cleanAll(r.Warnings)
	cleanManifest(&out.Manifest)
	res := *r.Result
	out.Result = &res
	cleanVerdict(&res)
	cleanMeasured(&res)
	if in := res.Inputs; in != nil {
		own := *in
		for i := range own {
			own[i].Kind = intake.Kind(Clean(string(own[i].Kind)))
			cleanEach(&own[i].Name, &own[i].Network)
		}
		res.Inputs = &own
	}
	return &out
}

// cleanVerdict cleans what the verdict says and what stands behind it.
func cleanVerdict(res *compare.Result) {
	v := &res.Verdict
	v.Reasons, v.Worse, v.Attribution = cleanAll(v.Reasons), cleanAll(v.Worse), Clean(v.Attribution)
	res.Warnings, res.Diagnosis.Warnings = cleanAll(res.Warnings), cleanAll(res.Diagnosis.Warnings)
	res.Rule.Exploratory = Clean(res.Rule.Exploratory)
	for i := range res.Rule.Hosts {
		res.Rule.Hosts[i] = Clean(res.Rule.Hosts[i])
	}
	if g := res.Groups; g != nil {
		own := *g
		own.Why = Clean(g.Why)
		res.Groups = &own
	}
	if c := res.Control; c != nil {
		own := *c
		own.Why = Clean(c.Why)
		res.Control = &own
	}
}

// cleanMeasured cleans what servers answered, and where they did not.
func cleanMeasured(res *compare.Result) {
	res.Parity.Doubt = Clean(res.Parity.Doubt)
	res.Parity.Refused = slices.Clone(res.Parity.Refused)
	for i := range res.Parity.Refused {
		refused := &res.Parity.Refused[i]
		refused.Side, refused.Message = sample.Side(Clean(string(refused.Side))), Clean(refused.Message)
	}
	res.Excluded = slices.Clone(res.Excluded)
	for i := range res.Excluded {
		res.Excluded[i].Reason = Clean(res.Excluded[i].Reason)
	}
	for side := range res.Gaps {
		res.Gaps[side] = slices.Clone(res.Gaps[side])
		for i := range res.Gaps[side] {
			res.Gaps[side][i].Reason = Clean(res.Gaps[side][i].Reason)
		}
		counts := make(map[sample.Status]int, len(res.Failures[side]))
		for status, n := range maps.All(res.Failures[side]) {
			counts[sample.Status(Clean(string(status)))] += n
		}
		res.Failures[side] = counts
	}
}

func cleanManifest(m *store.Manifest) {
	e := &m.Environment
	cleanEach(&m.Workflow, &m.State, &m.Reason, &m.Verdict, &m.SpecHash, &m.PlanHash, &m.Network, &m.Program,
		&e.Hostname, &e.OS, &e.Kernel, &e.CPU, &e.Go)
	for i := range m.Sides {
		s := &m.Sides[i]
		s.Side = sample.Side(Clean(string(s.Side)))
		cleanEach(&s.Ref, &s.Host, &s.Collector, &s.RPC, &s.Version, &s.Witness, &s.Commit, &s.Binary, &s.BinarySHA256)
		s.Argv = cleanAll(s.Argv)
		if s.Environment != nil {
			own := *s.Environment
			cleanEach(&own.Hostname, &own.OS, &own.Kernel, &own.CPU, &own.Go)
			s.Environment = &own
		}
	}
}

func cleanEach(texts ...*string) {
	for _, s := range texts {
		*s = Clean(*s)
	}
}

// cleanAll is a cleaned copy of texts; nil stays nil.
func cleanAll(texts []string) []string {
	out := slices.Clone(texts)
	for i := range out {
		out[i] = Clean(out[i])
	}
	return out
}
