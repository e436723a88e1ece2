package doctor

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/spec"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// now is when the facts of the fixtures begin, by the machine's clock.
var now = time.Date(2026, 11, 22, 10, 15, 30, 0, time.UTC)

const head = 1_265_656

func yes() *bool { b := true; return &b }
func no() *bool  { b := false; return &b }

// synced are the facts of a server that is as it has to be.
func synced() Facts {
	peers := uint64(78)
	ethrex := &Process{
		PID: 4711, StartTime: "8812", Started: now.Add(-26 * time.Hour), UID: 1000,
		Exe:     "/srv/eve/ethrex/target/release/ethrex",
		Argv:    []string{"target/release/ethrex", "--network", "hoodi", "--authrpc.jwtsecret", "/srv/eve/secrets/jwt.hex", "--precompute-witnesses"},
		WorkDir: "/srv/eve/ethrex", Log: "/srv/eve/ethrex.log",
	}
	lighthouse := &Process{PID: 4712, Exe: "/usr/local/bin/lighthouse", Argv: []string{"lighthouse", "bn"}, UID: 1000}
	block := func(number uint64, gas uint64) Block {
		return Block{Number: number, Hash: fmt.Sprintf("0x%064x", number), Timestamp: uint64(now.Unix()) - 8 - 12*(head-number), GasUsed: gas}
	}
	return Facts{
		V: Version, Verdict: "v0.1.0", Query: Defaults(), Began: now, Ended: now.Add(2 * time.Second),
		Machine: Machine{Hostname: "s1", OS: "linux", Arch: "amd64", Kernel: "6.1.0-28", CPU: "AMD EPYC 7713", CPUs: 64, AVX2: yes(),
			Governors: []string{"performance"}, MemoryBytes: 128 * gb, AvailableBytes: 90 * gb, Load: [3]float64{3.5, 3, 2.5}, BootID: "b1"},
		Clock: Clock{Synchronized: yes()},
		User:  User{UID: 1000, Name: "eve", Home: "/srv/eve"},
		Disks: []Disk{
			{For: ForVerdict, Path: "~/.verdict", FreeBytes: 900 * gb, TotalBytes: 2000 * gb},
			{For: ForDatadir, Path: "~/.local/share/ethrex", Exists: true, UsedBytes: 70 * gb, FreeBytes: 900 * gb, TotalBytes: 2000 * gb},
		},
		Tools: []Tool{
			{Name: "bash", Path: "/usr/bin/bash", Version: "GNU bash, version 5.2"},
			{Name: "cargo", Path: "/srv/eve/.cargo/bin/cargo", Version: "cargo 1.90.0"},
			{Name: "lighthouse", Path: "/usr/local/bin/lighthouse", Version: "Lighthouse v7.1.0", Knows: map[string]bool{PurgeForce: true}},
		},
		Repositories: []Repository{{Path: "~/ethrex", Origin: "https://github.com/lambdaclass/ethrex", Commit: strings.Repeat("0eadb15a", 5), Branch: "main"}},
		JWT:          &SecretFile{Path: "~/secrets/jwt.hex", Exists: true, Mode: "0600", OwnerUID: 1000, WellFormed: true},
		Ports: []Port{
			{Name: RPC, Port: 8545, Listening: true, Addresses: []string{"127.0.0.1"}, Process: ethrex},
			{Name: Engine, Port: 8551, Listening: true, Addresses: []string{"127.0.0.1"}, Process: ethrex},
			{Name: Beacon, Port: 5052, Listening: true, Addresses: []string{"127.0.0.1"}, Process: lighthouse},
			{Name: Metrics, Port: 9090, Listening: true, Addresses: []string{"0.0.0.0"}, Process: ethrex},
			{Name: P2P, Port: 30303, Listening: true, Addresses: []string{"0.0.0.0"}, Process: ethrex},
		},
		Execution: &Execution{
			ClientVersion: "ethrex/v9.0.0-main-" + strings.Repeat("0eadb15a", 5) + "/x86_64-unknown-linux-gnu/rustc-v1.90.0",
			ChainID:       560048, Genesis: "0xbbe3", Syncing: json.RawMessage("false"),
			Head: block(head, 4_400_000), SeenAt: now.Add(time.Second), Later: block(head, 4_400_000),
			Witness:    &Witness{Block: block(head, 4_400_000), OK: true, Milliseconds: 12, Bytes: 1_440_000},
			OldWitness: &Witness{Block: block(head-140, 3_900_000), OK: true, Milliseconds: 61, Bytes: 1_310_000},
		},
		Engine:  &EngineAPI{Status: Accepted, Methods: 17},
		Metrics: &MetricsPage{Latencies: true, Info: map[string]string{"commit": strings.Repeat("0eadb15a", 5)}},
		Beacon: &BeaconAPI{Version: "Lighthouse/v7.1.0", Health: 200, IsSyncing: no(), IsOptimistic: no(), ELOffline: no(),
			HeadSlot: 13_226_496, Ready: true, Network: "hoodi", Peers: &peers, Lighthouse: "Synced"},
	}
}

