package doctor

import (
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/shell"
)

const (
	// headAge is how old the newest block of a server that follows its network
	// may be: three slots.
	headAge = 36 * time.Second
	// fewPeers are too few to get every block in time.
	fewPeers = 5
	// stored is how many blocks back witnesses are stored and states are
	// kept, and how long that many take with a block every 12 seconds.
	stored     = 128
	storedTime = stored * 12 * time.Second
)

// node judges the programs on the ports.
func (f *judge) node() {
	if f.State == Fresh {
		f.free()
		return
	}
	rpc := f.facts.port(RPC)
	if rpc == nil {
		return
	}
	if !rpc.Listening {
		c := f.add("port-rpc", f.lacking(), fmt.Sprintf("nothing listens at port %d", rpc.Port), "")
		if f.State == Synced {
			c.Means = "the execution client does not run, or serves JSON-RPC at another port; a server that is not synced yet is set up without --synced"
			c.Cure = f.subject.cure("ss -ltnp")
		}
		if b := f.facts.port(Beacon); b != nil && b.Listening {
			f.beacon()
		}
		return
	}
	f.process(rpc)
	f.execution()
	f.witnesses()
	f.engine()
	f.metrics()
	f.beacon()
}

// free judges the ports of a server on which nothing may run yet.
func (f *judge) free() {
	var free []string
	for i := range f.facts.Ports {
		p := &f.facts.Ports[i]
		if !p.Listening && p.Problem == "" {
			free = append(free, fmt.Sprintf("%s %d", p.Name, p.Port))
			continue
		}
		id := "port-" + p.Name
		if !p.Listening {
			f.add(id, Note, fmt.Sprintf("whether port %d (%s) is free is not known: %s", p.Port, p.Name, p.Problem), "")
			continue
		}
		f.add(id, Fail, fmt.Sprintf("port %d (%s) is held by %s", p.Port, p.Name, holder(p)),
			"the run starts its own programs and leaves others alone: a server that runs and is synced already is measured with --synced; otherwise stop that program, if it is yours").Cure = f.whose(p)
	}
	if len(free) > 0 {
		f.ok("ports", "free: "+strings.Join(free, ", "))
	}
}

// whose is a command that shows who holds a port.
func (f *judge) whose(p *Port) string {
	if p.Process != nil {
		return f.subject.cure(fmt.Sprintf("ps -o pid,user,lstart,args -p %d", p.Process.PID))
	}
	return f.subject.terminal(fmt.Sprintf("sudo ss -ltnp 'sport = :%d'", p.Port))
}

// holder describes who listens at a port.
func holder(p *Port) string {
	if p.Process == nil {
		return "a program that is not known: " + orElse(p.Problem, "not told")
	}
	return fmt.Sprintf("%s, pid %d", orElse(p.Process.name(), "a program without a name"), p.Process.PID)
}

// name is what a process is called: its own idea of it first, because wrappers
// and links change the file.
func (p *Process) name() string {
	if len(p.Argv) > 0 && p.Argv[0] != "" {
		return path.Base(p.Argv[0])
	}
	return path.Base(p.Exe)
}

// process judges who serves JSON-RPC.
func (f *judge) process(rpc *Port) {
	f.program(rpc)
	f.open(rpc)
	p := rpc.Process
	if p == nil {
		return
	}
	f.precompute(p)
	if p.Replaced {
		f.add("binary", Warn, p.Exe+" was replaced after it was started",
			"what runs is not what lies on the disk; the commit is the one that the program tells")
	}
	if !p.Started.IsZero() {
		up := f.facts.Began.Sub(p.Started)
		if up < storedTime {
			f.add("uptime", Warn, "the execution client was started "+seconds(up)+" ago",
				fmt.Sprintf("of blocks before its start it may have no stored witness: the first %d blocks after a start, %s, are another mixture", stored, seconds(storedTime)))
		} else {
			f.ok("uptime", "the execution client was started "+p.Started.UTC().Format(time.DateTime)+" UTC")
		}
	}
	switch {
	case p.LogDeleted:
		f.add("log", Note, "the execution client logs to "+p.Log+", which was deleted", "its messages are lost; the next start makes a new file")
	case p.Log != "":
		f.ok("log", "the execution client logs to "+p.Log)
	case p.Problem == "":
		f.add("log", Note, "the execution client logs to no file", "its messages are in the terminal or tmux session that it was started in")
	}
	if filter := p.Env["RUST_LOG"]; filter != "" && !strings.HasPrefix(filter, "info") && !strings.HasPrefix(filter, "debug") && !strings.HasPrefix(filter, "trace") {
		f.add("rust-log", Note, "RUST_LOG is "+filter+" in the environment of the execution client",
			"it replaces --log.level: a filter that names another program mutes this one")
	}
}

