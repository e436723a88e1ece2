package program

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/spec"
)

// Values are what placeholders stand for. Those that are empty are left as they
// are, which is how a plan shows what is known only when it is carried out.
type Values struct {
	Binary, Datadir, Genesis, JWT string
	// Ports of the loopback interface, in decimal.
	HTTPPort, EnginePort, P2PPort, MetricsPort string
}

// named are the placeholders, each with its value, in the order of messages.
func (v Values) named() [][2]string {
	return [][2]string{
		{"{binary}", v.Binary}, {"{datadir}", v.Datadir}, {"{genesis}", v.Genesis}, {"{jwt}", v.JWT},
		{"{http_port}", v.HTTPPort}, {"{engine_port}", v.EnginePort},
		{"{p2p_port}", v.P2PPort}, {"{metrics_port}", v.MetricsPort},
	}
}

// placeholder is a name in braces. Other braces, as of JSON, are left alone.
var placeholder = regexp.MustCompile(`\{[a-z][a-z0-9_]*\}`)

// checkPlaceholders refuses names that nothing fills in.
func checkPlaceholders(arg string) error {
	var names []string
	for _, p := range (Values{}).named() {
		names = append(names, p[0])
	}
	for _, found := range placeholder.FindAllString(arg, -1) {
		if !slices.Contains(names, found) {
			return fmt.Errorf("the placeholder %s in %q is unknown: choose among %s", found, arg, strings.Join(names, ", "))
		}
	}
	return nil
}

// Expand fills the placeholders of argv in. What is filled in is not looked at
// again.
func (v Values) Expand(argv []string) []string {
	values := make(map[string]string)
	for _, p := range v.named() {
		values[p[0]] = p[1]
	}
	out := make([]string, len(argv))
	for i, arg := range argv {
		out[i] = placeholder.ReplaceAllStringFunc(arg, func(found string) string {
			if value := values[found]; value != "" {
				return value
			}
			return found
		})
	}
	return out
}

// Args are the user's additions to the command of one side: those of both
// sides, then its own, so that its own win where the last one does.
func Args(p *spec.Program, side *spec.Side) []string {
	var args []string
	if p != nil {
		args = append(args, p.Args...)
	}
	return append(args, side.Args...)
}

// Argv is the command with v filled in, the optional arguments that help, the
// program's own help text, knows, and the user's args last. An optional
// argument that the user gives is left to the user. The error, a missing
// prerequisite, is a program that is not the described one: its help text lacks
// flags of the command.
func (d Description) Argv(v Values, help string, args ...string) ([]string, error) {
	var missing []string
	known := flagsIn(help)
	if d.Help != nil {
		for _, flag := range flagsOf(d.Command) {
			if !known[flag] {
				missing = append(missing, flag)
			}
		}
	}
	if len(missing) > 0 {
		return nil, fault.Newf(fault.Prerequisite, "%s is not the %s that this verdict knows how to start: its help text lacks %s; it begins with %q",
			v.Binary, d.Name, strings.Join(missing, ", "), opening(help)).
			Hint("%s shows what it knows; program.command in the spec file says how another is started", strings.Join(v.Expand(d.Help), " "))
	}
	argv := slices.Clone(d.Command)
	given := flagsOf(args)
	for _, group := range d.Optional {
		if known[group[0]] && !slices.Contains(given, group[0]) {
			argv = append(argv, group...)
		}
	}
	return v.Expand(append(argv, args...)), nil
}

// Optionally describes, for a plan, the arguments that are passed only to the
// versions that know them; empty when there are none.
func (d Description) Optionally(args []string) string {
	given := flagsOf(args)
	var groups []string
	for _, group := range d.Optional {
		if !slices.Contains(given, group[0]) {
			groups = append(groups, strings.Join(group, " "))
		}
	}
	return strings.Join(groups, ", ")
}

// flagsOf are the long flags among argv, without values.
func flagsOf(argv []string) []string {
	var flags []string
	for _, arg := range argv {
		if strings.HasPrefix(arg, "--") && arg != "--" {
			flag, _, _ := strings.Cut(arg, "=")
			flags = append(flags, flag)
		}
	}
	return flags
}

// longFlag is a flag in a help text.
var longFlag = regexp.MustCompile(`(?:^|[^\w.-])(--[a-zA-Z0-9][\w.-]*[a-zA-Z0-9])`)

// flagsIn are the long flags that a help text names.
func flagsIn(help string) map[string]bool {
	flags := make(map[string]bool)
	for _, m := range longFlag.FindAllStringSubmatch(ansi.ReplaceAllString(help, ""), -1) {
		flags[m[1]] = true
	}
	return flags
}

// ansi is a color of a terminal.
var ansi = regexp.MustCompile("\x1b\\[[0-9;]*m")

// opening is the first line of a text that holds anything, shortened.
func opening(text string) string {
	const most = 100
	for line := range strings.Lines(ansi.ReplaceAllString(text, "")) {
		if line = strings.TrimSpace(line); line != "" {
			if len(line) > most {
				line = strings.ToValidUTF8(line[:most], "") + "..."
			}
			return line
		}
	}
	return ""
}
