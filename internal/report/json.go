package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stat"
	"github.com/verdict-bench/verdict/internal/store"
)

// Version is the version of the JSON report's format. Within a version fields
// may be added, and none changes its meaning.
const Version = 1

// JSON writes the report as one JSON object. Its form is that of
// report.schema.json; a number that does not exist is null.
func JSON(w io.Writer, r *Run) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(jsonOf(r)); err != nil {
		return err
	}
	_, err := w.Write(jsonPrintable(b.Bytes()))
	return err
}

// jsonPrintable escapes what a terminal might obey and the encoder leaves: it
// can only stand in strings, which keep their values.
func jsonPrintable(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == '\n' || unicode.IsPrint(r):
			out = append(out, text[:n]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		text = text[n:]
	}
	return out
}

// jsonNumber is a JSON number. What is not finite has none and becomes null.
type jsonNumber float64

// MarshalJSON writes the shortest number that reads back the same.
func (x jsonNumber) MarshalJSON() ([]byte, error) {
	if f := float64(x); !math.IsNaN(f) && !math.IsInf(f, 0) {
		return json.Marshal(f)
	}
	return []byte("null"), nil
}

// numberIf is x, or null where x is not known.
func numberIf(x float64, ok bool) jsonNumber {
	if !ok {
		x = math.NaN()
	}
	return jsonNumber(x)
}

// numberOrNull is x, or null for a zero that stands for unknown.
func numberOrNull(x float64) jsonNumber { return numberIf(x, x != 0) }

// jsonInterval is an estimate that does not travel alone; its form is the same
// everywhere. An end that the data do not set is null.
type jsonInterval struct {
	Center     jsonNumber `json:"center"`
	Low        jsonNumber `json:"low"`
	High       jsonNumber `json:"high"`
	Confidence jsonNumber `json:"confidence"`
	N          int        `json:"n"`
	DF         jsonNumber `json:"df"`
	P          jsonNumber `json:"p"`
	Kind       string     `json:"kind"`
	Unit       string     `json:"unit"`
	Seed       *uint64    `json:"seed"`
	Warnings   []string   `json:"warnings"`
}

// intervalOf is v, or null when there is none.
func intervalOf(v stat.Interval) *jsonInterval {
	if v.N == 0 {
		return nil
	}
	out := &jsonInterval{
		Center: jsonNumber(v.Center), Low: jsonNumber(v.Low), High: jsonNumber(v.High),
		Confidence: jsonNumber(v.Confidence), N: v.N, DF: numberOrNull(v.DF), P: jsonNumber(v.P),
		Kind: v.Kind, Unit: v.Unit, Warnings: listOf(v.Warnings),
	}
	if v.Unit == stat.UnitRatio && v.Low == 0 {
		out.Low = jsonNumber(math.NaN()) // the image of minus infinity
	}
	if v.Seed != 0 || v.Kind == stat.KindBootstrap {
		out.Seed = &v.Seed
	}
	return out
}

// listOf is x as a list that is never null.
func listOf[T any](x []T) []T { return append([]T{}, x...) }

// maxListed bounds the lists that a broken run makes long: gaps and answers that
// differ. A count of all stands beside each.
const maxListed = 1000

// firstOf is the listed part of x, never null.
func firstOf[T any](x []T) []T { return listOf(x[:min(len(x), maxListed)]) }