func (f *judge) program(rpc *Port) {
	x := f.facts.Execution
	version := ""
	if x != nil {
		version = x.ClientVersion
	}
	seen := fmt.Sprintf("port %d is served by %s", rpc.Port, holder(rpc))
	if version != "" {
		seen += ", which calls itself " + version
	}
	says, _, _ := strings.Cut(version, "/")
	match := f.Program == "" || strings.EqualFold(says, f.Program)
	if p := rpc.Process; p != nil {
		match = match || p.name() == f.Program || path.Base(p.Exe) == f.Program
	}
	if !match {
		f.add("program", f.wrong(), seen, "the benchmark expects "+f.Program).Cure = f.whose(rpc)
		return
	}
	f.ok("program", seen)
	f.commit(version)
}

var hexWord = regexp.MustCompile(`(?i)\b[0-9a-f]{7,40}\b`)

// commitsOf lists what may be commits in what a program says of itself, in
// lower case; numbers alone are dates and the like.
func commitsOf(version string) []string {
	words := hexWord.FindAllString(strings.ToLower(version), -1)
	return slices.DeleteFunc(words, func(w string) bool { return strings.Trim(w, "0123456789") == "" })
}

// commit judges what the program was built from.
func (f *judge) commit(version string) {
	if f.Commit == "" || version == "" {
		return
	}
	want := strings.ToLower(f.Commit)
	words := commitsOf(version)
	switch {
	case len(words) == 0:
		f.add("commit", Warn, "the execution client does not tell its commit: "+version,
			fmt.Sprintf("whether it is %.12s cannot be checked", want))
	case slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, want) || strings.HasPrefix(want, w) }):
		f.ok("commit", fmt.Sprintf("the execution client is built from %.12s", want))
	default:
		f.add("commit", f.wrong(), fmt.Sprintf("the execution client is built from %.12s, wanted is %.12s", words[len(words)-1], want),
			"another version would be measured than the one asked for: build and start that one, or name the one that runs")
	}
}

// open judges who can reach the unauthenticated RPC.
func (f *judge) open(rpc *Port) {
	for _, a := range rpc.Addresses {
		ip, err := netip.ParseAddr(a)
		if err == nil && !ip.IsLoopback() {
			f.add("rpc-open", Warn, fmt.Sprintf("port %d listens at %s", rpc.Port, a),
				"whoever reaches it from outside can call debug and admin methods without a password; nothing here needs more than --http.addr 127.0.0.1").Cure =
				f.subject.terminal(fmt.Sprintf("sudo ss -ltnp 'sport = :%d'", rpc.Port))
			return
		}
	}
}

// The flag and the variable that make ethrex store witnesses.
const (
	precomputeFlag = "--precompute-witnesses"
	precomputeEnv  = "ETHREX_PRECOMPUTE_WITNESSES"
)

func (f *judge) precompute(p *Process) {
	if !f.Precompute && f.State != Any {
		return
	}
	switch {
	case slices.Contains(p.Argv, precomputeFlag) || slices.Contains(p.Argv, precomputeFlag+"=true"):
		f.ok("precompute", fmt.Sprintf("pid %d was started with %s", p.PID, precomputeFlag))
	case p.Env[precomputeEnv] == "true":
		f.ok("precompute", fmt.Sprintf("pid %d was started with %s=true", p.PID, precomputeEnv))
	case len(p.Argv) == 0:
		f.add("precompute", Warn, fmt.Sprintf("the command line of pid %d is not known: %s", p.PID, orElse(p.Problem, "not told")),
			"whether it makes witnesses while it imports cannot be checked")
	case f.Precompute:
		f.add("precompute", f.wrong(), fmt.Sprintf("pid %d was started without %s", p.PID, precomputeFlag),
			"each witness is then made by executing its block again: the server answers all the same, only slower, and another thing would be measured; restart it with the flag").Cure =
			f.subject.cure(fmt.Sprintf("tr '\\0' ' ' < /proc/%d/cmdline", p.PID))
	default:
		f.add("precompute", Note, fmt.Sprintf("pid %d was started without %s", p.PID, precomputeFlag),
			"witnesses are made on demand, by executing the block again")
	}
}

