package cli

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
)

// specFlag is a flag that gives the value of one key of the spec file. What is
// a legal value, and what the default is, the spec knows.
type specFlag struct {
	name, key string
	kind      string // as the help names it
	shown     string // the default
	// try sets the key of an empty spec, to learn whether the value is legal.
	try   func(key string, texts ...string) error
	texts []string
}

// String is the default before the flag is given, as the help shows it.
func (f *specFlag) String() string {
	if len(f.texts) > 0 {
		return strings.Join(f.texts, ",")
	}
	return f.shown
}

// Type names the kind of value in the help.
func (f *specFlag) Type() string { return f.kind }

// Set takes one value; where the key holds a list, each is one more.
func (f *specFlag) Set(text string) error {
	texts := []string{text}
	if f.kind == listKind {
		texts = append(f.texts, text)
	}
	if err := f.try(f.key, texts...); err != nil {
		return err
	}
	f.texts = texts
	return nil
}

// The kinds of values that flags of the spec have beside numbers and texts.
const (
	boolKind = "bool"
	listKind = "arg"
)

// value declares a flag for key. Its default is that of the first place in
// which the key has a meaning.
func (o *witnessOptions) value(cmd *cobra.Command, name, key, kind, usage string) {
	d := spec.Defaults(spec.PlacesOf(key)[0])
	f := &specFlag{name: name, key: key, kind: kind, shown: strings.Join(d.Texts(key), ","), try: new(spec.Witness).Set}
	o.values = append(o.values, f)
	f.declare(cmd, usage)
}

// declare makes f a flag of cmd.
func (f *specFlag) declare(cmd *cobra.Command, usage string) {
	flag := cmd.Flags().VarPF(f, f.name, "", usage)
	if f.kind == boolKind {
		flag.NoOptDefVal = "true"
	}
}

func (o *witnessOptions) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&o.local, "local", false, "run the built-in node on both sides, on this machine")
	f.BoolVar(&o.devnet, "devnet", false, "run two builds of an execution client on the same blocks")
	f.BoolVar(&o.live, "live", false, "compare two servers that follow a public network")
	o.addLocalFlags(cmd)
	o.addBuildFlags(cmd)
	o.addLiveFlags(cmd)
	o.addRuleFlags(cmd)
	f.StringVar(&o.init, "init", "", "write the spec to `FILE` instead of running it")
	f.BoolVar(&o.schema, "schema", false, "print the JSON Schema of spec files, for editors")
	f.BoolVar(&o.noInput, "no-input", false, "never ask: what is missing is an error")
	f.StringVar(&o.out, "out", "", "run `DIR`ectory, which must not exist (default: runs/TIME-witness-PLACE)")
	f.BoolVar(&o.json, "json", false, "print the result as one JSON object")
	f.BoolVar(&o.dryRun, "dry-run", false, "print the plan and do nothing")
	f.BoolVar(&o.failOnRegression, "fail-on-regression", false, "exit with status 3 when the verdict is \"regresses\"")
	o.addRunFlags(cmd)
	o.addCompletions(cmd)
}

// addLocalFlags declares the flags of local and attached runs.
func (o *witnessOptions) addLocalFlags(cmd *cobra.Command) {
	o.value(cmd, "baseline-witness", "baseline.witness", "string", "local: how the baseline node makes witnesses: on-demand, generated or serialized")
	o.value(cmd, "test-witness", "test.witness", "string", "local: how the test node makes witnesses")
	o.value(cmd, "load", "load", "string", "local, devnet: what transactions do: "+strings.Join(loadNames(), ", "))
	o.value(cmd, "gas", "gas_per_block", "uint", "local, devnet: gas that each block is filled with (30000000 for witness-heavy)")
	o.value(cmd, "baseline-rpc", "baseline.rpc", "URL", "address of a baseline server that already runs")
	o.value(cmd, "test-rpc", "test.rpc", "URL", "address of a test server that already runs")
	o.value(cmd, "genesis", "genesis", "FILE", "servers of your own: genesis of a chain that is not built in, to verify its witnesses")
}

