package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/ethereum/go-ethereum/common"

	"github.com/verdict-bench/verdict/internal/load"
	"github.com/verdict-bench/verdict/internal/send"
)

// loadState says how a load ended.
type loadState string

const (
	stateDone        loadState = "done"
	stateFailed      loadState = "failed"
	stateInterrupted loadState = "interrupted"
)

// loadSummary is a load that has ended.
type loadSummary struct {
	Type      load.Type
	Legacy    bool
	Seed      uint64
	Accounts  int
	Node      string
	ChainID   uint64
	Contracts load.Contracts
	State     loadState
	// Error is why it failed.
	Error  string
	Report send.Report
}

// loadRecordVersion is the version of [loadRecord]: it grows when a field
// changes its meaning, not when one is added.
const loadRecordVersion = 1

// loadRecord is a line of --json, as docs/load.md describes it.
type loadRecord struct {
	V int `json:"v"`
	// Kind is interval, or total for the last line.
	Kind string    `json:"kind"`
	At   time.Time `json:"at"`
	// Interval is since the last line; the last line has none.
	Interval   *send.Figures          `json:"interval,omitempty"`
	Total      send.Figures           `json:"total"`
	Pending    int64                  `json:"pending"`
	Waiting    int64                  `json:"waiting"`
	Head       uint64                 `json:"head"`
	BaseFee    uint64                 `json:"base_fee"`
	MaxPending int64                  `json:"max_pending"`
	Note       string                 `json:"note,omitempty"`
	Messages   map[send.Reason]string `json:"messages,omitempty"`
	GivenUp    []send.GivenUp         `json:"given_up,omitempty"`
	// Load is in the last line alone.
	Load *loadRecordEnd `json:"load,omitempty"`
}

// loadRecordEnd is what the last line has beside the figures.
type loadRecordEnd struct {
	State    loadState `json:"state"`
	Error    string    `json:"error,omitempty"`
	Type     load.Type `json:"type"`
	Legacy   bool      `json:"legacy"`
	Seed     uint64    `json:"seed"`
	Accounts int       `json:"accounts"`
	Node     string    `json:"node"`
	ChainID  uint64    `json:"chain_id"`
	// Contracts are those that were called, as --contract takes them.
	Contracts map[load.Type]common.Address `json:"contracts,omitempty"`
}

func intervalRecord(r send.Report, at time.Time) loadRecord {
	interval := r.Interval
	return loadRecord{
		V: loadRecordVersion, Kind: "interval", At: at.UTC(), Interval: &interval, Total: r.Total,
		Pending: r.Pending, Waiting: r.Waiting, Head: r.Head, BaseFee: r.BaseFee, MaxPending: r.MaxPending,
		Note: r.Note, Messages: r.Messages, GivenUp: r.GivenUp,
	}
}

func totalRecord(s loadSummary, at time.Time) loadRecord {
	r := intervalRecord(s.Report, at)
	r.Kind, r.Interval = "total", nil
	r.Load = &loadRecordEnd{
		State: s.State, Error: s.Error, Type: s.Type, Legacy: s.Legacy, Seed: s.Seed,
		Accounts: s.Accounts, Node: s.Node, ChainID: s.ChainID, Contracts: contractsByType(s.Contracts),
	}
	return r
}

// loadLine is one line of progress: the totals, and the rates of the interval.
// Rates and times are offered before included, p50 before p99.
func loadLine(r send.Report) string {
	t, i := r.Total, r.Interval
	line := fmt.Sprintf("sent %d  accepted %d  included %d  pending %d", t.Offered, t.Accepted, t.Included, r.Pending)
	for _, part := range []struct {
		name string
		n    int64
	}{{"reverted", t.Reverted}, {"dropped", t.Dropped}, {"waiting", r.Waiting}} {
		if part.n > 0 {
			line += fmt.Sprintf("  %s %d", part.name, part.n)
		}
	}
	line += fmt.Sprintf("  %.0f/%.0f tx/s  %.1f/%.1f Mgas/s", i.OfferedTPS, i.IncludedTPS, i.OfferedMGas, i.IncludedMGas)
	if i.Latency.N > 0 {
		line += fmt.Sprintf("  %s/%s s", seconds(i.Latency.P50), seconds(i.Latency.P99))
	}
	return line
}

// seconds writes a duration in seconds with three digits.
func seconds(s float64) string {
	switch {
	case s < 10:
		return fmt.Sprintf("%.2f", s)
	case s < 100:
		return fmt.Sprintf("%.1f", s)
	}
	return fmt.Sprintf("%.0f", s)
}

// tableWidth is what the lines of the table keep within, texts of the node
// apart that have no room for it: those are cut.
const tableWidth = 80

