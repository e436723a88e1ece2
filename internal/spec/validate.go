package spec

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/stat"
)

// Limits that validation holds values to.
const (
	// MinControl is the fewest blocks of an A/A control that show a noise
	// floor.
	MinControl = 100
	// MinCrossover is the fewest blocks of a run whose builds change places:
	// four sessions of fifty.
	MinCrossover = 4 * 50

	maxBlocks = 1_000_000
	minGas    = 1_000_000
)

// Complete derives the values whose default depends on others, unless they are
// among the keys that the user gave.
func (w *Witness) Complete(given Keys) {
	w.Baseline.Ref, w.Test.Ref = Ref(w.Baseline.Ref), Ref(w.Test.Ref)
	if !given.Given("gas_per_block") && w.Load != "" {
		w.GasPerBlock = w.Load.DefaultGas()
	}
	if !given.Given("margin_from_control") {
		w.MarginFromControl = w.Control > 0 && !given.Given("margin")
	}
	if w.Place == Devnet && !given.Given("repository") {
		w.Repository = w.defaultRepository()
	}
	if w.Place == Live {
		for _, side := range []*Side{&w.Baseline, &w.Test} {
			if side.Ports == nil {
				side.Ports = DefaultPorts()
			}
		}
	}
	if s := w.Servers; s != nil && !s.Synced && s.CheckpointSyncURL == "" {
		s.CheckpointSyncURL = CheckpointSyncURL(s.Network)
	}
}

// defaultRepository is where the refs of a devnet are built from: the folder
// that verdict was started in, or the usual place on another machine.
func (w *Witness) defaultRepository() string {
	switch {
	case w.Baseline.Binary != "" && w.Test.Binary != "":
		return "" // nothing is built
	case w.Host != "" && w.Program != nil:
		return "~/" + w.Program.Name
	}
	return "."
}

// Ref is a git ref as people write it: a number of at most six digits, with or
// without #, is that of a pull request and becomes pull/N/head. Longer ones are
// abbreviated commits.
func Ref(text string) string {
	n := strings.TrimPrefix(text, "#")
	if n == "" || len(n) > 6 || strings.Trim(n, "0123456789") != "" {
		return text
	}
	return "pull/" + n + "/head"
}

// problem is something wrong with the value of key.
type problem struct{ key, text string }

// checker collects problems.
type checker struct{ wrong []problem }

func (c *checker) check(ok bool, key, format string, args ...any) {
	if !ok {
		c.wrong = append(c.wrong, problem{key, fmt.Sprintf(format, args...)})
	}
}

// Validate returns one error that names everything that is missing from w or
// wrong with it.
func (w *Witness) Validate() error { return w.ValidateGiven(nil) }

// ValidateGiven is Validate, and says at which line of a file a wrong value was
// given.
func (w *Witness) ValidateGiven(given Keys) error {
	var c checker
	for _, q := range w.Missing() {
		c.check(false, "", "%s is missing: %s (--%s, or %s in a spec file)", q.Flag, q.Help, q.Flag, q.Key)
	}
	w.checkJudgement(&c)
	w.checkMeasuring(&c)
	witnessForm().checkTexts(&c, w)
	witnessForm().checkHosts(&c, w, "baseline.host", "test.host", "host")
	c.check(!strings.HasPrefix(w.Genesis, "~"), "genesis", "genesis %q: ~ is not expanded in the path of a file of this machine: write the path out", w.Genesis)
	switch w.Place {
	case Local:
		w.checkLoad(&c)
		c.check(known(w.Baseline.Witness), "baseline.witness", "baseline-witness %q is unknown: choose on-demand, generated or serialized", w.Baseline.Witness)
		c.check(known(w.Test.Witness), "test.witness", "test-witness %q is unknown: choose on-demand, generated or serialized", w.Test.Witness)
	case Attached:
		c.check(w.Baseline.RPC == "" || isURL(w.Baseline.RPC), "baseline.rpc", "baseline-rpc must be an http or https URL with a host")
		c.check(w.Test.RPC == "" || isURL(w.Test.RPC), "test.rpc", "test-rpc must be an http or https URL with a host")
	case Devnet:
		w.checkLoad(&c)
	case Live:
		w.checkLive(&c)
	default:
		c.check(false, "place", "place %q is unknown: choose %s", w.Place, witnessForm().placeNames())
	}
	witnessForm().checkPlace(&c, w, w.Place)
	return c.err(given)
}

func (c *checker) err(given Keys) error {
	if len(c.wrong) == 0 {
		return nil
	}
	lines := make([]string, len(c.wrong))
	for i, p := range c.wrong {
		lines[i] = p.text
		if at := given[p.key]; at != "" {
			lines[i] = at + ": " + p.text
		}
	}
	return fault.Newf(fault.Usage, "%s", strings.Join(lines, "\n"))
}