// addBuildFlags declares the flags that say what a devnet or live run compares.
func (o *witnessOptions) addBuildFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	o.value(cmd, "baseline-host", "baseline.host", "ALIAS", "live: server of the baseline, as ssh knows it")
	o.value(cmd, "test-host", "test.host", "ALIAS", "live: server of the test side")
	o.value(cmd, "network", "servers.network", "NAME", "live: hoodi, sepolia, mainnet or another that the programs know")
	f.StringVar(&o.builds[0], "baseline", "", "devnet, live: the baseline `BUILD`: a git ref or pull request (live default: main), devnet also a binary")
	f.StringVar(&o.builds[1], "test", "", "devnet, live: the test `BUILD`")
	o.value(cmd, "program", "program.name", "NAME", "devnet, live: the execution client: ethrex (live default), geth, reth, or any with a command in the spec")
	o.value(cmd, "repository", "repository", "DIR", "devnet, live: git clone that refs are built from (live default: ~/ethrex)")
	o.value(cmd, "build", "program.build", "COMMAND", "devnet, live: shell command that builds a ref (default: the program's own)")
	o.value(cmd, "binary", "program.binary", "PATH", "devnet, live: what the build makes, relative to the clone (default: the program's own)")
	o.value(cmd, "arg", "program.args", listKind, "devnet, live: argument for the program of both sides; repeatable")
	o.value(cmd, "baseline-arg", "baseline.args", listKind, "devnet, live: argument for the baseline's program only; repeatable")
	o.value(cmd, "test-arg", "test.args", listKind, "devnet, live: argument for the test's program only; repeatable")
	o.value(cmd, "host", "host", "ALIAS", "devnet: run both sides on this server (default: this machine)")
}

// addLiveFlags declares the flags that say how a live run is done.
func (o *witnessOptions) addLiveFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	o.value(cmd, "synced", "servers.synced", boolKind, "live: both servers run and follow the network already: start nothing")
	o.value(cmd, "keep", "servers.keep", boolKind, "live: leave running what the run started")
	o.value(cmd, "crossover", "servers.crossover", boolKind, "live: exchange the builds between the servers in the middle")
	o.value(cmd, "collector", "servers.collector", "string", "live: what measures on the servers: verdict or ethrex-replay")
	o.value(cmd, "jwt", "servers.jwt", "FILE", "live: the Engine API's secret on each server")
	o.value(cmd, "lighthouse", "servers.lighthouse", "PROGRAM", "live: the consensus client on each server")
	o.value(cmd, "checkpoint-sync-url", "servers.checkpoint_sync_url", "URL", "live: where Lighthouse starts from (default: known for hoodi, sepolia, mainnet)")
	o.value(cmd, "sync-timeout", "servers.sync_timeout", "duration", "live: how long to wait for the servers to be synced")
	o.value(cmd, "poll", "servers.poll", "duration", "live: pause between two looks at new samples")
	f.StringVar(&o.ports[0], "baseline-ports", "", "live: `PORTS` of the baseline server (default rpc=8545,engine=8551,beacon=5052,metrics=9090,p2p=30303)")
	f.StringVar(&o.ports[1], "test-ports", "", "live: `PORTS` of the test server")
	f.StringArrayVar(&o.clear, "clear", nil, "live: `SIDE:DATABASE` to delete first, as in test:execution or test:consensus; needs an approval; repeatable")
	f.StringVar(&o.sshConfig, "ssh-config", "", "live, devnet on a host: ssh configuration `FILE` instead of your own")
	f.StringVar(&o.hostBinary, "host-binary", "", "live, devnet on a host: static verdict `FILE` to run on the servers (default: this program)")
}

// addRuleFlags declares the flags about measuring and judging.
func (o *witnessOptions) addRuleFlags(cmd *cobra.Command) {
	o.value(cmd, "blocks", "blocks", "int", "blocks to measure")
	o.value(cmd, "warmup", "warm_up", "int", "blocks to measure before them, recorded and not analyzed")
	o.value(cmd, "stop", "stop", "string", "when to end: planned (exactly --blocks) or auto (as soon as the confidence sequence decides, at --blocks at the latest); or the directory of a live run, to end it now")
	o.value(cmd, "aa", "control", "N", "first measure the baseline against itself on N blocks: the noise floor of this setup (100 or more)")
	cmd.Flags().Float64Var(&o.marginPercent, "margin", 100*spec.Defaults(spec.Local).Margin, "practical margin in percent: smaller effects do not matter; not given, an A/A control widens it to twice its noise floor")
	o.value(cmd, "seed", "seed", "uint", "seed of the order within pairs and of the load (default: random, recorded)")
	o.value(cmd, "verify-every", "verify_every", "int", "prove each N-th witness complete; 0 proves none (live default: 10)")
	o.value(cmd, "timeout", "timeout", "duration", "time limit of one measured request")
	o.value(cmd, "settle", "settle", "duration", "wait after a new block is seen before it is measured (0s for servers that already run)")
	o.value(cmd, "patience", "patience", "duration", "how long to wait for a side that fails or stands still (live default: 30m0s)")
	o.value(cmd, "gzip", "gzip", boolKind, "ask the servers for compressed answers")
	cmd.Flags().Lookup("seed").DefValue = ""
}