// loadTable is the end of a load, for people to read.
func loadTable(s loadSummary) string {
	var b strings.Builder
	t := s.Report.Total
	tableHead(&b, s)
	fmt.Fprintf(&b, "\n%-12s %12s %12s %12s\n", "", "count", "tx/s", "Mgas/s")
	fmt.Fprintf(&b, "%-12s %12d %12.1f %12.2f\n", "offered", t.Offered, t.OfferedTPS, t.OfferedMGas)
	fmt.Fprintf(&b, "%-12s %12d\n", "accepted", t.Accepted)
	fmt.Fprintf(&b, "%-12s %12d %12.1f %12.2f\n", "included", t.Included, t.IncludedTPS, t.IncludedMGas)
	fmt.Fprintf(&b, "%-12s %12d\n", "  reverted", t.Reverted)
	for _, row := range []struct {
		name string
		n    int64
	}{
		{"pending", s.Report.Pending}, {"dropped", t.Dropped}, {"waiting", s.Report.Waiting}, {"abandoned", t.Abandoned},
		{"resent", t.Resent}, {"unanswered", t.Unanswered}, {"behind", t.Behind}, {"reorged", t.Reorged},
	} {
		// The first two are parts of the sums below; of the others only what
		// happened is worth a line.
		if row.n != 0 || row.name == "pending" || row.name == "dropped" {
			fmt.Fprintf(&b, "%-12s %12d\n", row.name, row.n)
		}
	}
	fmt.Fprintf(&b, "\n%s\n", sum("accepted", t.Accepted, "included", t.Included, "pending", s.Report.Pending, "dropped", t.Dropped))
	fmt.Fprintf(&b, "%s\n", sum("offered", t.Offered, "included", t.Included, "pending", s.Report.Pending, "waiting", s.Report.Waiting, "abandoned", t.Abandoned))
	if l := t.Latency; l.N > 0 {
		fmt.Fprintf(&b, "\ntime to inclusion in s: p50 %s, p90 %s, p99 %s, longest %s\n",
			seconds(l.P50), seconds(l.P90), seconds(l.P99), seconds(l.Max))
	}
	tableRefusals(&b, s.Report)
	tableNotes(&b, s)
	return b.String()
}

// tableHead says what was sent, where to, and how long it took.
func tableHead(b *strings.Builder, s loadSummary) {
	kind := string(s.Type)
	if s.Legacy {
		kind += " as load_test sends it"
	}
	fmt.Fprintf(b, "%s, senders: %d\nseed %d, chain %d\n", kind, s.Accounts, s.Seed, s.ChainID)
	t := s.Report.Total
	fmt.Fprintf(b, "%s after %s s; blocks seen: %d, the last is %d\n", s.State, seconds(t.Seconds), t.Blocks, s.Report.Head)
	called := contractsByType(s.Contracts)
	for _, t := range load.Types {
		if at, ok := called[t]; ok {
			fmt.Fprintf(b, "--contract %s=%s\n", t, at)
		}
	}
}

// contractsByType are the contracts that there are.
func contractsByType(c load.Contracts) map[load.Type]common.Address {
	called := map[load.Type]common.Address{
		load.ERC20: c.Token, load.Fibonacci: c.Fibonacci, load.IOHeavy: c.IOHeavy, load.WitnessHeavy: c.Heavy,
	}
	maps.DeleteFunc(called, func(_ load.Type, at common.Address) bool { return at == common.Address{} })
	return called
}

// sum writes an equation of named numbers; the first is the sum of the others.
func sum(of string, n int64, parts ...any) string {
	text := fmt.Sprintf("%s %d =", of, n)
	for i := 0; i < len(parts); i += 2 {
		if i > 0 {
			text += " +"
		}
		text += fmt.Sprintf(" %s %d", parts[i], parts[i+1])
	}
	return text
}

// tableRefusals lists why the node refused transactions, most frequent first.
func tableRefusals(b *strings.Builder, r send.Report) {
	reasons := slices.SortedFunc(maps.Keys(r.Total.Rejected), func(x, y send.Reason) int {
		if d := r.Total.Rejected[y] - r.Total.Rejected[x]; d != 0 {
			return int(d)
		}
		return strings.Compare(string(x), string(y))
	})
	if len(reasons) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%-25s %11s  %s\n", "refused", "times", "the node's last words")
	for _, reason := range reasons {
		line := fmt.Sprintf("  %-23s %11d  %s", reason, r.Total.Rejected[reason], printable(r.Messages[reason]))
		fmt.Fprintln(b, cut(strings.TrimRight(line, " "), tableWidth))
	}
}

// tableNotes says what a reader should not overlook.
func tableNotes(b *strings.Builder, s loadSummary) {
	var notes []string
	t := s.Report.Total
	if t.Reverted > 0 {
		notes = append(notes, fmt.Sprintf("%d of %d included transactions reverted", t.Reverted, t.Included))
		if s.Legacy && s.Type == load.Fibonacci {
			notes = append(notes, "  as all of load_test's fibonacci calls do")
		}
	}
	if s.Report.Pending+s.Report.Waiting > 0 {
		notes = append(notes, fmt.Sprintf("%d transactions are on their way and not included", s.Report.Pending+s.Report.Waiting))
	}
	if n := len(s.Report.GivenUp); n > 0 {
		first := s.Report.GivenUp[0]
		notes = append(notes, fmt.Sprintf("accounts given up: %d, %s for:", n, first.Account), "  "+printable(first.Reason))
	}
	if t.Behind > 0 {
		notes = append(notes, "the rate was not reached: as many as are behind were not sent in their time")
	}
	if len(notes) > 0 {
		fmt.Fprintln(b)
	}
	for _, note := range notes {
		fmt.Fprintln(b, cut(note, tableWidth))
	}
}

// cut shortens a line to at most n characters.
func cut(line string, n int) string {
	runes := []rune(line)
	if len(runes) <= n {
		return line
	}
	return string(runes[:n-1]) + "…"
}

// printable replaces what a node's text could do to a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r == ' ' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