// checkJudgement checks what decides the verdict.
func (w *Witness) checkJudgement(c *checker) {
	c.check(w.Blocks >= 1 && w.Blocks <= maxBlocks, "blocks", "blocks must be between 1 and %d, not %d", maxBlocks, w.Blocks)
	c.check(w.WarmUp >= 0 && w.WarmUp <= maxBlocks, "warm_up", "warm-up must be between 0 and %d, not %d", maxBlocks, w.WarmUp)
	c.check(w.Margin > 0 && w.Margin < 1, "margin", "margin must lie between 0 and 1 (0.03 is 3 %%), not %v", w.Margin)
	c.check(w.AlphaLive > 0 && w.AlphaFinal > 0 && w.AlphaLive+w.AlphaFinal <= 0.2, "alpha_live", "alpha_live and alpha_final must be positive and at most 0.2 together, not %v and %v", w.AlphaLive, w.AlphaFinal)
	c.check(w.Batch >= 10 && w.Batch <= 100, "batch", "batch must be between 10 and 100 pairs, not %d", w.Batch)
	c.check(w.MinPairs >= stat.MinPairs, "min_pairs", "min_pairs must be at least %d, not %d", stat.MinPairs, w.MinPairs)
	c.check(w.MaxUnpaired >= 0 && w.MaxUnpaired < 1, "max_unpaired", "max_unpaired must lie between 0 and 1, not %v", w.MaxUnpaired)
	c.check(w.Stop == AtPlanned || w.Stop == Auto, "stop", "stop %q is unknown: choose planned or auto", w.Stop)
	c.check(w.Control == 0 || w.Control >= MinControl && w.Control <= maxBlocks, "control", "aa must be 0 or between %d and %d blocks, not %d", MinControl, maxBlocks, w.Control)
	c.check(w.Metric == Metric, "metric", "metric %q is unknown: it is %s", w.Metric, Metric)
}

// checkMeasuring checks how a sample is taken.
func (w *Witness) checkMeasuring(c *checker) {
	c.check(w.VerifyEvery >= 0, "verify_every", "verify-every must not be negative, not %d", w.VerifyEvery)
	c.check(w.Timeout > 0, "timeout", "timeout must be positive, not %v", w.Timeout)
	c.check(w.Settle >= 0, "settle", "settle must not be negative, not %v", w.Settle)
	c.check(w.Patience > 0, "patience", "patience must be positive, not %v", w.Patience)
}

func (w *Witness) checkLoad(c *checker) {
	c.check(slices.Contains(Loads, w.Load), "load", "load %q is unknown: choose one of %s", w.Load, loadNames())
	c.check(w.GasPerBlock >= minGas, "gas_per_block", "gas must be at least %d, not %d", minGas, w.GasPerBlock)
}

// checkPlace refuses values that have no meaning in w's place, rather than
// ignoring them.
func (m *form) checkPlace(c *checker, w any, place Place) {
	if !slices.Contains(m.places, place) {
		return
	}
	for _, f := range m.fields() {
		places := m.placesOf(f.key)
		v := f.value(w, false)
		// A mapping counts when it is there and empty, a value when it is set.
		if v.IsValid() && f.leaf != v.IsZero() && !slices.Contains(places, place) {
			c.check(false, f.key, "%s has a meaning in place %s only, and this is place %s", f.key, joinPlaces(places), place)
		}
	}
}

// checkTexts refuses texts that could rule a terminal or end a line of a
// script. They are free otherwise: no text is ever interpreted.
func (m *form) checkTexts(c *checker, w any) {
	for _, f := range m.fields() {
		if !f.leaf {
			continue
		}
		for _, text := range f.texts(w) {
			if isScript(f.key) {
				text = strings.ReplaceAll(text, "\n", " ")
			}
			c.check(isPlain(text), f.key, "%s holds control characters or is not UTF-8: %q", f.key, text)
		}
	}
}

// checkHosts refuses what ssh, or a command in its configuration, could take
// for more than the name of a host.
func (m *form) checkHosts(c *checker, w any, keys ...string) {
	for _, key := range keys {
		for _, name := range m.mustFind(key).texts(w) {
			// Control characters were refused with all other texts.
			c.check(isAlias(name) || !isPlain(name), key, "%s %q cannot be the name of an ssh host: give the host a plain name in ~/.ssh/config (Host NAME)", key, name)
		}
	}
}

// isAlias reports whether name can be an ssh alias, user@host, an address or an
// ssh:// URL, and nothing else: package host, which connects, takes the same
// ones. A user's configuration may hand the name to a shell.
func isAlias(name string) bool {
	return name != "" && name[0] != '-' && strings.IndexFunc(name, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		return !letter && (r < '0' || r > '9') && !strings.ContainsRune("-._@:%[]/", r)
	}) < 0
}

// isPlain reports whether s is text in one line.
func isPlain(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}