// bare are the facts of a server on which nothing runs yet.
func bare() Facts {
	f := synced()
	for i := range f.Ports {
		f.Ports[i] = Port{Name: f.Ports[i].Name, Port: f.Ports[i].Port}
	}
	f.Execution = &Execution{Problem: "connection refused"}
	f.Engine = &EngineAPI{Status: Silent, Problem: "connection refused"}
	f.Metrics, f.Beacon = &MetricsPage{Problem: "connection refused"}, &BeaconAPI{Problem: "connection refused"}
	f.Tools = append(f.Tools, Tool{Name: "git", Path: "/usr/bin/git"}, Tool{Name: "tmux", Path: "/usr/bin/tmux"})
	return f
}

func subject(f Facts) Subject {
	// The clocks agree, and the way takes 100 ms each way.
	return Subject{Host: "server-1", Side: sample.Baseline, Reach: []string{"ssh", "server-1"}, Facts: f,
		Asked: f.Began.Add(-100 * time.Millisecond), Answered: f.Ended.Add(100 * time.Millisecond)}
}

func liveSpec(synced bool) *spec.Witness {
	w := spec.Defaults(spec.Live)
	w.Baseline.Host, w.Test.Host, w.Test.Ref = "server-1", "server-2", "pull/6157/head"
	w.Servers.Network, w.Servers.Synced = "hoodi", synced
	return &w
}

// trial is one thing that is wrong with a machine.
type trial struct {
	name   string
	state  State
	spoil  func(*Subject, *Expect)
	expect []string // the findings that are not ok, as LEVEL ID
}