// jsonReport is the report. Its order is that of interest.
type jsonReport struct {
	V            int        `json:"v"`
	Verdict      string     `json:"verdict"`
	Outcome      string     `json:"outcome"`
	Headline     string     `json:"headline"`
	Reasons      []string   `json:"reasons"`
	Attribution  string     `json:"attribution"`
	Servers      bool       `json:"server_and_version,omitempty"`
	WorseGuards  []string   `json:"worse_guards"`
	ClearsMargin bool       `json:"clears_margin"`
	Live         bool       `json:"live"`
	Margin       jsonNumber `json:"margin"`
	State        string     `json:"state"`
	Run          string     `json:"run"`

	Subject string `json:"subject"`
	Item    string `json:"item"`
	Design  string `json:"design"`
	Stage   string `json:"stage"`

	Effect    jsonEffect     `json:"effect"`
	Pairs     int            `json:"pairs"`
	Planned   int            `json:"planned"`
	Attempted int            `json:"attempted"`
	WarmUp    int            `json:"warm_up"`
	Blocks    *[2]uint64     `json:"blocks"`
	Rule      jsonRule       `json:"rule"`
	Estimates jsonEstimates  `json:"estimates"`
	Secondary []jsonMetric   `json:"secondary"`
	Sequence  *jsonSequence  `json:"sequence"`
	Sessions  *jsonSessions  `json:"sessions,omitempty"`
	Control   *jsonControl   `json:"control"`
	Forecast  *jsonForecast  `json:"forecast"`
	Diagnosis *jsonDiagnosis `json:"diagnosis"`
	Groups    *jsonGroups    `json:"groups"`

	Parity   jsonParity          `json:"parity"`
	Excluded []compare.Exclusion `json:"excluded"`
	Baseline jsonSide            `json:"baseline"`
	Test     jsonSide            `json:"test"`
	Batches  *jsonBatches        `json:"batches"`
	Proving  *jsonProving        `json:"proving,omitempty"`
	Inputs   *[2]jsonInput       `json:"inputs"`

	Observations []string        `json:"observations"`
	Conclusion   string          `json:"conclusion"`
	Method       []string        `json:"method"`
	Warnings     []string        `json:"warnings"`
	Manifest     *store.Manifest `json:"manifest"`
}

func jsonOf(r *Run) *jsonReport {
	res, words, lost := r.Result, Compose(r), lossesOf(r)
	v := &res.Verdict
	out := &jsonReport{
		V: Version, Verdict: v.String(), Outcome: string(v.Outcome), Headline: words.Headline,
		Reasons: listOf(v.Reasons), Attribution: v.Attribution, Servers: v.Servers, WorseGuards: listOf(v.Worse),
		ClearsMargin: v.ClearsMargin, Live: v.Live, Margin: jsonNumber(v.Margin),
		State: r.Manifest.State, Run: r.Dir,
		Subject: string(res.Subject), Item: res.Subject.Unit(), Design: string(res.Design), Stage: stages[res.Stage],

		Effect: effectOf(res.Effect), Pairs: len(res.Pairs), Planned: res.Rule.Planned,
		Attempted: res.Attempted, WarmUp: res.WarmUps, Rule: ruleOf(&res.Rule),
		Estimates: estimatesOf(&res.Estimates), Secondary: metricsOf(res.Secondary),
		Sequence: sequenceOf(res), Sessions: sessionsOf(res), Control: controlOf(res.Control), Forecast: forecastOf(res.Forecast),
		Diagnosis: diagnosisOf(res), Groups: groupsOf(res.Groups),

		Parity: parityOf(res.Parity), Excluded: excludedOf(res.Excluded),
		Baseline: sideOf(r, lost[0], 0), Test: sideOf(r, lost[1], 1),
		Batches: batchesOf(res), Proving: provingOf(res), Inputs: inputsOf(res.Inputs),

		Observations: listOf(words.Observations), Conclusion: words.Conclusion, Method: listOf(words.Method),
		Warnings: listOf(slices.Concat(differences(r), res.Warnings, r.Warnings)),
	}
	if len(res.Pairs) > 0 {
		first, last := res.Range()
		out.Blocks = &[2]uint64{first, last}
	}
	if r.Manifest.V != 0 {
		out.Manifest = &r.Manifest
	}
	if early(res) {
		out.dropPValues()
	}
	return out
}