// execution judges the chain of the execution client.
func (f *judge) execution() {
	x := f.facts.Execution
	if x == nil {
		return
	}
	if x.Problem != "" {
		f.add("execution", f.wrong(), "the execution client does not answer: "+x.Problem, "").Cure =
			f.subject.cure(fmt.Sprintf(`curl -sS -H 'Content-Type: application/json' -d '{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}' http://127.0.0.1:%d`, f.facts.Query.Ports.RPC))
		return
	}
	f.chain(x)
	age := f.age(x)
	seen := fmt.Sprintf("head %d, %s old", x.Head.Number, seconds(max(0, age)))
	if grown := int64(x.Later.Number) - int64(x.Head.Number); grown > 0 {
		seen += fmt.Sprintf(", %s later", count(int(grown), "block"))
	}
	syncing := string(x.Syncing)
	switch {
	case age > headAge:
		f.add("execution-sync", f.wrong(), seen+", eth_syncing "+short(syncing),
			"the server does not follow its network: it is still syncing, its consensus client is not, or the chain stands still; eth_syncing alone proves nothing, it stays false once it was").Cure = f.beaconLook()
	case age < -headAge:
		f.add("execution-sync", Warn, fmt.Sprintf("head %d is of %s from now", x.Head.Number, seconds(-age)),
			"a clock is wrong, or the chain is a test network with blocks faster than its timestamps: how old its head is cannot be told")
	case syncing != "false" && syncing != "":
		f.add("execution-sync", f.wrong(), seen+", eth_syncing "+short(syncing), "the execution client says that it is still syncing")
	default:
		f.ok("execution-sync", seen+", eth_syncing false")
	}
}

// short is at most the beginning of a server's text.
func short(s string) string {
	const limit = 120
	if r := []rune(s); len(r) > limit {
		return string(r[:limit]) + "…"
	}
	return s
}

// age is how old the head was when it was seen, by the controller's clock,
// because the machine's may be wrong.
func (f *judge) age(x *Execution) time.Duration {
	offset, uncertainty := f.subject.Offset()
	age := x.SeenAt.Sub(time.Unix(int64(x.Head.Timestamp), 0))
	if max(offset, -offset) > uncertainty {
		age -= offset
	}
	return age
}

func (f *judge) chain(x *Execution) {
	name := networkOf(x.ChainID)
	seen := fmt.Sprintf("chain %d", x.ChainID)
	if name != "" {
		seen += " (" + name + ")"
	}
	switch {
	case f.ChainID == 0 && f.Network != "" && name != "":
		f.add("chain", f.wrong(), seen, "the benchmark expects "+f.Network)
	case f.ChainID == 0:
		f.ok("chain", seen)
	case f.ChainID != x.ChainID:
		f.add("chain", f.wrong(), fmt.Sprintf("%s, wanted is %s, chain %d", seen, f.Network, f.ChainID),
			"the server follows another network: start its clients with --network "+f.Network+", or name its network")
	default:
		f.ok("chain", seen)
	}
}

// witnesses judges the answers to debug_executionWitness.
func (f *judge) witnesses() {
	x := f.facts.Execution
	if x == nil || x.Witness == nil {
		return
	}
	const methodNotFound = -32601
	near := x.Witness
	switch {
	case near.Code == methodNotFound:
		f.add("witness", Fail, "debug_executionWitness: "+near.Problem,
			"the execution client does not offer the method: start it with --http.api eth,net,web3,debug where its --help knows --http.api")
		return
	case !near.OK:
		f.add("witness", f.wrong(), fmt.Sprintf("debug_executionWitness for block %d: %s", near.Block.Number, near.Problem),
			"the newest block's witness is what is measured; a server that has just synced needs some blocks first")
		return
	}
	f.ok("witness", fmt.Sprintf("debug_executionWitness for block %d: %.0f ms, %s", near.Block.Number, near.Milliseconds, size(near.Bytes)))
	f.store(near, x.OldWitness)
}