var trials = []trial{
	{"synced and well", Synced, func(*Subject, *Expect) {}, nil},
	{"bare and well", Fresh, func(*Subject, *Expect) {}, nil},
	{"nothing expected, all well", Any, func(*Subject, *Expect) {}, nil},
	{"nothing expected, nothing there", Any, func(s *Subject, _ *Expect) {
		s.Facts = bare()
		s.Facts.JWT = &SecretFile{Path: "~/secrets/jwt.hex", OwnerUID: -1}
		s.Facts.Tools = []Tool{{Name: "lighthouse"}}
		s.Facts.Repositories[0] = Repository{Path: "~/ethrex", Problem: "no such directory"}
	}, []string{"note tool-lighthouse", "note repository", "note jwt", "note port-rpc"}},

	{"slow machine", Synced, func(s *Subject, _ *Expect) {
		m := &s.Facts.Machine
		m.Governors, m.Load, m.AvailableBytes, m.SwapUsedBytes = []string{"powersave"}, [3]float64{40, 30, 20}, gb, gb
		m.AVX2 = no()
	}, []string{"fail avx2", "warn governor", "warn memory", "warn load"}},
	{"swapping machine", Synced, func(s *Subject, _ *Expect) { s.Facts.Machine.SwapUsedBytes = 3 * gb }, []string{"warn memory"}},
	{"no memory", Synced, func(s *Subject, _ *Expect) { s.Facts.Machine.AvailableBytes = gb / 4 }, []string{"fail memory"}},
	{"too small for mainnet", Synced, func(s *Subject, e *Expect) {
		*e = Expect{State: Synced, Program: "ethrex", Precompute: true, Network: "mainnet"}
		s.Facts.Execution.ChainID, s.Facts.Beacon.Network = 1, "mainnet"
		s.Facts.Machine.MemoryBytes, s.Facts.Machine.AvailableBytes = 16*gb, 8*gb
	}, []string{"warn memory-size"}},
	{"a system that tells little", Synced, func(s *Subject, _ *Expect) {
		f := &s.Facts
		f.Machine = Machine{Hostname: "mac", OS: "darwin", Arch: "arm64", CPUs: 8, MemoryBytes: 64 * gb}
		f.Clock = Clock{Problem: "not told by darwin"}
		f.Unknown = []Unknown{{"load", "not told by darwin"}, {"governor", "not told by darwin"}, {"memory", "not told by darwin"}}
		for i := range f.Ports {
			f.Ports[i].Process, f.Ports[i].Addresses, f.Ports[i].Problem = nil, nil, "not told by darwin"
		}
		f.Disks[0].Problem = "not told by darwin"
	}, []string{"warn os", "note governor", "note memory", "note load", "note time-service", "note disk-verdict"}},

	{"clock 3 s ahead", Synced, func(s *Subject, _ *Expect) {
		s.Asked, s.Answered = s.Asked.Add(-3*time.Second), s.Answered.Add(-3*time.Second)
	},
		[]string{"warn clock"}},
	{"clock minutes behind, time service off", Synced, func(s *Subject, _ *Expect) {
		s.Asked, s.Answered = s.Asked.Add(4*time.Minute), s.Answered.Add(4*time.Minute)
		s.Facts.Clock.Synchronized = no()
		// The head is fresh by the clock of the controller.
		s.Facts.Execution.Head.Timestamp += 240
	}, []string{"warn time-service", "fail clock"}},
	{"connection too slow to tell the time", Synced, func(s *Subject, _ *Expect) { s.Answered = s.Answered.Add(9 * time.Second) }, []string{"note clock"}},

	{"disk full", Synced, func(s *Subject, _ *Expect) { s.Facts.Disks[1].FreeBytes = gb / 10 }, []string{"fail disk-datadir"}},
	{"disk nearly full", Synced, func(s *Subject, _ *Expect) { s.Facts.Disks[1].FreeBytes = 4 * gb }, []string{"warn disk-datadir"}},
	{"disk too small to sync", Fresh, func(s *Subject, _ *Expect) {
		s.Facts.Disks[1] = Disk{For: ForDatadir, Path: "~/.local/share/ethrex", FreeBytes: 40 * gb, TotalBytes: 50 * gb}
	}, []string{"fail disk-datadir"}},
	{"the database is there, and the disk is tight", Fresh, func(s *Subject, _ *Expect) {
		s.Facts.Disks[1] = Disk{For: ForDatadir, Path: "~/.local/share/ethrex", Exists: true, UsedBytes: 45 * gb, AtLeast: true, FreeBytes: 30 * gb, TotalBytes: 80 * gb}
	}, []string{"warn disk-datadir"}},
	{"no room to build", Fresh, func(s *Subject, _ *Expect) {
		s.Facts.Disks = append(s.Facts.Disks, Disk{For: ForRepository, Path: "~/it's", FreeBytes: 2 * gb, TotalBytes: 80 * gb})
	}, []string{"fail disk-repository"}},

	{"programs missing", Fresh, func(s *Subject, _ *Expect) {
		s.Facts.Tools = []Tool{{Name: "bash", Path: "/usr/bin/bash"}, {Name: "git"}, {Name: "tmux"}, {Name: "cargo"}, {Name: "lighthouse"}}
	}, []string{"fail tool-git", "fail tool-tmux", "fail tool-cargo", "fail tool-lighthouse"}},
	{"program not at its path", Fresh, func(s *Subject, e *Expect) {
		s.Facts.Tools = append(s.Facts.Tools, Tool{Name: "/opt/it's/geth"})
		e.Tools = append(e.Tools, "/opt/it's/geth")
	}, []string{"fail tool-geth"}},
	{"a program that does not tell", Fresh, func(s *Subject, _ *Expect) { s.Facts.Tools[2].Problem = "no answer within 20s" }, []string{"note tool-lighthouse"}},
	{"clone missing", Fresh, func(s *Subject, _ *Expect) {
		s.Facts.Repositories[0] = Repository{Path: "~/ethrex", Problem: "no such directory"}
	}, []string{"fail repository"}},
	{"clone of nowhere", Fresh, func(s *Subject, _ *Expect) { s.Facts.Repositories[0].Origin = "" }, []string{"warn repository"}},
	{"clone with changes", Fresh, func(s *Subject, _ *Expect) { s.Facts.Repositories[0].Dirty, s.Facts.Repositories[0].Branch = true, "" }, []string{"note repository"}},

	{"no secret", Fresh, func(s *Subject, _ *Expect) { s.Facts.JWT = &SecretFile{Path: "~/secrets/jwt.hex", OwnerUID: -1} }, []string{"fail jwt"}},
	{"secret of another form, readable by all", Fresh, func(s *Subject, _ *Expect) {
		s.Facts.JWT.WellFormed, s.Facts.JWT.Mode, s.Facts.JWT.OwnerUID = false, "0644", 0
	}, []string{"fail jwt", "warn jwt-mode", "warn jwt-owner"}},
	{"secret writable by all", Fresh, func(s *Subject, _ *Expect) { s.Facts.JWT.Mode = "0666" }, []string{"fail jwt-mode"}},
	{"secret unreadable", Fresh, func(s *Subject, _ *Expect) { s.Facts.JWT.WellFormed, s.Facts.JWT.Problem = false, "permission denied" }, []string{"fail jwt"}},

	{"ports held", Fresh, func(s *Subject, _ *Expect) {
		s.Facts.Ports[0] = synced().Ports[0]
		s.Facts.Ports[2] = Port{Name: Beacon, Port: 5052, Listening: true, Addresses: []string{"::"}, Problem: "it belongs to another user, or to another container"}
	}, []string{"fail port-rpc", "fail port-beacon"}},
	{"session there already", Fresh, func(s *Subject, _ *Expect) {
		s.Facts.Sessions.List = []Session{{Name: "ethrex", Panes: []Pane{{PID: 99, Command: "vim"}}}, {Name: "mail", Panes: []Pane{{PID: 98, Command: "mutt"}}}}
	}, []string{"fail tmux-ethrex"}},
	{"sessions unknown", Fresh, func(s *Subject, _ *Expect) { s.Facts.Sessions.Problem = "no answer within 20s" }, []string{"note tmux"}},

	{"nothing on the port", Synced, func(s *Subject, _ *Expect) { s.Facts.Ports[0] = Port{Name: RPC, Port: 8545} }, []string{"fail port-rpc"}},
	{"another program on the port", Synced, func(s *Subject, _ *Expect) {
		s.Facts.Execution.ClientVersion = "Geth/v1.17.4-stable-36a7dc72/linux-amd64/go1.26.0"
		s.Facts.Ports[0].Process = &Process{PID: 12, Exe: "/usr/bin/geth", Argv: []string{"geth"}, Log: "/var/log/geth.log"}
		s.Facts.Metrics.Info = nil
	}, []string{"fail program", "fail precompute"}},
	{"open to the world, log nowhere, muted, replaced", Synced, func(s *Subject, _ *Expect) {
		p := s.Facts.Ports[0].Process
		s.Facts.Ports[0].Addresses = []string{"0.0.0.0"}
		p.Log, p.Replaced, p.Env = "", true, map[string]string{"RUST_LOG": "ethrex_replay=debug"}
	}, []string{"warn rpc-open", "warn binary", "note log", "note rust-log"}},
	{"log deleted", Synced, func(s *Subject, _ *Expect) { s.Facts.Ports[0].Process.LogDeleted = true }, []string{"note log"}},
	{"flag missing", Synced, func(s *Subject, _ *Expect) { s.Facts.Ports[0].Process.Argv = []string{"ethrex", "--network", "hoodi"} }, []string{"fail precompute"}},
	{"flag from the environment", Synced, func(s *Subject, _ *Expect) {
		s.Facts.Ports[0].Process.Argv = []string{"ethrex", "--network", "hoodi"}
		s.Facts.Ports[0].Process.Env = map[string]string{"ETHREX_PRECOMPUTE_WITNESSES": "true"}
	}, nil},
	{"process of another user", Synced, func(s *Subject, _ *Expect) {
		s.Facts.Ports[0].Process.Argv, s.Facts.Ports[0].Process.Problem = nil, "permission denied"
	}, []string{"warn precompute"}},
	{"other commit", Synced, func(_ *Subject, e *Expect) { e.Commit = strings.Repeat("a", 40) }, []string{"fail commit"}},
	{"the commit, abbreviated", Synced, func(_ *Subject, e *Expect) { e.Commit = "0eadb15a0ead" }, nil},
	{"commit not told", Synced, func(s *Subject, e *Expect) {
		e.Commit = "0eadb15a0ead"
		s.Facts.Execution.ClientVersion = "ethrex/v9.0.0/x86_64"
		s.Facts.Metrics = nil
	}, []string{"warn commit"}},
	{"just started", Synced, func(s *Subject, _ *Expect) { s.Facts.Ports[0].Process.Started = now.Add(-4 * time.Minute) }, []string{"warn uptime"}},
	{"metrics of another program", Synced, func(s *Subject, _ *Expect) { s.Facts.Metrics.Info["commit"] = strings.Repeat("b", 40) }, []string{"warn metrics-program"}},

	{"wrong network", Synced, func(s *Subject, _ *Expect) { s.Facts.Execution.ChainID, s.Facts.Beacon.Network = 11155111, "sepolia" }, []string{"fail chain", "fail beacon-network"}},
	{"unknown network", Synced, func(s *Subject, e *Expect) {
		e.Network, e.ChainID = "devnet-7", 0
		s.Facts.Execution.ChainID, s.Facts.Beacon.Network = 7007, ""
	}, nil},
	{"unknown network expected, known one found", Synced, func(s *Subject, e *Expect) { e.Network, e.ChainID = "devnet-7", 0; s.Facts.Beacon.Network = "" }, []string{"fail chain"}},
	{"head stands still", Synced, func(s *Subject, _ *Expect) { s.Facts.Execution.Head.Timestamp -= 600 }, []string{"fail execution-sync"}},
	{"head of the future", Synced, func(s *Subject, _ *Expect) { s.Facts.Execution.Head.Timestamp += 600 }, []string{"warn execution-sync"}},
	{"still syncing", Synced, func(s *Subject, _ *Expect) {
		s.Facts.Execution.Syncing = json.RawMessage(`{"startingBlock":"0x0","currentBlock":"0x0","highestBlock":"0x7e04fa1c"}`)
		s.Facts.Beacon.Ready, s.Facts.Beacon.IsSyncing, s.Facts.Beacon.SyncDistance, s.Facts.Beacon.WhyNot = false, yes(), 3912, "it is syncing: its head is slot 7, 3912 slots behind"
	}, []string{"fail execution-sync", "fail beacon-sync"}},
	{"optimistic head, Synced in the log", Synced, func(s *Subject, _ *Expect) {
		s.Facts.Beacon.Ready, s.Facts.Beacon.IsOptimistic, s.Facts.Beacon.WhyNot = false, yes(), "its head, slot 7, is optimistic: the execution client has not verified it"
	}, []string{"fail beacon-sync"}},
	{"execution layer offline, few peers, backfill", Synced, func(s *Subject, _ *Expect) {
		few := uint64(1)
		s.Facts.Beacon.Ready, s.Facts.Beacon.ELOffline, s.Facts.Beacon.WhyNot = false, yes(), "its execution client is offline"
		s.Facts.Beacon.Peers, s.Facts.Beacon.Lighthouse = &few, "BackFillSyncing"
	}, []string{"fail beacon-sync", "warn backfill", "warn beacon-peers"}},
	{"beacon API without el_offline", Synced, func(s *Subject, _ *Expect) {
		s.Facts.Beacon.Ready, s.Facts.Beacon.ELOffline, s.Facts.Beacon.WhyNot = false, nil, "it does not say whether its execution client is online (el_offline is missing)"
	}, []string{"fail beacon-sync"}},
	{"no consensus client", Synced, func(s *Subject, _ *Expect) { s.Facts.Beacon = &BeaconAPI{Problem: "connection refused"} }, []string{"fail beacon"}},
	{"RPC dead", Synced, func(s *Subject, _ *Expect) {
		s.Facts.Execution = &Execution{Problem: "no answer"}
		s.Facts.Metrics = nil
	}, []string{"fail execution"}},

	{"method not enabled", Synced, func(s *Subject, _ *Expect) {
		s.Facts.Execution.Witness = &Witness{Block: s.Facts.Execution.Head, Code: -32601, Problem: "Method not found: debug_executionWitness (code -32601)"}
	}, []string{"fail witness"}},
	{"witness refused", Synced, func(s *Subject, _ *Expect) {
		s.Facts.Execution.Witness = &Witness{Block: s.Facts.Execution.Head, Code: -32603, Problem: "Internal Error: Could not get block body (code -32603)"}
	}, []string{"fail witness"}},
	{"does not look stored", Synced, func(s *Subject, _ *Expect) { s.Facts.Execution.Witness.Milliseconds = 90 }, []string{"note witness-store"}},
	{"old state pruned", Synced, func(s *Subject, _ *Expect) {
		s.Facts.Execution.OldWitness = &Witness{Block: Block{Number: head - 140}, Problem: "Internal Error: Failed to build execution witness The post-state of the parent-block. (code -32603)"}
	}, []string{"note witness-store"}},
	{"short chain", Synced, func(s *Subject, _ *Expect) { s.Facts.Execution.OldWitness = nil }, []string{"note witness-store"}},

	{"another secret", Synced, func(s *Subject, _ *Expect) {
		s.Facts.Engine = &EngineAPI{Status: Refused, Problem: "HTTP status 401: signature is invalid"}
		s.Facts.Ports[1].Process.Argv = []string{"ethrex", "--authrpc.jwtsecret", "/etc/ethrex/jwt.hex", "--precompute-witnesses"}
	}, []string{"fail engine"}},
	{"engine silent", Synced, func(s *Subject, _ *Expect) {
		s.Facts.Engine = &EngineAPI{Status: Silent, Problem: "connection refused"}
	}, []string{"fail engine"}},
	{"engine not asked", Synced, func(s *Subject, _ *Expect) {
		s.Facts.Engine = &EngineAPI{Status: NotAsked, Problem: "there is no usable secret"}
	}, []string{"note engine"}},
	{"no engine", Synced, func(s *Subject, _ *Expect) { s.Facts.Engine = &EngineAPI{Status: Odd, Problem: "HTTP status 404"} }, []string{"fail engine"}},
	{"no metrics", Synced, func(s *Subject, _ *Expect) { s.Facts.Metrics = &MetricsPage{Problem: "connection refused"} }, []string{"note metrics"}},

	{"replay beside the node", Synced, func(s *Subject, _ *Expect) {
		s.Facts.Replay = Replay{Processes: []Process{{PID: 55, Argv: []string{"ethrex-replay", "blocks", "--endless"}}},
			Log: &LogFile{Path: "~/ethrex-replay/execution_witness_times.txt", Exists: true, Modified: now}}
	}, []string{"warn replay", "note replay-log"}},
	{"lines of a manual run", Synced, func(s *Subject, _ *Expect) {
		s.Facts.Replay.Log = &LogFile{Path: "~/ethrex-replay/execution_witness_times.txt", Exists: true, Bytes: 12_000_000, Modified: now}
	}, []string{"note replay-log"}},
}