// dropPValues takes out the p-values of the fixed-n analysis, which have no
// meaning where that does not count.
func (r *jsonReport) dropPValues() {
	none := jsonNumber(math.NaN())
	e := &r.Estimates
	intervals := []*jsonInterval{&r.Effect.jsonInterval, e.Typical, e.Final, e.Inner, e.Mean, e.P99, e.GasSlope}
	for i := range r.Secondary {
		intervals = append(intervals, r.Secondary[i].Ratio)
		r.Secondary[i].AdjustedP = none
	}
	if g := r.Diagnosis; g != nil {
		intervals = append(intervals, g.Drift, g.Order, g.BytesSlope, g.SinceSlope)
	}
	if c := r.Control; c != nil {
		intervals = append(intervals, c.Shift)
	}
	if s := r.Sessions; s != nil {
		intervals = append(intervals, s.Between, s.Blocks, s.Host)
		for i := range s.Each {
			intervals = append(intervals, s.Each[i].Typical)
		}
	}
	for _, v := range intervals {
		if v != nil {
			v.P = none
		}
	}
	e.EquivalenceP = none
}

var stages = map[stat.Stage]string{
	stat.Running: "running", stat.Stopped: "stopped", stat.Planned: "planned", stat.Extended: "extended",
}

// jsonEffect is the interval that the verdict stands on. Ratio is its center
// by the name that says what it is of.
type jsonEffect struct {
	Ratio jsonNumber `json:"ratio"`
	jsonInterval
	ChangePercent *jsonChange `json:"change_percent"`
}

// jsonChange is a ratio as a change in percent.
type jsonChange struct {
	Center jsonNumber `json:"center"`
	Low    jsonNumber `json:"low"`
	High   jsonNumber `json:"high"`
}

func effectOf(e stat.Interval) jsonEffect {
	none := jsonNumber(math.NaN())
	v := intervalOf(e)
	if v == nil {
		return jsonEffect{Ratio: none, jsonInterval: jsonInterval{
			Center: none, Low: none, High: none, Confidence: none, DF: none, P: none,
			Unit: stat.UnitRatio, Warnings: []string{},
		}}
	}
	return jsonEffect{Ratio: v.Center, jsonInterval: *v, ChangePercent: &jsonChange{
		Center: 100 * (v.Center - 1), Low: 100 * (v.Low - 1), High: 100 * (v.High - 1),
	}}
}

// jsonRule is what was fixed before the first sample.
type jsonRule struct {
	Margin            jsonNumber `json:"margin"`
	MarginFromControl bool       `json:"margin_from_control"`
	AlphaLive         jsonNumber `json:"alpha_live"`
	AlphaFinal        jsonNumber `json:"alpha_final"`
	Planned           int        `json:"planned"`
	Pairs             int        `json:"pairs,omitempty"`
	Sessions          int        `json:"sessions,omitempty"`
	Swap              bool       `json:"swap,omitempty"`
	Batch             int        `json:"batch"`
	MinPairs          int        `json:"min_pairs"`
	MaxUnpaired       jsonNumber `json:"max_unpaired"`
	Seed              uint64     `json:"seed"`
	Exploratory       string     `json:"exploratory"`
}

func ruleOf(r *compare.Rule) jsonRule {
	return jsonRule{
		Margin: jsonNumber(r.Margin), MarginFromControl: r.MarginFromControl,
		AlphaLive: jsonNumber(r.AlphaLive), AlphaFinal: jsonNumber(r.AlphaFinal),
		Planned: r.Planned, Pairs: r.Pairs, Sessions: r.Sessions, Swap: r.Swap, Batch: r.Batch, MinPairs: r.MinPairs,
		MaxUnpaired: jsonNumber(r.MaxUnpaired), Seed: r.Seed, Exploratory: r.Exploratory,
	}
}

type jsonEstimates struct {
	Typical      *jsonInterval `json:"typical"`
	Final        *jsonInterval `json:"final"`
	Inner        *jsonInterval `json:"inner"`
	EquivalenceP jsonNumber    `json:"equivalence_p"`
	Mean         *jsonInterval `json:"mean"`
	P99          *jsonInterval `json:"p99"`
	GasSlope     *jsonInterval `json:"gas_slope"`
	LongRunSD    jsonNumber    `json:"long_run_sd"`
}

