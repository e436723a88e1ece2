package compare

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/intake"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stat"
)

// Source is one side of a comparison as it was found: the records of a run or a
// samples file, or a series that was read from something else.
type Source struct {
	// Name is how the side is called in reports, Kind what it is.
	Name    string
	Kind    intake.Kind
	Network string
	// Run tells which run the records are of, empty when they are of none. Two
	// sides of one run were measured together, block by block.
	Run string
	// Rule is the one that was registered for that run, nil when there is none.
	Rule *Rule
	// Records are nil when there is a Series.
	Records []sample.Record
	Series  *intake.Series
}

// Input describes one side that was compared.
type Input struct {
	Name    string
	Kind    intake.Kind
	Network string
	// Lines is the length of the input, Values the number of its usable
	// measurements.
	Lines, Values int
}

// Import is how two sources are compared.
type Import struct {
	// Rule judges; its Planned counts for nothing, because what there is was
	// not planned for this comparison.
	Rule Rule
	// Unpaired compares two groups also where blocks coincide.
	Unpaired bool
	// SameBatches says that equal batch numbers are the same batches, which a
	// prover log cannot show.
	SameBatches bool
}

// Unregistered is what a comparison of finished measurements says: nobody
// wrote down beforehand how it would be judged.
const Unregistered = "no rule was registered before these data were there: this is one analysis of all there is, by the margin and the seed of the command"

// Unseparated is the attribution of sides that were measured on their own.
const Unseparated = "the test side as it was measured: version, host and time are not separated"

// Between compares two sources. Records are compared as those of a run, with
// their hashes, digests and statuses, wherever the sides have a block in
// common; everything else is compared as series. Where the two cannot belong
// together the error is of kind fault.Invalid.
func Between(sources [2]Source, how Import) (*Result, error) {
	if err := oneNetwork(sources[0].Name, sources[0].Network, sources[1].Name, sources[1].Network); err != nil {
		return nil, err
	}
	if sources[0].Series == nil && sources[1].Series == nil && !how.Unpaired {
		together := sources[0].Run != "" && sources[0].Run == sources[1].Run
		records := [2][]sample.Record{sources[0].Records, sources[1].Records}
		if !together {
			records = [2][]sample.Record{alone(records[0]), alone(records[1])}
		}
		if together || coincide(records) {
			return recorded(sources, records, how.Rule, together), nil
		}
	}
	var series [2]*intake.Series
	for i, s := range sources {
		if series[i] = s.Series; s.Series != nil {
			continue
		}
		var err error
		if series[i], err = SeriesOf(s.Name, s.Network, s.Records); err != nil {
			return nil, err
		}
		series[i].Kind = s.Kind
	}
	return Imported(series, how)
}

// recorded compares records.
func recorded(sources [2]Source, records [2][]sample.Record, rule Rule, together bool) *Result {
	registered := sources[0].Rule
	if together && registered != nil {
		rule = *registered
	} else {
		rule = unplanned(rule)
	}
	r := Analyze(records, rule)
	r.Inputs = new([2]Input)
	for i, s := range sources {
		in := Input{Name: s.Name, Kind: s.Kind, Network: s.Network, Lines: len(s.Records)}
		for _, rec := range s.Records {
			if v := rec.Sample; v != nil && v.Control == "" && !v.WarmUp && v.Status == sample.OK {
				in.Values++
			}
		}
		r.Inputs[i] = in
	}
	if !together {
		r.Verdict.Attribution, r.Verdict.Servers = Unseparated, false
		r.warn(Unregistered)
		if exchanged(sources) {
			r.warn("a side changed its host during its run: taken on its own, what the hosts differ by does not cancel")
		}
	}
	return r
}

// unplanned is rule for what nobody planned: one analysis of all there is, and
// no sequence.
func unplanned(rule Rule) Rule {
	rule.Planned, rule.AlphaLive, rule.Pairs = 0, 0, 0
	rule.Sessions, rule.Swap, rule.Hosts = 0, false, [2]string{}
	return rule
}

// alone are the records of a side that was not measured together with the
// other one: an A/A control, the order within a pair and the sessions of a run
// refer to a partner that is not here.
func alone(records []sample.Record) []sample.Record {
	out := make([]sample.Record, 0, len(records))
	for _, rec := range records {
		if s := rec.Sample; s != nil {
			if s.Control != "" {
				continue
			}
			if s.Order != 0 || s.Session != 0 || s.Swapped {
				own := *s
				own.Order, own.Session, own.Swapped = 0, 0, false
				rec.Sample = &own
			}
		}
		out = append(out, rec)
	}
	return out
}