// examine makes the findings of a trial.
func (c trial) examine() []Finding {
	facts := synced()
	if c.state == Fresh {
		facts = bare()
	}
	s := subject(facts)
	var e Expect
	if c.state != Any {
		s.Facts.Query, e = ForSide(liveSpec(c.state == Synced), sample.Baseline)
	}
	c.spoil(&s, &e)
	return Server(s, e)
}

// Each trial has exactly the findings that it should have, beside the good
// ones; how they read is in the golden file.
func TestServer(t *testing.T) {
	var golden strings.Builder
	for _, c := range trials {
		var got []string
		fmt.Fprintf(&golden, "# %s (%s)\n", c.name, orElse(string(c.state), "any"))
		for _, f := range c.examine() {
			if f.Host != "server-1" || f.Side != sample.Baseline || f.Seen == "" {
				t.Errorf("%s: finding without a subject: %+v", c.name, f)
			}
			// That one tells of every synced server how the two answers compare.
			usual := f.ID == "witness-store" && !slices.Contains(c.expect, "note witness-store")
			if f.Level == OK || usual {
				continue
			}
			got = append(got, string(f.Level)+" "+f.ID)
			write(&golden, f)
		}
		if !slices.Equal(got, c.expect) {
			t.Errorf("%s: findings %q, want %q", c.name, got, c.expect)
		}
	}
	compare(t, "findings.golden", golden.String())
}