// isScript says that the value of key may have several lines.
func isScript(key string) bool { return key == "program.build" || key == "servers.replay_build" }

// checkLive checks what is done on the two servers.
func (w *Witness) checkLive(c *checker) {
	if w.Servers == nil || w.Program == nil {
		c.check(false, "servers", "a live run needs servers and a program")
		return
	}
	s := w.Servers
	c.check(w.Baseline.Host == "" || w.Baseline.Host != w.Test.Host, "test.host", "both sides are on %s: a live run compares two servers (for one machine there is place devnet)", w.Test.Host)
	c.check(s.Collector == Verdict || s.Collector == EthrexReplay, "servers.collector", "collector %q is unknown: choose verdict or ethrex-replay", s.Collector)
	c.check(s.JWT != "", "servers.jwt", "jwt is empty: the file of the Engine API's secret on each server")
	c.check(s.Lighthouse != "", "servers.lighthouse", "lighthouse is empty: the program of the consensus client")
	c.check(s.CheckpointSyncURL == "" || isURL(s.CheckpointSyncURL), "servers.checkpoint_sync_url", "checkpoint-sync-url must be an http or https URL with a host")
	c.check(!hasUser(s.CheckpointSyncURL), "servers.checkpoint_sync_url", "checkpoint-sync-url holds a user or password, which the plan would show and the run store: use a URL without credentials")
	c.check(s.SyncTimeout > 0, "servers.sync_timeout", "sync-timeout must be positive, not %v", s.SyncTimeout)
	c.check(s.Poll > 0, "servers.poll", "poll must be positive, not %v", s.Poll)
	c.check(s.Synced || w.Repository != "", "repository", "repository is empty: the git clone that the refs are built from")
	c.check(s.Collector != EthrexReplay || s.ReplayRepository != "" && s.ReplayBuild != "" && s.ReplayBinary != "", "servers.collector", "collector ethrex-replay needs replay_repository, replay_build and replay_binary")
	c.check(!s.Synced || w.Control == 0, "control", "aa starts the baseline build on both servers: it excludes synced")
	c.check(w.Program.Name == "ethrex" || len(w.Program.Command) > 0, "program.name", "program %q is not known on servers: it is ethrex, or another with a command in the spec", w.Program.Name)
	c.check(s.Collector != EthrexReplay || w.Control == 0, "control", "the logs of ethrex-replay do not tell an A/A control apart: aa needs the collector verdict")
	if s.Crossover {
		c.check(s.Collector != EthrexReplay, "servers.crossover", "the logs of ethrex-replay do not tell sessions apart: crossover needs the collector verdict")
		c.check(w.Stop != Auto, "stop", "crossover needs all of its sessions: it excludes stop auto")
		c.check(!s.Synced, "servers.crossover", "crossover builds and starts both builds on both servers: it excludes synced")
		c.check(w.Blocks >= MinCrossover, "blocks", "crossover needs at least %d blocks, not %d", MinCrossover, w.Blocks)
	}
	for _, side := range sample.Sides {
		w.checkServer(c, side, s.Synced)
	}
}

// checkServer checks one side's server.
func (w *Witness) checkServer(c *checker, side sample.Side, synced bool) {
	s := w.Side(side)
	var seen []Clearable
	for _, db := range s.Clear {
		c.check(db == ExecutionDB || db == ConsensusDB, string(side)+".clear", "%s.clear names %q: choose execution or consensus", side, db)
		c.check(!slices.Contains(seen, db), string(side)+".clear", "%s.clear names %s twice", side, db)
		seen = append(seen, db)
	}
	c.check(len(s.Clear) == 0 || !synced, string(side)+".clear", "%s.clear deletes what a program would have to be stopped for: it excludes synced", side)
	if s.Ports == nil {
		return // the programs' defaults
	}
	of := make(map[string]string)
	for _, name := range witnessForm().names("baseline.ports.") {
		key := string(side) + ".ports." + name
		port := w.Texts(key)[0]
		c.check(port != "0", key, "%s must be between 1 and 65535", key)
		c.check(of[port] == "", key, "%s and %s.ports.%s are both %s", key, side, of[port], port)
		of[port] = name
	}
}

// isURL is all that is said of an address here: it may hold a password.
func isURL(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// hasUser reports whether an address names a user, with a password or without.
func hasUser(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.User != nil
}

func known(m WitnessMode) bool { return slices.Contains(WitnessModes, m) }

func loadNames() string {
	names := make([]string, len(Loads))
	for i, l := range Loads {
		names[i] = string(l)
	}
	return strings.Join(names, ", ")
}

// joinPlaces is "devnet", or "local and devnet".
func joinPlaces(places []Place) string {
	names := make([]string, len(places))
	for i, p := range places {
		names[i] = string(p)
	}
	return strings.Join(names, " and ")
}