// exchanged reports whether a side changed its host while it was measured.
func exchanged(sources [2]Source) bool {
	for _, s := range sources {
		if slices.ContainsFunc(s.Records, func(rec sample.Record) bool { return rec.Sample != nil && rec.Sample.Swapped }) {
			return true
		}
	}
	return false
}

// coincide reports whether both sides asked for the same block, warm-ups
// aside.
func coincide(records [2][]sample.Record) bool {
	type key struct {
		number uint64
		hash   string
	}
	seen := make(map[key]bool, len(records[0]))
	for side := range records {
		for _, rec := range records[side] {
			s := rec.Sample
			if s == nil || s.WarmUp || s.Control != "" {
				continue
			}
			k := key{s.Number, s.Hash}
			if side == 0 {
				seen[k] = true
			} else if seen[k] {
				return true
			}
		}
	}
	return false
}

// Imported compares two series that were measured elsewhere. Where they cannot
// belong together the error is of kind fault.Invalid.
func Imported(series [2]*intake.Series, how Import) (*Result, error) {
	subject, err := subjectOf(series)
	if err != nil {
		return nil, err
	}
	r := newResult(how.Rule, subject)
	r.Rule = unplanned(r.Rule)
	r.Stage = stat.Planned
	r.Inputs = &[2]Input{inputOf(series[0]), inputOf(series[1])}
	r.warn(Unregistered)
	if subject == Proof {
		r.Rule.AlphaLive, r.Rule.AlphaFinal, r.Rule.MinPairs = 0, alphaProof, stat.MinBatchesPerSide
	}
	var kept [2][]uint32
	for side, s := range series {
		r.leftOut(side, s)
		kept[side] = r.keep(side, s)
		if subject == Proof {
			r.Batches[side] = batchesOf(s, kept[side])
		}
	}
	if pairable(series, how, subject) && r.join(series, kept) {
		if len(r.Pairs) == 0 {
			r.warn("if the two chains may be compared all the same, as groups of blocks of the same kind: --unpaired")
		}
		if series[0].Hashes == nil || series[1].Hashes == nil {
			r.warn("pairs are %s of equal number: the inputs do not both tell hashes, so that after a reorganization two blocks of one height would pass for the same", subject.Units())
		}
		r.Attempted = len(r.Pairs)
		r.analyze()
		return r, nil
	}
	r.Design = Unpaired
	r.groups(series, kept, why(series, how, subject))
	return r, nil
}

// pairable reports whether equal numbers in both series mean the same thing.
func pairable(series [2]*intake.Series, how Import, subject Subject) bool {
	return !how.Unpaired && series[0].Numbered && series[1].Numbered && (subject == Witness || how.SameBatches)
}

// subjectOf is what both series measured.
func subjectOf(series [2]*intake.Series) (Subject, error) {
	a, b := series[0], series[1]
	if a.Batches != b.Batches {
		what := map[bool]string{false: "latencies of blocks", true: "proving times of batches"}
		return "", fault.Newf(fault.Usage, "%s holds %s, %s holds %s: they cannot be compared", a.Name, what[a.Batches], b.Name, what[b.Batches])
	}
	if err := oneNetwork(a.Name, a.Network, b.Name, b.Network); err != nil {
		return "", err
	}
	if a.Batches {
		return Proof, nil
	}
	return Witness, nil
}

// oneNetwork refuses two inputs that name different networks.
func oneNetwork(a, networkA, b, networkB string) error {
	if networkA == "" || networkB == "" || strings.EqualFold(networkA, networkB) {
		return nil
	}
	return fault.Newf(fault.Invalid, "%s is of network %s, %s of %s: they measured different chains", a, networkA, b, networkB)
}

func inputOf(s *intake.Series) Input {
	return Input{Name: s.Name, Kind: s.Kind, Network: s.Network, Lines: s.Lines, Values: len(s.Values)}
}