func (o *witnessOptions) addCompletions(cmd *cobra.Command) {
	modes := []string{string(spec.OnDemand), string(spec.Generated), string(spec.Serialized)}
	for name, words := range map[string][]string{
		"load":             loadNames(),
		"stop":             {string(spec.AtPlanned), string(spec.Auto)},
		"baseline-witness": modes,
		"test-witness":     modes,
		"program":          {"ethrex", "geth", "reth"},
		"network":          {"hoodi", "sepolia", "mainnet"},
		"collector":        {string(spec.Verdict), string(spec.EthrexReplay)},
		"clear":            {"baseline:execution", "baseline:consensus", "test:execution", "test:consensus"},
	} {
		cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
}

func loadNames() []string {
	names := make([]string, len(spec.Loads))
	for i, l := range spec.Loads {
		names[i] = string(l)
	}
	return names
}

func (o *witnessOptions) changed(name string) bool { return o.flags.Flags().Changed(name) }

// meaning is a flag and the places in which it has a meaning.
type meaning struct {
	name   string
	places []spec.Place
}

// meanings are those of all flags that are not for every place.
func (o *witnessOptions) meanings() []meaning {
	out := []meaning{
		{"baseline", spec.PlacesOf("baseline.ref")},
		{"test", spec.PlacesOf("test.ref")},
		{"baseline-ports", spec.PlacesOf("baseline.ports.rpc")},
		{"test-ports", spec.PlacesOf("test.ports.rpc")},
		{"clear", spec.PlacesOf("test.clear")},
		{"ssh-config", []spec.Place{spec.Devnet, spec.Live}},
		{"host-binary", []spec.Place{spec.Devnet, spec.Live}},
	}
	for _, f := range o.values {
		if places := spec.PlacesOf(f.key); len(places) < len(spec.Places) {
			out = append(out, meaning{f.name, places})
		}
	}
	return out
}

// setBuild makes text, a binary or a ref, the build of side. On another machine
// only the form of a path tells which it is.
func setBuild(side *spec.Side, text string, binaries, here bool) {
	side.Ref, side.Binary = text, ""
	if binaries && isBinary(text, here) {
		side.Ref, side.Binary = "", text
	}
}

func isBinary(text string, here bool) bool {
	for _, start := range []string{"/", "./", "../", "~/"} {
		if strings.HasPrefix(text, start) {
			return true
		}
	}
	info, err := os.Stat(text)
	// A branch and a folder or text file can have the same name.
	return here && err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

// setPorts reads "rpc=8545,engine=8551" into the ports of one side.
func setPorts(s *spec.Witness, given spec.Keys, side, text string) error {
	const form = "--%s-ports %q: write it as rpc=8545,engine=8551,beacon=5052,metrics=9090,p2p=30303"
	for part := range strings.SplitSeq(text, ",") {
		name, port, ok := strings.Cut(part, "=")
		switch name {
		case "rpc", "engine", "beacon", "metrics", "p2p":
		default:
			ok = false
		}
		if !ok {
			return fault.Newf(fault.Usage, form, side, text)
		}
		key := side + ".ports." + name
		if err := s.Set(key, port); err != nil {
			return fault.Newf(fault.Usage, "--%s-ports: %s %v", side, name, err)
		}
		given[key] = ""
	}
	return nil
}

// setClear reads "test:execution" into the databases to delete. Flags replace
// what the file says.
func setClear(s *spec.Witness, given spec.Keys, texts []string) error {
	lists := make(map[string][]string)
	for _, text := range texts {
		side, db, ok := strings.Cut(text, ":")
		if !ok || side != string(sample.Baseline) && side != string(sample.Test) {
			return fault.Newf(fault.Usage, "--clear %q: write it as SIDE:DATABASE, such as test:execution", text)
		}
		lists[side] = append(lists[side], db)
	}
	for _, side := range sample.Sides {
		if list := lists[string(side)]; list != nil {
			key := string(side) + ".clear"
			if err := s.Set(key, list...); err != nil {
				return fault.Newf(fault.Usage, "--clear: %v", err)
			}
			given[key] = ""
		}
	}
	return nil
}
