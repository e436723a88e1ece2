package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/report"
	"github.com/verdict-bench/verdict/internal/store"
)

// format is one form of the report.
type format struct {
	name string
	// file is what the report is called in a directory.
	file  string
	write func(io.Writer, *report.Run) error
}

var formats = []format{
	{"text", "report.txt", report.Text},
	{"md", "report.md", report.Markdown},
	{"html", "report.html", report.HTML},
	{"json", "report.json", report.JSON},
	{"csv", "report.csv", report.CSV},
	{"benchfmt", "report.bench", report.Benchfmt},
}

// samplesFormat is the second half of csv: what stands behind the pairs.
var samplesFormat = format{"csv", "report-samples.csv", report.SamplesCSV}

func formatNames() []string {
	var names []string
	for _, f := range formats {
		names = append(names, f.name)
	}
	return names
}

// output is where a command puts its report and in which formats.
type output struct {
	list string
	json bool
	dir  string
	cmd  *cobra.Command
}

func (o *output) addFlags(cmd *cobra.Command, dirUsage string) {
	o.cmd = cmd
	f := cmd.Flags()
	f.StringVar(&o.list, "format", "text", "one or more of "+strings.Join(formatNames(), ", ")+", as in `text,md`")
	f.StringVar(&o.dir, "out", "", dirUsage)
	f.BoolVar(&o.json, "json", false, "the same as --format json")
	cmd.RegisterFlagCompletionFunc("format", completeFormats)
}

// completeFormats completes the last name of a list.
func completeFormats(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	done := typed[:strings.LastIndexByte(typed, ',')+1]
	var out []string
	for _, name := range formatNames() {
		if !slices.Contains(strings.Split(done, ","), name) {
			out = append(out, done+name)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// choose are the formats that were asked for, each once.
func (o *output) choose() ([]format, error) {
	if o.json {
		if o.cmd.Flags().Changed("format") {
			return nil, fault.Newf(fault.Usage, "--json and --format exclude each other")
		}
		o.list = "json"
	}
	var chosen []format
	for name := range strings.SplitSeq(o.list, ",") {
		name = strings.TrimSpace(name)
		i := slices.IndexFunc(formats, func(f format) bool { return f.name == name })
		if i < 0 {
			return nil, fault.Newf(fault.Usage, "--format %q is unknown: choose one or more of %s", name, strings.Join(formatNames(), ", "))
		}
		if !slices.ContainsFunc(chosen, func(f format) bool { return f.name == name }) {
			chosen = append(chosen, formats[i])
		}
	}
	return chosen, nil
}

// put writes the report in the chosen formats: one to stdout, several into
// files, whose paths then go to stdout. The directory of --out comes before
// dir, and sends a single format into a file too.
func (o *output) put(w World, r *report.Run, chosen []format, dir string) error {
	if len(chosen) == 1 && o.dir == "" {
		out := bufio.NewWriter(w.Stdout)
		return errors.Join(chosen[0].write(out, r), out.Flush())
	}
	if o.dir != "" {
		dir = o.dir
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fault.Newf(fault.Prerequisite, "creating the directory for reports: %w", err)
		}
	}
	if slices.ContainsFunc(chosen, func(f format) bool { return f.name == "csv" }) && len(r.Records[0])+len(r.Records[1]) > 0 && r.Result.Proving == nil {
		chosen = append(slices.Clip(chosen), samplesFormat)
	}
	for _, f := range chosen {
		var b bytes.Buffer
		if err := f.write(&b, r); err != nil {
			return err
		}
		path := filepath.Join(dir, f.file)
		if err := store.WriteFile(path, b.Bytes()); err != nil {
			return fault.As(fault.Prerequisite, err)
		}
		if _, err := fmt.Fprintln(w.Stdout, path); err != nil {
			return err
		}
	}
	return nil
}