// leftOut lists what the inputs say and cannot be used.
func (r *Result) leftOut(side int, s *intake.Series) {
	for _, e := range s.Excluded {
		r.Excluded = append(r.Excluded, Exclusion{
			Reason: fmt.Sprintf("%s side: %s", sample.Sides[side], e.Reason), Count: e.Count,
			Blocks: slices.DeleteFunc(slices.Clone(e.Blocks), func(n uint64) bool { return n == 0 }),
		})
	}
	for _, w := range s.Warnings {
		r.warn("%s side: %s", sample.Sides[side], w)
	}
}

// keep gives the places of the values that are compared, in order of their
// number. Proofs that are not like the others are left out by name.
func (r *Result) keep(side int, s *intake.Series) []uint32 {
	kept := make([]uint32, 0, len(s.Values))
	ordered := true
	for i := range s.Values {
		v := &s.Values[i]
		if s.Batches && v.Has(intake.SetUp) {
			r.exclude(fmt.Sprintf("%s side: first proof of the process, which pays for setting up", sample.Sides[side]), v.Block)
			continue
		}
		if s.Batches && v.Has(intake.Empty) {
			r.exclude(fmt.Sprintf("%s side: batch without gas and transactions", sample.Sides[side]), v.Block)
			continue
		}
		ordered = ordered && (len(kept) == 0 || s.Values[kept[len(kept)-1]].Block <= v.Block)
		kept = append(kept, uint32(i))
	}
	if !ordered {
		slices.SortStableFunc(kept, func(a, b uint32) int { return cmp.Compare(s.Values[a].Block, s.Values[b].Block) })
	}
	return kept
}

// batchesOf are the kept proofs with what their batches hold.
func batchesOf(s *intake.Series, kept []uint32) []Batch {
	out := make([]Batch, 0, len(kept))
	for _, i := range kept {
		b := Batch{Number: s.Values[i].Block, MS: s.Values[i].MS}
		if s.Work != nil {
			w := s.Work[i]
			b.Gas, b.Txs, b.Blocks = w.Gas, w.Txs, w.Blocks
		}
		out = append(out, b)
	}
	return out
}

// The reasons of values without a partner.
const (
	onlyBaseline = "measured on the baseline side only"
	onlyTest     = "measured on the test side only"
	reorged      = "different blocks at the same height (reorg)"
	ambiguous    = "several blocks at one height, and an input without hashes does not tell which it measured"
)

// join pairs what coincides. It reports whether the two inputs have anything
// to do with each other; if not, it leaves no trace.
func (r *Result) join(series [2]*intake.Series, kept [2][]uint32) bool {
	before := len(r.Excluded)
	r.Pairs = make([]Pair, 0, min(len(kept[0]), len(kept[1])))
	a, b := kept[0], kept[1]
	for len(a) > 0 || len(b) > 0 {
		height := lowest(series, a, b)
		x, y := atHeight(series[0], a, height), atHeight(series[1], b, height)
		a, b = a[len(x):], b[len(y):]
		switch {
		case len(x) == 1 && len(y) == 1 && !differ(series, x[0], y[0]):
			r.match(series, x[0], y[0])
		case len(y) == 0:
			r.excludeEach(onlyBaseline, height, len(x))
		case len(x) == 0:
			r.excludeEach(onlyTest, height, len(y))
		default:
			r.sameHeight(series, x, y)
		}
	}
	if len(r.Pairs) == 0 {
		r.Pairs = nil
		if r.conflicts == 0 {
			r.Excluded = r.Excluded[:before]
			return false
		}
	}
	return true
}

// lowest is the lowest number that is left on either side.
func lowest(series [2]*intake.Series, a, b []uint32) uint64 {
	switch {
	case len(b) == 0:
		return series[0].Values[a[0]].Block
	case len(a) == 0:
		return series[1].Values[b[0]].Block
	}
	return min(series[0].Values[a[0]].Block, series[1].Values[b[0]].Block)
}

// atHeight are the places that left begins with and that have this number.
func atHeight(s *intake.Series, left []uint32, height uint64) []uint32 {
	n := 0
	for n < len(left) && s.Values[left[n]].Block == height {
		n++
	}
	return left[:n]
}

// hashOf is the hash of a value, false when the input does not tell it.
func hashOf(s *intake.Series, i uint32) (intake.Hash, bool) {
	if s.Hashes == nil || s.Hashes[i] == (intake.Hash{}) {
		return intake.Hash{}, false
	}
	return s.Hashes[i], true
}