// What is good is told, too.
func TestServer_good(t *testing.T) {
	var golden strings.Builder
	for _, c := range trials[:3] {
		fmt.Fprintf(&golden, "# %s (%s)\n", c.name, orElse(string(c.state), "any"))
		for _, f := range c.examine() {
			write(&golden, f)
		}
	}
	compare(t, "good.golden", golden.String())
}

func write(b *strings.Builder, f Finding) {
	fmt.Fprintf(b, "%-4s %s: %s\n", f.Level, f.ID, f.Seen)
	if f.Means != "" {
		fmt.Fprintf(b, "     %s\n", f.Means)
	}
	for line := range strings.Lines(f.Cure) {
		fmt.Fprintf(b, "     $ %s\n", strings.TrimSuffix(line, "\n"))
	}
}

func compare(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		os.WriteFile(path+".got", []byte(got), 0o644)
		t.Errorf("%s differs: see %s.got, or run with -update", path, path)
	}
}

func TestTogether(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(b *Subject)
		want  []string
	}{
		{"alike", func(*Subject) {}, nil},
		{"memory of almost the same size", func(b *Subject) { b.Facts.Machine.MemoryBytes = 126 * gb }, nil},
		{"another machine", func(b *Subject) {
			b.Facts.Machine = Machine{OS: "linux", CPU: "AMD EPYC 9354", CPUs: 32, MemoryBytes: 64 * gb, Kernel: "6.12.1", Governors: []string{"powersave"}}
		}, []string{"warn same-cpu", "warn same-cpus", "warn same-memory", "note same-kernel", "warn same-governor"}},
		{"one machine, ports of its own", func(b *Subject) { b.Facts.Machine.BootID, b.Facts.Ports[0].Port = "b1", 18545 }, []string{"warn same-machine"}},
		{"one machine, one port", func(b *Subject) { b.Facts.Machine.BootID = "b1" }, []string{"fail same-machine"}},
		{"one machine, one port, nothing runs", func(b *Subject) { b.Facts = bare(); b.Facts.Machine.BootID = "b1" }, []string{"fail same-machine"}},
		{"one machine, one process, two ports", func(b *Subject) {
			b.Facts.Machine.BootID, b.Facts.Ports[0].Port = "b1", 18545
			b.Facts.Ports[0].Process = synced().Ports[0].Process
		}, []string{"fail same-machine"}},
		{"two containers, one port in each", func(b *Subject) { b.Facts.Machine.BootID, b.Facts.Machine.Hostname = "b1", "s2" }, []string{"warn same-machine"}},
		{"one machine, port not looked at", func(b *Subject) { b.Facts.Machine.BootID, b.Facts.Ports = "b1", nil }, []string{"warn same-machine"}},
		{"same commit", func(b *Subject) { b.Facts.Execution.ClientVersion = synced().Execution.ClientVersion }, []string{"warn same-commit"}},
		{"same commit, abbreviated", func(b *Subject) { b.Facts.Execution.ClientVersion = "ethrex/v9.1.0-feedface-0eadb15a" }, []string{"warn same-commit"}},
		{"branch with the name of a commit", func(b *Subject) { b.Facts.Execution.ClientVersion = "ethrex/v9.1.0-0eadb15a-feedface" }, nil},
		{"commit not told", func(b *Subject) { b.Facts.Execution.ClientVersion = "ethrex/v9.1.0-20261122/x86_64" }, nil},
		{"clocks 5 s apart", func(b *Subject) { b.Asked, b.Answered = b.Asked.Add(5*time.Second), b.Answered.Add(5*time.Second) }, []string{"warn same-clock"}},
		{"clocks minutes apart", func(b *Subject) { b.Asked, b.Answered = b.Asked.Add(-5*time.Minute), b.Answered.Add(-5*time.Minute) }, []string{"fail same-clock"}},
		{"other chain", func(b *Subject) { b.Facts.Execution.ChainID = 1 }, []string{"fail same-chain"}},
		{"other genesis", func(b *Subject) { b.Facts.Execution.Genesis = "0x01" }, []string{"fail same-chain"}},
		{"behind", func(b *Subject) { b.Facts.Execution.Head.Number -= 90 }, []string{"warn same-head"}},
		{"nothing runs", func(b *Subject) { b.Facts.Execution = &Execution{Problem: "connection refused"} }, nil},
	} {
		a, b := subject(synced()), subject(synced())
		b.Host, b.Side, b.Reach, b.Facts.Machine.BootID = "server-2", sample.Test, []string{"ssh", "-F", "my config", "server-2"}, "b2"
		b.Facts.Execution.ClientVersion = "ethrex/v9.1.0-change-" + strings.Repeat("c0ffee11", 5) + "/x86_64-unknown-linux-gnu"
		own := *b.Facts.Ports[0].Process
		own.PID++
		b.Facts.Ports[0].Process = &own
		c.spoil(&b)
		var got []string
		for _, f := range Together(a, b) {
			if f.Level != OK {
				got = append(got, string(f.Level)+" "+f.ID)
			}
			if f.Host != "server-1 and server-2" {
				t.Errorf("%s: finding of host %q", c.name, f.Host)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: findings %q, want %q", c.name, got, c.want)
		}
	}
}

