package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/verdict-bench/verdict/internal/compare"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/report"
	"github.com/verdict-bench/verdict/internal/spec"
	"github.com/verdict-bench/verdict/internal/store"
)

// formats are the report formats by name.
var formats = []struct {
	name  string
	write func(io.Writer, *report.Run) error
}{
	{"text", report.Text},
	{"md", report.Markdown},
	{"json", report.JSON},
}

func formatNames() []string {
	var names []string
	for _, f := range formats {
		names = append(names, f.name)
	}
	return names
}

func newReport(w World) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "report RUN",
		Short: "Remake the report of a run from its stored samples",
		Long: `Analyzes the stored samples of a run again and prints the report. A run that
was interrupted or killed is reported as incomplete, with what it has.`,
		Example: `  verdict report runs/2026-11-22T10-15-30Z-witness-local
  verdict report --format md runs/2026-11-22T10-15-30Z-witness-local > comment.md`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runReport(w, args[0], format)
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "one of "+strings.Join(formatNames(), ", "))
	cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formatNames(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func runReport(w World, dir, format string) error {
	i := slices.Index(formatNames(), format)
	if i < 0 {
		return fault.Newf(fault.Usage, "--format %q is unknown: choose one of %s", format, strings.Join(formatNames(), ", "))
	}
	r, err := readRun(dir)
	if err != nil {
		return err
	}
	return formats[i].write(w.Stdout, r)
}

// readRun loads a run and analyzes it by the rule in its own spec.
func readRun(dir string) (*report.Run, error) {
	data, err := store.Read(dir)
	if err != nil {
		return nil, err
	}
	if got, want := spec.Hash(data.Spec), data.Manifest.SpecHash; got != want {
		return nil, fault.Newf(fault.Usage, "%s/%s was changed after the run began: its hash is %s, registered was %s",
			dir, store.SpecName, got, want).Hint("restore the file: the rule that judges a run is fixed before its first sample")
	}
	s, err := spec.Decode(data.Spec)
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w", dir, store.SpecName, err)
	}
	return &report.Run{
		Manifest: data.Manifest,
		Result:   compare.Analyze(data.Records, compare.RuleOf(&s)),
		Dir:      dir,
		Warnings: data.Warnings,
	}, nil
}