// differ reports whether both inputs know the hashes and these are not equal.
func differ(series [2]*intake.Series, i, j uint32) bool {
	x, knowX := hashOf(series[0], i)
	y, knowY := hashOf(series[1], j)
	return knowX && knowY && x != y
}

// match makes a pair of two values.
func (r *Result) match(series [2]*intake.Series, i, j uint32) {
	x, y := &series[0].Values[i], &series[1].Values[j]
	r.Pairs = append(r.Pairs, Pair{Number: x.Block, MS: [2]float64{x.MS, y.MS}, D: ratio(x.MS, y.MS)})
}

// sameHeight pairs, by hash alone, the values of a height at which there are
// several blocks. What finds no partner is counted, value by value.
func (r *Result) sameHeight(series [2]*intake.Series, x, y []uint32) {
	left := slices.Clone(y)
	lost, unknown := 0, false
	for _, i := range x {
		hash, know := hashOf(series[0], i)
		at := slices.IndexFunc(left, func(j uint32) bool {
			other, ok := hashOf(series[1], j)
			return know && ok && other == hash
		})
		if at < 0 {
			lost++
			unknown = unknown || !know
			continue
		}
		r.match(series, i, left[at])
		left = slices.Delete(left, at, at+1)
	}
	for _, j := range left {
		_, know := hashOf(series[1], j)
		unknown = unknown || !know
	}
	height := series[0].Values[x[0]].Block
	if unknown {
		r.excludeEach(ambiguous, height, lost+len(left))
		return
	}
	if lost == len(x) {
		r.conflicts++
	}
	r.excludeEach(reorged, height, lost+len(left))
}

// excludeEach counts n values of one number under reason.
func (r *Result) excludeEach(reason string, number uint64, n int) {
	for range n {
		r.exclude(reason, number)
	}
}

// why says why two series are compared as groups.
func why(series [2]*intake.Series, how Import, subject Subject) string {
	switch {
	case how.Unpaired:
		return "the comparison is unpaired because that was asked for"
	case subject == Proof && !how.SameBatches:
		return "the inputs do not show that equal numbers are equal batches: the comparison is unpaired, with gas as covariate where it is known"
	case !series[0].Numbered || !series[1].Numbered:
		return "an input does not number its measurements: the comparison is unpaired"
	}
	return fmt.Sprintf("no %s was measured on both sides: the comparison is unpaired", subject.Unit())
}

// SeriesOf is one side of a run as a series, to be compared with what was
// measured elsewhere: its good samples, the A/A control aside. Everything else
// is excluded with its reason.
func SeriesOf(name, network string, records []sample.Record) (*intake.Series, error) {
	type key struct {
		number uint64
		hash   string
	}
	s := &intake.Series{Kind: "run", Name: name, Network: network, Numbered: true, Lines: len(records)}
	r := newResult(Rule{}, Witness)
	seen := make(map[key]bool)
	for _, rec := range records {
		v := rec.Sample
		if v == nil || v.Control != "" {
			continue
		}
		k := key{v.Number, v.Hash}
		again := seen[k]
		seen[k] = true
		switch {
		case again:
			r.exclude(string(intake.Duplicate), v.Number)
		case v.WarmUp:
			r.exclude("warm-up", v.Number)
		case v.Status != sample.OK:
			r.exclude(fmt.Sprintf("failed: %s", v.Status), v.Number)
		case v.TotalNS <= 0:
			r.exclude("a latency that is not positive", v.Number)
		default:
			s.Values = append(s.Values, intake.Value{Block: v.Number, MS: milliseconds(v)})
			s.Hashes = append(s.Hashes, parseHash(v.Hash))
		}
	}
	for _, e := range r.Excluded {
		s.Excluded = append(s.Excluded, intake.Exclusion{Reason: intake.Reason(e.Reason), Count: e.Count, Blocks: e.Blocks})
	}
	if len(s.Values) == 0 {
		return nil, fault.Newf(fault.Invalid, "%s: no good sample among %d records", name, len(records))
	}
	return s, nil
}

// parseHash reads a block hash; the zero hash stands for one that is no hash.
func parseHash(text string) (hash intake.Hash) {
	raw, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
	if err == nil && len(raw) == len(hash) {
		copy(hash[:], raw)
	}
	return hash
}