func TestOffset(t *testing.T) {
	at := func(ms int) time.Time { return now.Add(time.Duration(ms) * time.Millisecond) }
	for _, c := range []struct {
		asked, began, ended, answered int // ms
		offset, uncertainty           int
	}{
		{0, 100, 2100, 2200, 0, 100},
		{0, 5100, 7100, 2200, 5000, 100}, // 5 s ahead
		{0, -4900, -2900, 2200, -5000, 100},
		{0, 300, 2300, 2300, 150, 150}, // all of it on the way there
		{0, 0, 10, 5, 2, 0},            // rounding must not make it negative
	} {
		s := Subject{Reach: []string{"ssh", "x"}, Asked: at(c.asked), Answered: at(c.answered), Facts: Facts{Began: at(c.began), Ended: at(c.ended)}}
		offset, uncertainty := s.Offset()
		if offset.Milliseconds() != int64(c.offset) || uncertainty.Milliseconds() != int64(c.uncertainty) {
			t.Errorf("Offset of %+v = %v ± %v, want %d ± %d ms", c, offset, uncertainty, c.offset, c.uncertainty)
		}
	}
	here := Subject{Facts: Facts{Began: now}}
	if offset, uncertainty := here.Offset(); offset != 0 || uncertainty != 0 {
		t.Errorf("Offset of the controller itself = %v ± %v, want 0", offset, uncertainty)
	}
}

