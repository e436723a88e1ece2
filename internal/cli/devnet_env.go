package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/verdict-bench/verdict/internal/fault"
)

// fromEnvironment gives flags that were not given the values of environment
// variables, as the programs of ethrex do. variables has the name of the
// variable by that of the flag. An empty variable is as good as none; one of a
// switch must be true or false and nothing else.
func fromEnvironment(w World, cmd *cobra.Command, variables map[string]string) error {
	flags := cmd.Flags()
	var names []string
	for name := range variables {
		names = append(names, name)
	}
	slices.Sort(names) // so that of several mistakes always the same is told
	for _, name := range names {
		flag := flags.Lookup(name)
		value := w.Getenv(variables[name])
		if flag == nil || flag.Changed || value == "" {
			continue
		}
		var err error
		if flag.Value.Type() == "bool" && value != "true" && value != "false" {
			err = fmt.Errorf("want true or false")
		} else {
			err = flag.Value.Set(value)
		}
		var number *strconv.NumError
		if errors.As(err, &number) {
			err = fmt.Errorf("want a whole number: %w", number.Err)
		}
		if err != nil {
			// The value may be a secret.
			return fault.Newf(fault.Usage, "environment variable %s, for --%s: %w", variables[name], name, err)
		}
		flag.Changed = true
	}
	return nil
}