func estimatesOf(e *compare.Estimates) jsonEstimates {
	return jsonEstimates{
		Typical: intervalOf(e.Typical), Final: intervalOf(e.Final), Inner: intervalOf(e.Inner),
		EquivalenceP: numberIf(e.Equivalent, e.Final.N > 0), Mean: intervalOf(e.Mean),
		P99: intervalOf(e.P99), GasSlope: intervalOf(e.Gas), LongRunSD: numberOrNull(e.LongRun),
	}
}

type jsonMetric struct {
	Name      string        `json:"name"`
	Ratio     *jsonInterval `json:"ratio"`
	Only      *jsonCounts   `json:"only"`
	AdjustedP jsonNumber    `json:"adjusted_p"`
	Guard     bool          `json:"guard"`
	Worse     bool          `json:"worse"`
}

// jsonCounts are counts per side.
type jsonCounts struct {
	Baseline int `json:"baseline"`
	Test     int `json:"test"`
}

func metricsOf(metrics []compare.Metric) []jsonMetric {
	out := make([]jsonMetric, len(metrics))
	for i, m := range metrics {
		out[i] = jsonMetric{
			Name: m.Name, Ratio: intervalOf(m.Ratio), AdjustedP: jsonNumber(m.Adjusted),
			Guard: m.Guard, Worse: m.Worse,
		}
		if m.Name == compare.ErrorRate {
			out[i].Only = &jsonCounts{m.Only[0], m.Only[1]}
		}
	}
	return out
}

// jsonSequence is the confidence sequence. Its looks have kind, unit and
// confidence in common.
type jsonSequence struct {
	Confidence jsonNumber `json:"confidence"`
	Kind       string     `json:"kind"`
	Unit       string     `json:"unit"`
	Batch      int        `json:"batch"`
	Looks      int        `json:"looks"`
	Points     []jsonLook `json:"points"`
}

type jsonLook struct {
	N      int        `json:"n"`
	Center jsonNumber `json:"center"`
	Low    jsonNumber `json:"low"`
	High   jsonNumber `json:"high"`
}

// maxLooks bounds the looks that are listed; of more, evenly spaced ones are,
// the first and the last among them.
const maxLooks = 200

func sequenceOf(r *compare.Result) *jsonSequence {
	looks := r.Estimates.Looks
	if len(looks) == 0 {
		return nil
	}
	s := &jsonSequence{
		Confidence: jsonNumber(1 - r.Rule.AlphaLive), Kind: stat.KindSequence, Unit: stat.UnitRatio,
		Batch: r.Rule.Batch, Looks: len(looks), Points: make([]jsonLook, min(len(looks), maxLooks)),
	}
	for i := range s.Points {
		l := looks[i]
		if len(looks) > maxLooks {
			l = looks[i*(len(looks)-1)/(maxLooks-1)]
		}
		s.Points[i] = jsonLook{N: l.Pairs, Center: jsonNumber(l.Center), Low: numberOrNull(l.Low), High: jsonNumber(l.High)}
	}
	return s
}

type jsonControl struct {
	Pairs      int           `json:"pairs"`
	Shift      *jsonInterval `json:"shift"`
	NoiseFloor jsonNumber    `json:"noise_floor"`
	LongRunSD  jsonNumber    `json:"long_run_sd"`
	DF         jsonNumber    `json:"df"`
	ACF1       jsonNumber    `json:"acf1"`
	Different  []uint64      `json:"different"`
	// DifferentCount is the length of the whole list.
	DifferentCount int    `json:"different_count"`
	Kind           string `json:"kind"`
	Corrects       bool   `json:"corrects"`
	// Why says why it does not correct, empty when it does.
	Why string `json:"why"`
}

func controlOf(c *compare.Control) *jsonControl {
	if c == nil {
		return nil
	}
	has := c.Shift.N > 0
	return &jsonControl{
		Pairs: c.Pairs, Shift: intervalOf(c.Shift), NoiseFloor: numberIf(c.Floor, c.Floor > 0),
		LongRunSD: numberIf(c.LongRun, has), DF: numberIf(c.DF, has), ACF1: numberIf(c.ACF1, has),
		Different: firstOf(c.Different), DifferentCount: len(c.Different),
		Kind: string(c.Kind), Corrects: c.Corrects, Why: c.Why,
	}
}

