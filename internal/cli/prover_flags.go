package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/verdict-bench/verdict/internal/spec"
)

// How the values of flags are written that hold several.
const (
	portsForm     = "l1=8545,l2=1729,metrics=3702,coordinator=3900,admin=5555"
	intervalsForm = "block=5s,commit=1m,watch=12s,send=5s,poll=5s"
	timeoutsForm  = "ready=5m,funded=5m,loaded=10m,proof=1h"
)

func (o *proverOptions) changed(name string) bool { return o.flags.Flags().Changed(name) }

// value declares a flag for key, whose default is that of a run on a server.
func (o *proverOptions) value(cmd *cobra.Command, name, key, kind, usage string) {
	d := spec.ProverDefaults(spec.Live)
	f := &specFlag{name: name, key: key, kind: kind, shown: strings.Join(d.Texts(key), ","), try: new(spec.Prover).Set}
	o.values = append(o.values, f)
	f.declare(cmd, usage)
}

func (o *proverOptions) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&o.local, "local", false, "run on this machine: the built-in rollup, or another --program")
	o.value(cmd, "host", "host", "ALIAS", "run on this server, as ssh knows it: ethrex, or another --program")
	o.addBuildFlags(cmd)
	o.addLoadFlags(cmd)
	o.addSetupFlags(cmd)
	o.value(cmd, "sessions", "sessions", "int", "turns of each of two sides, in the order ABBA")
	f.Float64Var(&o.marginPercent, "margin", 100*spec.ProverDefaults(spec.Live).Margin, "practical margin in percent: smaller effects do not matter")
	o.value(cmd, "alpha", "alpha", "float", "error rate of the analysis")
	o.value(cmd, "seed", "seed", "uint", "seed of the load (default: random, recorded)")
	f.Lookup("seed").DefValue = ""
	o.value(cmd, "price-per-hour", "price_per_hour", "float", "what an hour of the machine costs: the report tells the cost of a proof")
	o.value(cmd, "currency", "currency", "NAME", "currency of the price")
	f.StringVar(&o.init, "init", "", "write the spec to `FILE` instead of running it")
	f.BoolVar(&o.schema, "schema", false, "print the JSON Schema of spec files, for editors")
	o.proverControl.addFlags(cmd)
	o.addCompletions(cmd)
}

// addBuildFlags declares the flags that say what is built and proves.
func (o *proverOptions) addBuildFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.ref, "ref", "", "the `REF` to benchmark: a branch, tag or commit, or the number of a pull request")
	f.StringVar(&o.builds[0], "baseline", "", "of two builds the `BUILD` to compare with: a git ref, pull request or binary")
	f.StringVar(&o.builds[1], "test", "", "of two builds the `BUILD` with the change")
	o.value(cmd, "program", "program.name", "NAME", "what L1, L2 and prover are of: ethrex, or verdict, the built-in rollup (default: ethrex; with --local verdict)")
	f.Lookup("program").DefValue = ""
	o.value(cmd, "repository", "repository", "DIR", "git clone there that refs are built from (default: ~/ethrex)")
	o.value(cmd, "build", "program.build", "COMMAND", "shell command that builds a ref (default: with the features of the backend)")
	o.value(cmd, "binary", "program.binary", "PATH", "what the build makes, relative to the clone (default: the program's own)")
	o.value(cmd, "arg", "program.args", listKind, "argument for the L2 of both sides; repeatable")
	o.value(cmd, "baseline-arg", "baseline.args", listKind, "argument for the baseline's prover; repeatable")
	o.value(cmd, "test-arg", "test.args", listKind, "argument for the test's prover; repeatable")
	o.value(cmd, "backend", "backend", "string", "what proves: sp1, risc0, or exec, which executes only (default: sp1; built-in: exec)")
	o.value(cmd, "gpu", "gpu", boolKind, "build the prover for a GPU (default: true for sp1)")
	o.value(cmd, "risc0-verifier", "risc0_verifier", "ADDRESS", "risc0: the verifier contract on the L1, which the deployer does not deploy")
}

// addLoadFlags declares the flags that say what is proved.
func (o *proverOptions) addLoadFlags(cmd *cobra.Command) {
	o.value(cmd, "batches", "batches", "int", "batches with load to prove, of each side (--local default: 5)")
	o.value(cmd, "load", "load", "string", "what transactions do: eth-transfers, erc20, fibonacci or io-heavy")
	o.value(cmd, "transactions", "transactions", "int", "transactions of each account")
	o.value(cmd, "endless", "endless", boolKind, "send until the batches are proved (default: true for the built-in rollup with --local)")
	o.value(cmd, "tps", "tps", "float", "transactions a second (default: as many as the L2 takes; likewise 200)")
	o.value(cmd, "generator", "generator", "string", "what sends: verdict, or load_test of ethrex")
	o.value(cmd, "min-transactions", "min_transactions", "int", "fewest transactions of a batch that counts as loaded")
	// No number of batches is one to be assumed.
	cmd.Flags().Lookup("batches").DefValue = ""
}

// addSetupFlags declares the flags that say how the localnet comes to be.
func (o *proverOptions) addSetupFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	o.value(cmd, "running", "running", boolKind, "L1 and L2 run there already: start load and prover only")
	o.value(cmd, "l1", "l1", "string", "how the L1 runs: docker or process (default: docker; built-in: process)")
	o.value(cmd, "l1-image", "l1_image", "IMAGE", "image of the L1's container (default: built from the baseline's ref)")
	o.value(cmd, "clear", "clear", boolKind, "remove what earlier runs left: processes, containers, volumes, databases; each kind needs an approval")
	o.value(cmd, "keep", "keep", boolKind, "leave the localnet running at the end")
	o.value(cmd, "hold-committer", "hold_committer", boolKind, "hold the committer back until the load is there (default: true, unless --running)")
	f.StringVar(&o.ports, "ports", "", "`PORTS` of the localnet (default "+portsForm+")")
	f.StringVar(&o.intervals, "intervals", "", "how often the parts act, `SETTINGS` such as block=5s,commit=1m (default: the program's own; built-in with --local: faster)")
	f.StringVar(&o.timeouts, "timeouts", "", "how long to wait, `SETTINGS` such as proof=1h (default "+timeoutsForm+"; built-in with --local: shorter)")
}

func (o *proverOptions) addCompletions(cmd *cobra.Command) {
	for name, words := range map[string][]string{
		"program":   {spec.Ethrex, spec.BuiltIn},
		"backend":   words(spec.Backends),
		"load":      words(spec.LocalnetLoads),
		"generator": words(spec.Generators),
		"l1":        {string(spec.Docker), string(spec.Process)},
		"approve":   {"remove-processes", "remove-containers", "remove-volumes", "remove-databases"},
	} {
		cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
}

// words are the values of a list of names.
func words[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, word := range list {
		out[i] = string(word)
	}
	return out
}