func TestForSide(t *testing.T) {
	w := liveSpec(false)
	w.Servers.Collector, w.Servers.Lighthouse, w.Test.Ports.RPC = spec.EthrexReplay, "~/bin/lighthouse", 18545
	q, e := ForSide(w, sample.Test)
	if q.Ports.RPC != 18545 || q.Ports.Engine != 8551 {
		t.Errorf("ports %+v", q.Ports)
	}
	if want := []string{"bash", "git", "cargo", "tmux", "~/bin/lighthouse"}; !slices.Equal(e.Tools, want) {
		t.Errorf("tools expected %q, want %q", e.Tools, want)
	}
	if want := []string{"~/ethrex", "~/ethrex-replay"}; !slices.Equal(q.Repositories, want) || !e.Repositories {
		t.Errorf("repositories %q, want %q", q.Repositories, want)
	}
	if want := []string{"lighthouse", "ethrex", "replay"}; !slices.Equal(q.Sessions, want) {
		t.Errorf("sessions %q, want %q", q.Sessions, want)
	}
	if e.State != Fresh || e.ChainID != 560048 || !e.Precompute || !e.JWT || e.Program != "ethrex" {
		t.Errorf("expectation %+v", e)
	}

	w = liveSpec(true)
	if q, e = ForSide(w, sample.Baseline); e.State != Synced || len(q.Repositories) > 0 || !slices.Equal(e.Tools, []string{"bash"}) {
		t.Errorf("of a synced server: %+v, %+v", q, e)
	}

	d := spec.Defaults(spec.Devnet)
	d.Program.Name, d.Repository = "geth", "/src/geth"
	d.Baseline.Binary, d.Test.Ref = "/opt/geth", "pull/1/head"
	if q, e = ForBoth(&d); !slices.Equal(e.Tools, []string{"bash", "/opt/geth", "git", "go"}) || !slices.Equal(q.Repositories, []string{"/src/geth"}) || e.State != Fresh {
		t.Errorf("of a devnet: %+v, %+v", q, e)
	}
}