type jsonForecast struct {
	N             int        `json:"n"`
	LongRunSD     jsonNumber `json:"long_run_sd"`
	MDE           jsonNumber `json:"mde"`
	PairsToDetect jsonNumber `json:"pairs_to_detect"`
	PairsToEquate jsonNumber `json:"pairs_to_equate"`
}

func forecastOf(f compare.Forecast) *jsonForecast {
	if f.N == 0 {
		return nil
	}
	return &jsonForecast{
		N: f.N, LongRunSD: jsonNumber(f.LongRun), MDE: jsonNumber(f.MDE),
		PairsToDetect: numberOrNull(float64(f.Detect)), PairsToEquate: numberOrNull(float64(f.Equate)),
	}
}

// jsonDiagnosis is what may qualify the effect. All but the share of zeros
// needs as many pairs as a verdict.
type jsonDiagnosis struct {
	ACF1          jsonNumber    `json:"acf1"`
	VarianceRatio jsonNumber    `json:"variance_ratio"`
	OutlierShare  jsonNumber    `json:"outlier_share"`
	Farthest      *uint64       `json:"farthest"`
	ZeroShare     jsonNumber    `json:"zero_share"`
	SmallShare    jsonNumber    `json:"small_share"`
	WithoutSmall  jsonNumber    `json:"without_small"`
	Drift         *jsonInterval `json:"drift"`
	Order         *jsonInterval `json:"order"`
	BytesSlope    *jsonInterval `json:"bytes_slope"`
	SinceSlope    *jsonInterval `json:"since_head_slope"`
	BehindHead    *jsonMeans    `json:"behind_head"`
	Mixture       *jsonMixture  `json:"mixture"`
	Warnings      []string      `json:"warnings"`
}

// jsonMixture is two groups of ratios.
type jsonMixture struct {
	Low        jsonGroup  `json:"low"`
	High       jsonGroup  `json:"high"`
	Threshold  jsonNumber `json:"threshold"`
	Separation jsonNumber `json:"separation"`
	// Smaller are the first blocks of the smaller group.
	Smaller []uint64 `json:"smaller"`
}

type jsonGroup struct {
	N     int        `json:"n"`
	Ratio jsonNumber `json:"ratio"`
}

func mixtureOf(g *compare.Diagnosis) *jsonMixture {
	m := g.Mixture
	if m == nil {
		return nil
	}
	group := func(g stat.Group) jsonGroup { return jsonGroup{g.N, jsonNumber(math.Exp(g.Center))} }
	return &jsonMixture{
		Low: group(m.Low), High: group(m.High), Threshold: jsonNumber(math.Exp(m.Threshold)),
		Separation: jsonNumber(m.Separation), Smaller: listOf(g.Mixed),
	}
}

// jsonMeans are means per side.
type jsonMeans struct {
	Baseline jsonNumber `json:"baseline"`
	Test     jsonNumber `json:"test"`
}

func diagnosisOf(r *compare.Result) *jsonDiagnosis {
	if len(r.Pairs) == 0 {
		return nil
	}
	g := &r.Diagnosis
	made := len(r.Pairs) >= r.Rule.MinPairs
	out := &jsonDiagnosis{
		ACF1: numberIf(g.ACF1, made), VarianceRatio: numberIf(g.VarianceRatio, made),
		OutlierShare: numberIf(g.OutlierShare, made), ZeroShare: jsonNumber(g.ZeroShare),
		SmallShare: numberIf(g.Small, made), WithoutSmall: numberOrNull(g.WithoutSmall),
		Drift: intervalOf(g.Drift), Order: intervalOf(g.Order),
		BytesSlope: intervalOf(g.Bytes), SinceSlope: intervalOf(g.Since),
		Mixture: mixtureOf(g), Warnings: listOf(g.Warnings),
	}
	if made && g.Largest < len(r.Pairs) {
		out.Farthest = &r.Pairs[g.Largest].Number
	}
	if made && sampled(r) {
		out.BehindHead = &jsonMeans{jsonNumber(g.Behind[0]), jsonNumber(g.Behind[1])}
	}
	return out
}

