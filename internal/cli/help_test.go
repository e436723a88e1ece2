package cli

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Every command has a help that shows examples.
func TestHelp_examples(t *testing.T) {
	root := newRoot(OS())
	for _, cmd := range allCommands(root) {
		if cmd.Hidden || cmd.HasSubCommands() || cmd.Name() == "help" || strings.HasPrefix(cmd.CommandPath(), "verdict completion") {
			continue
		}
		if cmd.Example == "" {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		if cmd.Short == "" || cmd.Long == "" {
			t.Errorf("%s has no description", cmd.CommandPath())
		}
	}
}

func allCommands(cmd *cobra.Command) []*cobra.Command {
	out := []*cobra.Command{cmd}
	for _, sub := range cmd.Commands() {
		out = append(out, allCommands(sub)...)
	}
	return out
}