// store tells what the two answers say about stored witnesses.
func (f *judge) store(near, old *Witness) {
	window := fmt.Sprintf("witnesses are stored, and states kept, for the last %d blocks; what is further behind is made again, or refused, and no server says \"witness not found\"", stored)
	switch {
	case old == nil:
		f.add("witness-store", Note, fmt.Sprintf("the chain is too short to have a block that is not stored any more: it needs %d", stored+12), window)
	case !old.OK:
		f.add("witness-store", Note, fmt.Sprintf("block %d, %d behind the head: %s", old.Block.Number, near.Block.Number-old.Block.Number, old.Problem), window)
	default:
		seen := fmt.Sprintf("block %d, %.1f Mgas, in %.0f ms; block %d, %.1f Mgas, which is not stored any more, in %.0f ms",
			near.Block.Number, mgas(near), near.Milliseconds, old.Block.Number, mgas(old), old.Milliseconds)
		means := "the difference is what making a witness takes, if the newest is stored; one block each is a hint and no measurement"
		if f.Precompute && perGas(near) > perGas(old) {
			means = "the newest does not look stored: it took as long as one that has to be made; one block each is a hint and no measurement"
		}
		f.add("witness-store", Note, seen, means)
	}
}

func mgas(w *Witness) float64 { return float64(w.Block.GasUsed) / 1e6 }

// perGas is the latency for each gas, with a little gas for an empty block.
func perGas(w *Witness) float64 { return w.Milliseconds / (float64(w.Block.GasUsed) + 1e5) }

// engine judges the secret of the running client.
func (f *judge) engine() {
	e := f.facts.Engine
	if e == nil {
		return
	}
	given := f.facts.Query.JWT
	switch e.Status {
	case Accepted:
		f.ok("engine", fmt.Sprintf("the Engine API at port %d accepts the secret in %s", f.facts.Query.Ports.Engine, given))
	case Refused:
		means := "the execution client was started with another secret"
		if own := f.secretOf(); own != "" && own != f.home(given) {
			means += ": with " + own
		}
		c := f.add("engine", Fail, fmt.Sprintf("the Engine API at port %d refuses the secret in %s: %s", f.facts.Query.Ports.Engine, given, e.Problem),
			means+"; give that file with --jwt, or restart both clients with this one. A clock that is wrong by more than a minute has the same effect")
		if p := f.facts.port(Engine); p != nil {
			c.Cure = f.whose(p)
		}
	case Silent:
		f.add("engine", f.wrong(), fmt.Sprintf("nothing answers at the Engine API's port %d: %s", f.facts.Query.Ports.Engine, e.Problem),
			"a consensus client cannot reach the execution client there").Cure = f.subject.cure("ss -ltnp")
	case NotAsked:
		f.add("engine", Note, "the Engine API was not asked: "+e.Problem, "whether the secret is the running client's is not known")
	default:
		f.add("engine", f.wrong(), fmt.Sprintf("what answers at port %d is no Engine API: %s", f.facts.Query.Ports.Engine, e.Problem), "")
	}
}

// home is a path with the home directory written out.
func (f *judge) home(p string) string {
	if rest, ok := strings.CutPrefix(p, "~/"); ok && f.facts.User.Home != "" {
		return path.Join(f.facts.User.Home, rest)
	}
	return p
}

// secretOf is the file that the running execution client was told to take its
// secret from.
func (f *judge) secretOf() string {
	for _, name := range []string{Engine, RPC} {
		p := f.facts.port(name)
		if p == nil || p.Process == nil {
			continue
		}
		for i, arg := range p.Process.Argv {
			if value, ok := strings.CutPrefix(arg, "--authrpc.jwtsecret="); ok {
				return value
			}
			if arg == "--authrpc.jwtsecret" && i+1 < len(p.Process.Argv) {
				return p.Process.Argv[i+1]
			}
		}
	}
	return ""
}

func (f *judge) metrics() {
	m := f.facts.Metrics
	switch {
	case m == nil:
	case m.Problem != "":
		f.add("metrics", Note, fmt.Sprintf("no metrics at port %d: %s", f.facts.Query.Ports.Metrics, m.Problem),
			"they are not needed; with --metrics the execution client also tells how long its own part of each answer took")
	case !m.Latencies:
		f.ok("metrics", fmt.Sprintf("metrics at port %d, without latencies of RPC methods", f.facts.Query.Ports.Metrics))
	default:
		f.ok("metrics", fmt.Sprintf("metrics at port %d, with latencies of RPC methods", f.facts.Query.Ports.Metrics))
	}
	if m == nil || m.Info == nil || f.facts.Execution == nil {
		return
	}
	if commit := m.Info["commit"]; commit != "" && f.facts.Execution.ClientVersion != "" && !strings.Contains(f.facts.Execution.ClientVersion, commit) {
		f.add("metrics-program", Warn, fmt.Sprintf("the metrics are of commit %.12s, JSON-RPC is served by %s", commit, f.facts.Execution.ClientVersion),
			"the two ports belong to different programs")
	}
}