type jsonGroups struct {
	Why         string        `json:"why"`
	RankSum     *jsonRankSum  `json:"rank_sum"`
	Shift       *jsonInterval `json:"shift"`
	Typical     *jsonInterval `json:"typical"`
	Mean        *jsonInterval `json:"mean"`
	MeanRatio   jsonNumber    `json:"ratio_of_means"`
	MedianRatio jsonNumber    `json:"ratio_of_medians"`
	MDE         jsonNumber    `json:"mde"`
	Proofs      *jsonProofs   `json:"at_equal_gas"`
}

type jsonRankSum struct {
	U      jsonNumber `json:"u"`
	P      jsonNumber `json:"p"`
	Faster jsonNumber `json:"faster"`
	Exact  bool       `json:"exact"`
}

type jsonProofs struct {
	Effect       *jsonInterval `json:"effect"`
	Classic      *jsonInterval `json:"classic"`
	GasSlope     jsonNumber    `json:"gas_slope"`
	Transactions bool          `json:"transactions"`
	Gas          [2]jsonNumber `json:"gas"`
	Outside      int           `json:"outside"`
	PermutationP jsonNumber    `json:"permutation_p"`
	Exact        bool          `json:"exact"`
}

func groupsOf(g *compare.Groups) *jsonGroups {
	if g == nil {
		return nil
	}
	out := &jsonGroups{
		Why: g.Why, Shift: intervalOf(g.Shift), Typical: intervalOf(g.Typical), Mean: intervalOf(g.Mean),
		MeanRatio: numberOrNull(g.MeanRatio), MedianRatio: numberOrNull(g.MedianRatio), MDE: numberOrNull(g.MDE),
	}
	if t := g.RankSum; t != (stat.RankSumTest{}) {
		out.RankSum = &jsonRankSum{jsonNumber(t.U), jsonNumber(t.P), jsonNumber(t.Faster), t.Exact}
	}
	if p := g.Proofs; p != nil {
		out.Proofs = &jsonProofs{
			Effect: intervalOf(p.Effect.Exp()), Classic: intervalOf(p.Classic.Exp()), GasSlope: jsonNumber(p.GasSlope),
			Transactions: p.Transactions, Gas: [2]jsonNumber{jsonNumber(p.Support[0]), jsonNumber(p.Support[1])},
			Outside: p.Outside, PermutationP: jsonNumber(p.Permutation), Exact: p.Exact,
		}
	}
	return out
}

// jsonParity is the parity of the answers. OK is null when nothing was checked;
// the counts are those of the whole lists.
type jsonParity struct {
	OK *bool `json:"ok"`
	compare.Parity
	DifferentCount int `json:"different_count"`
	RefusedCount   int `json:"refused_count"`
}

func parityOf(p compare.Parity) jsonParity {
	out := jsonParity{Parity: p, DifferentCount: len(p.Different), RefusedCount: len(p.Refused)}
	if ok := p.OK(); p.Checked > 0 || !ok {
		out.OK = &ok
	}
	out.Different, out.Refused = firstOf(p.Different), firstOf(p.Refused)
	return out
}

// excludedOf is what was not compared, each block named once.
func excludedOf(excluded []compare.Exclusion) []compare.Exclusion {
	out := listOf(excluded)
	for i := range out {
		out[i].Blocks = distinct(out[i].Blocks)
	}
	return out
}

