package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/perf/benchfmt"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/sample"
)

// Benchfmt writes what was compared as Go benchmark results, one line per
// measurement with side and block in its name. benchstat compares the sides:
//
//	benchstat -col /side -ignore /block FILE
//
// and -ignore /batch for proofs. Its medians are those of the report. Its test
// takes the sides for unrelated groups and so sees less than the pairs do.
func Benchfmt(w io.Writer, r *Run) error {
	buffered := bufio.NewWriter(w)
	out := benchfmt.NewWriter(buffered)
	config := benchConfig(r)
	write := func(name string, values []benchfmt.Value) error {
		return out.Write(&benchfmt.Result{Config: config, Name: benchfmt.Name(name), Iters: 1, Values: values})
	}
	if err := benchLines(r.Result, write); err != nil {
		return err
	}
	return buffered.Flush()
}

// benchLines writes the pairs, the sides in turn as they were measured, or the
// two groups one after the other.
func benchLines(r *compare.Result, write func(name string, values []benchfmt.Value) error) error {
	if r.Proving != nil {
		return benchProofs(r.Proving, write)
	}
	if r.Groups != nil {
		for _, m := range measurements(r) {
			if err := write(benchName(r.Subject, m.side, m.number), benchValues(m.ms, nil)); err != nil {
				return err
			}
		}
		return nil
	}
	for _, p := range r.Pairs {
		for side, ms := range p.MS {
			var s *sample.Sample
			if p.Samples != nil {
				s = p.Samples[side]
			}
			if err := write(benchName(r.Subject, side, fmt.Sprint(p.Number)), benchValues(ms, s)); err != nil {
				return err
			}
		}
	}
	return nil
}

// benchName is the name of one measurement. It holds no text of others.
func benchName(subject compare.Subject, side int, number string) string {
	name := "Witness"
	if subject == compare.Proof {
		name = "Proof"
	}
	name += "/side=" + string(sample.Sides[side])
	if number != "" {
		name += "/" + subject.Unit() + "=" + number
	}
	return name
}

// benchValues are the latency and, where they are known, what else benchstat
// can compare.
func benchValues(ms float64, s *sample.Sample) []benchfmt.Value {
	latency := ms * float64(time.Millisecond)
	if s == nil {
		return []benchfmt.Value{{Value: latency, Unit: "ns/op"}}
	}
	values := []benchfmt.Value{{Value: float64(s.TotalNS), Unit: "ns/op"}}
	if s.BodyBytes > 0 {
		values = append(values, benchfmt.Value{Value: float64(s.BodyBytes), Unit: "answer-B/op"})
	}
	if s.ImportNS > 0 {
		values = append(values, benchfmt.Value{Value: float64(s.ImportNS), Unit: "import-ns/op"})
	}
	if s.ServerNS > 0 {
		values = append(values, benchfmt.Value{Value: float64(s.ServerNS), Unit: "server-ns/op"})
	}
	return values
}

// benchConfig is what all measurements have in common. What differs between the
// sides has a key for each, because benchstat keeps results apart whose
// configuration differs.
func benchConfig(r *Run) []benchfmt.Config {
	m := &r.Manifest
	goos, goarch, _ := strings.Cut(m.Environment.OS, "/")
	network := m.Network
	var sides [2]string
	for i := range sides {
		sides[i] = m.Sides[i].Ref
		if in := r.Result.Inputs; in != nil {
			sides[i] = in[i].Name
			network = cmp.Or(network, in[i].Network)
		}
	}
	var out []benchfmt.Config
	for _, c := range [][2]string{
		{"goos", goos}, {"goarch", goarch}, {"cpu", m.Environment.CPU}, {"network", network},
		{"verdict-version", m.Program}, {"design", string(r.Result.Design)},
		{"baseline-ref", sides[0]}, {"test-ref", sides[1]},
		{"baseline-version", m.Sides[0].Version}, {"test-version", m.Sides[1].Version},
		{"baseline-host", m.Sides[0].Host}, {"test-host", m.Sides[1].Host},
	} {
		if value := benchText(Clean(c[1])); value != "" {
			out = append(out, benchfmt.Config{Key: c[0], Value: []byte(value), File: true})
		}
	}
	return out
}

// benchText cuts a value of the configuration, which readers of the format bound
// by the length of a line.
func benchText(s string) string {
	const most = 200
	n := 0
	for i := range s {
		if n++; n > most {
			return s[:i] + "…"
		}
	}
	return s
}
