package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/verdict-bench/verdict/internal/stateless"
	"github.com/verdict-bench/verdict/internal/witness"
)

// checkJSON is one check in the output of verdict check --json.
type checkJSON struct {
	Source string `json:"source"`
	Number uint64 `json:"number"`
	Hash   string `json:"hash"`
	// Outcome is complete, incomplete or not-checked.
	Outcome string `json:"outcome"`
	// Problem is empty for a complete witness.
	Problem string `json:"problem,omitempty"`
	// Missing are the elements that are missing, as far as they were met.
	Missing      []string `json:"missing,omitempty"`
	GasUsed      uint64   `json:"gas_used"`
	Transactions int      `json:"transactions"`
	// VerifyNS is the fastest of three verifications, MgasPerSecond its speed.
	VerifyNS      int64   `json:"verify_ns,omitempty"`
	MgasPerSecond float64 `json:"mgas_per_second,omitempty"`
	// Witness is absent when what was served is none.
	Witness *witness.Summary `json:"witness,omitempty"`
	// Unneeded counts elements that re-execution did not read.
	Unneeded *unneededJSON `json:"unneeded,omitempty"`
}

type unneededJSON struct {
	State   int `json:"state"`
	Codes   int `json:"codes"`
	Headers int `json:"headers"`
}

// printChecksJSON prints one object.
func printChecksJSON(w io.Writer, outcomes []checkOutcome) error {
	checks := make([]checkJSON, len(outcomes))
	for i := range outcomes {
		checks[i] = outcomes[i].json()
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		Checks []checkJSON `json:"checks"`
	}{checks})
}

func (o *checkOutcome) json() checkJSON {
	c := checkJSON{
		Source:       o.source,
		Number:       o.block.NumberU64(),
		Hash:         o.block.Hash().Hex(),
		Outcome:      "complete",
		GasUsed:      o.block.GasUsed(),
		Transactions: len(o.block.Transactions()),
	}
	if o.witness != nil {
		c.Witness = &o.summary
	}
	if o.err == nil {
		c.VerifyNS, c.MgasPerSecond = o.result.Duration.Nanoseconds(), o.result.MgasPerSecond()
		r := o.result
		c.Unneeded = &unneededJSON{r.Nodes - r.NodesUsed, r.Codes - r.CodesUsed, r.Headers - r.HeadersUsed}
		return c
	}
	var block *stateless.BlockError
	var missing *stateless.MissingError
	c.Problem, c.Outcome = o.err.Error(), "incomplete"
	if errors.As(o.err, &block) {
		c.Outcome = "not-checked"
	}
	if errors.As(o.err, &missing) {
		for _, m := range missing.Missing {
			c.Missing = append(c.Missing, m.String())
		}
	}
	return c
}

// printChecks prints the outcomes for people, in 80 columns.
func printChecks(w io.Writer, outcomes []checkOutcome) error {
	var b strings.Builder
	for i := range outcomes {
		if i > 0 {
			b.WriteByte('\n')
		}
		outcomes[i].print(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (o *checkOutcome) print(b *strings.Builder) {
	row := func(name, format string, args ...any) {
		fmt.Fprintf(b, "  %-11s %s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(b, "block %d: %s\n", o.block.NumberU64(), o.label())
	if o.err != nil {
		// A hash is as wide as the column of values, so this has lines of its
		// own.
		fmt.Fprintf(b, "  problem\n    %s\n", strings.Join(fold(o.err.Error(), 76), "\n    "))
	}
	row("source", "%s", o.source)
	row("hash", "%s", o.block.Hash())
	row("gas", "%s, %s", digits(int64(o.block.GasUsed())), plural(len(o.block.Transactions()), "transaction"))
	if o.witness == nil {
		return
	}
	s := o.summary
	parts := func(name string, count int, of func(witness.Parts) int64, unit string, unneeded int) {
		notes := []string{fmt.Sprintf("%s, %s", plural(count, unit), sizeText(of(s.Bytes)))}
		if n := of(s.Nulls); n > 0 {
			notes = append(notes, fmt.Sprintf("%d null", n))
		}
		if n := of(s.Duplicates); n > 0 {
			notes = append(notes, fmt.Sprintf("%d repeated", n))
		}
		if o.err == nil && unneeded > 0 {
			notes = append(notes, fmt.Sprintf("%d not needed", unneeded))
		}
		row(name, "%s", strings.Join(notes, ", "))
	}
	r := o.result
	parts("state", s.StateNodes, func(p witness.Parts) int64 { return p.State }, "node", r.Nodes-r.NodesUsed)
	parts("codes", s.Codes, func(p witness.Parts) int64 { return p.Codes }, "code", r.Codes-r.CodesUsed)
	parts("keys", s.Keys, func(p witness.Parts) int64 { return p.Keys }, "key", 0)
	parts("headers", s.Headers, func(p witness.Parts) int64 { return p.Headers }, "header", r.Headers-r.HeadersUsed)
	row("digest", "%s", s.Digest)
	row("keys digest", "%s", s.KeysDigest)
	if o.err == nil {
		row("verified", "in %.1f ms, %.0f Mgas/s (fastest of %d)",
			float64(r.Duration.Nanoseconds())/1e6, r.MgasPerSecond(), repeats)
	}
}

// fold breaks text into lines of at most width bytes where it has blanks.
func fold(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// plural writes a number with its unit.
func plural(n int, unit string) string {
	if n != 1 {
		unit += "s"
	}
	return digits(int64(n)) + " " + unit
}

// digits writes a number with commas between thousands.
func digits(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// sizeText writes a number of bytes in decimal units.
func sizeText(n int64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.2f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d bytes", n)
}