// beaconLook is a command that asks the consensus client how far it is.
func (f *judge) beaconLook() string {
	if f.facts.Query.Ports.Beacon == 0 {
		return ""
	}
	return f.subject.cure(fmt.Sprintf("curl -sS http://127.0.0.1:%d/eth/v1/node/syncing", f.facts.Query.Ports.Beacon))
}

// beacon judges the consensus client.
func (f *judge) beacon() {
	b := f.facts.Beacon
	if b == nil {
		return
	}
	if b.Problem != "" {
		f.add("beacon", f.wrong(), fmt.Sprintf("the beacon API at port %d does not answer: %s", f.facts.Query.Ports.Beacon, b.Problem),
			"the consensus client does not run, or not with --http; whether the server is synced can then not be proved").Cure = f.beaconLook()
		return
	}
	f.ok("beacon", fmt.Sprintf("the beacon API at port %d is served by %s, health %d", f.facts.Query.Ports.Beacon, orElse(b.Version, "a program that does not tell its name"), b.Health))
	seen := fmt.Sprintf("is_syncing %s, is_optimistic %s, el_offline %s, sync_distance %d", told(b.IsSyncing), told(b.IsOptimistic), told(b.ELOffline), b.SyncDistance)
	if b.Lighthouse != "" {
		seen += ", Lighthouse says " + short(b.Lighthouse)
	}
	switch {
	case b.Ready:
		f.ok("beacon-sync", seen)
	case b.IsOptimistic != nil && *b.IsOptimistic:
		f.add("beacon-sync", f.wrong(), seen, b.WhyNot+"; the log of the consensus client says Synced all the same").Cure = f.beaconLook()
	default:
		f.add("beacon-sync", f.wrong(), seen, b.WhyNot).Cure = f.beaconLook()
	}
	if f.Network != "" && b.Network != "" && b.Network != f.Network {
		f.add("beacon-network", f.wrong(), "the consensus client follows "+b.Network, "the benchmark expects "+f.Network)
	}
	if strings.Contains(b.Lighthouse, "BackFill") {
		f.add("backfill", Warn, "Lighthouse downloads historical blocks", "that uses disk and processor while the benchmark measures")
	}
	if b.Peers != nil && *b.Peers < fewPeers {
		f.add("beacon-peers", Warn, "the consensus client has "+count(int(*b.Peers), "peer"), "blocks come late, or not at all")
	}
}

func told(b *bool) string {
	if b == nil {
		return "unknown"
	}
	return fmt.Sprint(*b)
}

// replay judges what is there of ethrex-replay.
func (f *judge) replay() {
	r := &f.facts.Replay
	for _, p := range r.Processes {
		seen := fmt.Sprintf("ethrex-replay runs, pid %d", p.PID)
		if filter := p.Env["RUST_LOG"]; filter != "" {
			seen += ", RUST_LOG " + filter
		}
		f.add("replay", Warn, seen, "it asks the server for witnesses and executes each block on the same machine: both disturb what is measured. It prints its timing lines with RUST_LOG=ethrex_replay=debug; its source need not be edited").Cure =
			f.subject.cure(fmt.Sprintf("ps -o pid,user,lstart,args -p %d", p.PID))
	}
	log := r.Log
	if log == nil || !log.Exists || log.Problem != "" {
		return
	}
	seen := fmt.Sprintf("%s, %s, last written %s UTC", log.Path, orElse(map[bool]string{true: "empty"}[log.Bytes == 0], size(log.Bytes)), log.Modified.UTC().Format(time.DateTime))
	switch {
	case log.Bytes == 0:
		f.add("replay-log", Note, seen, "ethrex-replay prints timing lines only with RUST_LOG=ethrex_replay=debug, or its output does not get there")
	default:
		f.add("replay-log", Note, seen, "timing lines of a manual run: verdict compare reads them").Cure = f.subject.cure("tail -n 3 " + shell.Path(log.Path))
	}
}