// jsonSide is one side: its compared latencies in milliseconds, and what did
// not become one.
type jsonSide struct {
	Name          string                `json:"name"`
	Unit          string                `json:"unit"`
	N             int                   `json:"n"`
	Min           jsonNumber            `json:"min"`
	Max           jsonNumber            `json:"max"`
	Mean          jsonNumber            `json:"mean"`
	Median        jsonNumber            `json:"median"`
	P90           jsonNumber            `json:"p90"`
	P95           jsonNumber            `json:"p95"`
	P99           jsonNumber            `json:"p99"`
	SD            jsonNumber            `json:"sd"`
	GeometricMean jsonNumber            `json:"geometric_mean"`
	Skewness      jsonNumber            `json:"skewness"`
	LogSD         jsonNumber            `json:"log_sd"`
	LogSkewness   jsonNumber            `json:"log_skewness"`
	ACF1          jsonNumber            `json:"acf1"`
	LjungBoxP     jsonNumber            `json:"ljung_box_p"`
	Quantiles     jsonQuantiles         `json:"quantiles"`
	Slowest       *jsonSlowest          `json:"slowest"`
	AskedFirst    *int                  `json:"asked_first"`
	Medians       *jsonMedians          `json:"medians"`
	Failures      map[sample.Status]int `json:"failures"`
	Gaps          []sample.Gap          `json:"gaps"`
	// GapCount and GapNS are the number and the length of all gaps.
	GapCount int   `json:"gap_count"`
	GapNS    int64 `json:"gap_ns"`
}

// jsonQuantiles are quantiles with intervals of order statistics.
type jsonQuantiles struct {
	P50 *jsonInterval `json:"p50"`
	P90 *jsonInterval `json:"p90"`
	P95 *jsonInterval `json:"p95"`
}

type jsonSlowest struct {
	Number uint64     `json:"number"`
	MS     jsonNumber `json:"ms"`
}

// jsonMedians are medians over the samples of the pairs; those of ServerMS,
// ImportMS and StoreMS over the pairs of which both sides tell them.
type jsonMedians struct {
	ConnectMS    jsonNumber `json:"connect_ms"`
	FirstByteMS  jsonNumber `json:"first_byte_ms"`
	BodyMS       jsonNumber `json:"body_ms"`
	ServerMS     jsonNumber `json:"server_ms"`
	ImportMS     jsonNumber `json:"import_ms"`
	StoreMS      jsonNumber `json:"store_ms"`
	AnswerBytes  jsonNumber `json:"answer_bytes"`
	WireBytes    jsonNumber `json:"wire_bytes"`
	StateNodes   jsonNumber `json:"state_nodes"`
	Gas          jsonNumber `json:"gas"`
	Transactions jsonNumber `json:"transactions"`
}

func sideOf(r *Run, lost losses, side int) jsonSide {
	res := r.Result
	l := &res.Sides[side]
	some, many := l.N > 0, l.N > 2
	out := jsonSide{
		Name: r.Manifest.Sides[side].Ref, Unit: "ms", N: l.N,
		Min: numberIf(l.Min, some), Max: numberIf(l.Max, some), Mean: numberIf(l.Mean, some), Median: numberIf(l.Median, some),
		P90: numberIf(l.P90, some), P95: numberIf(l.P95, some), P99: numberIf(l.P99, l.N >= stat.TailPairs),
		SD: numberIf(l.SD, l.N > 1), GeometricMean: numberOrNull(l.GeometricMean), Skewness: numberIf(l.Skewness, many),
		LogSD: numberIf(l.LogSD, l.N > 1), LogSkewness: numberIf(l.LogSkewness, many), ACF1: numberIf(l.ACF1, many),
		LjungBoxP: numberIf(l.LjungBox, some), Failures: map[sample.Status]int{}, Gaps: firstOf(lost.gaps),
		GapCount: len(lost.gaps), GapNS: gapTotal(lost.gaps),
	}
	for status, n := range lost.failed {
		out.Failures[status] = n
	}
	if res.Inputs != nil {
		out.Name = res.Inputs[side].Name
	}
	if q := l.Quantiles; len(q) == 3 {
		out.Quantiles = jsonQuantiles{intervalOf(q[0]), intervalOf(q[1]), intervalOf(q[2])}
	}
	for _, p := range res.Pairs {
		if out.Slowest == nil || p.MS[side] > float64(out.Slowest.MS) {
			out.Slowest = &jsonSlowest{p.Number, jsonNumber(p.MS[side])}
		}
	}
	if sampled(res) {
		out.Medians = mediansOf(res, side)
		out.AskedFirst = askedFirst(res, side)
	}
	return out
}