func TestCommand(t *testing.T) {
	for build, want := range map[string]string{
		"":                                    "cargo",
		"make geth":                           "make",
		"RUSTFLAGS=-Cx cargo build --release": "cargo",
		"$(reboot)":                           "cargo",
		"./build.sh":                          "cargo",
		"; rm -rf ~":                          "cargo",
	} {
		if got := command(build, "cargo"); got != want {
			t.Errorf("command(%q) = %q, want %q", build, got, want)
		}
	}
}

func TestSort(t *testing.T) {
	list := []Finding{{Host: "b", Level: Fail}, {Host: "a", Level: Warn}, {Host: "b", Level: OK}, {Host: "a", Level: OK, ID: "1"}, {Host: "a", Level: OK, ID: "2"}}
	Sort(list)
	var got []string
	for _, f := range list {
		got = append(got, f.Host+string(f.Level)+f.ID)
	}
	if want := []string{"bok", "bfail", "aok1", "aok2", "awarn"}; !slices.Equal(got, want) {
		t.Errorf("sorted %q, want %q", got, want)
	}
	if n := Count(list); n[OK] != 3 || n[Note] != 0 || n[Fail] != 1 || len(Failures(list)) != 1 {
		t.Errorf("counted %v", n)
	}
}

// Whatever a server answers, reading and judging it ends without a panic, and
// no finding is without words.
func FuzzDecode(f *testing.F) {
	good, err := json.Marshal(synced())
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{string(good), "", "{}", `{"v":1}`, `{"v":2}`, `{"v":1,"ports":[{"name":"rpc","listening":true}],"execution":{}}`,
		`{"v":1,"execution":{"witness":{"ok":true},"later":{"number":18446744073709551615}},"beacon":{"peers":0}}`, `[]`, `{"v":1,"jwt":{"mode":"9"}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		facts, err := Decode(data)
		if err != nil {
			return
		}
		again, err := json.Marshal(facts)
		if err != nil {
			t.Fatalf("facts that were read cannot be written: %v", err)
		}
		if _, err := Decode(again); err != nil {
			t.Fatalf("facts that were written cannot be read: %v", err)
		}
		for _, w := range []*spec.Witness{liveSpec(true), liveSpec(false)} {
			_, e := ForSide(w, sample.Test)
			s := subject(facts)
			list := append(Server(s, e), Together(s, subject(synced()))...)
			for _, f := range append(list, Server(s, Expect{})...) {
				if f.ID == "" || f.Seen == "" || f.Level.rank() < 0 {
					t.Errorf("finding without words: %+v", f)
				}
			}
		}
	})
}