// askedFirst counts the pairs of which the side was asked first, and is null
// where the order is not known.
func askedFirst(r *compare.Result, side int) *int {
	n := 0
	for i := range r.Pairs {
		switch r.Pairs[i].Samples[side].Order {
		case 0:
			return nil
		case 1:
			n++
		}
	}
	return &n
}

func mediansOf(r *compare.Result, side int) *jsonMedians {
	median := func(of func(*sample.Sample) int64) float64 {
		x := make([]float64, len(r.Pairs))
		for i := range r.Pairs {
			x[i] = float64(of(r.Pairs[i].Samples[side]))
		}
		slices.Sort(x)
		return stat.Quantile(x, 0.5)
	}
	ms := func(of func(*sample.Sample) int64) float64 { return median(of) / float64(time.Millisecond) }
	known := func(of func(*sample.Sample) int64) jsonNumber {
		base, test, n := knownMedians(r, of)
		return numberIf([2]float64{base, test}[side]/float64(time.Millisecond), n > 0)
	}
	return &jsonMedians{
		ConnectMS:    jsonNumber(ms(func(s *sample.Sample) int64 { return s.ConnectNS })),
		FirstByteMS:  jsonNumber(ms(func(s *sample.Sample) int64 { return s.FirstByteNS })),
		BodyMS:       jsonNumber(ms(func(s *sample.Sample) int64 { return s.BodyNS })),
		ServerMS:     known(func(s *sample.Sample) int64 { return s.ServerNS }),
		ImportMS:     known(func(s *sample.Sample) int64 { return s.ImportNS }),
		StoreMS:      known(func(s *sample.Sample) int64 { return s.StoreNS }),
		AnswerBytes:  jsonNumber(median(func(s *sample.Sample) int64 { return s.BodyBytes })),
		WireBytes:    jsonNumber(median(func(s *sample.Sample) int64 { return s.WireBytes })),
		StateNodes:   jsonNumber(median(func(s *sample.Sample) int64 { return int64(s.StateNodes) })),
		Gas:          jsonNumber(median(func(s *sample.Sample) int64 { return int64(s.GasUsed) })),
		Transactions: jsonNumber(median(func(s *sample.Sample) int64 { return int64(s.Transactions) })),
	}
}

type jsonBatches struct {
	Baseline []jsonBatch `json:"baseline"`
	Test     []jsonBatch `json:"test"`
}

type jsonBatch struct {
	Number       uint64     `json:"number"`
	MS           jsonNumber `json:"ms"`
	Gas          jsonNumber `json:"gas"`
	Transactions jsonNumber `json:"transactions"`
	Blocks       jsonNumber `json:"blocks"`
}

func batchesOf(r *compare.Result) *jsonBatches {
	if r.Subject != compare.Proof {
		return nil
	}
	var sides [2][]jsonBatch
	for side, batches := range r.Batches {
		sides[side] = make([]jsonBatch, len(batches))
		for i, b := range batches {
			sides[side][i] = jsonBatch{
				Number: b.Number, MS: jsonNumber(b.MS), Gas: numberOrNull(float64(b.Gas)),
				Transactions: numberOrNull(float64(b.Txs)), Blocks: numberOrNull(float64(b.Blocks)),
			}
		}
	}
	return &jsonBatches{sides[0], sides[1]}
}

type jsonInput struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"`
	Network string `json:"network"`
	Lines   int    `json:"lines"`
	Values  int    `json:"values"`
}

func inputsOf(in *[2]compare.Input) *[2]jsonInput {
	if in == nil {
		return nil
	}
	var out [2]jsonInput
	for side, i := range in {
		out[side] = jsonInput{Name: i.Name, Kind: string(i.Kind), Network: i.Network, Lines: i.Lines, Values: i.Values}
	}
	return &out
}
