package spec

import (
	"slices"
	"strings"
	"unicode"

	"github.com/verdict-bench/verdict/internal/sample"
)

// Limits that validation holds a proving benchmark to.
const (
	maxBatches      = 100_000
	maxTransactions = 1_000_000
	maxSessions     = 50
)

// Validate returns one error that names everything that is missing from p or
// wrong with it.
func (p *Prover) Validate() error { return p.ValidateGiven(nil) }

// ValidateGiven is Validate, and says at which line of a file a wrong value was
// given.
func (p *Prover) ValidateGiven(given Keys) error {
	var c checker
	for _, q := range p.Missing() {
		c.check(false, "", "%s is missing: %s (--%s, or %s in a spec file)", q.Flag, q.Help, q.Flag, q.Key)
	}
	m := proverForm()
	m.checkTexts(&c, p)
	m.checkHosts(&c, p, "host")
	c.check(slices.Contains(ProverPlaces, p.Place), "place", "place %q is unknown: choose %s", p.Place, m.placeNames())
	m.checkPlace(&c, p, p.Place)
	p.checkProgram(&c)
	p.checkProver(&c)
	p.checkLoad(&c)
	p.checkSetup(&c)
	p.checkTimes(&c)
	p.checkJudgement(&c)
	return c.err(given)
}

// checkProgram checks what is built and started.
func (p *Prover) checkProgram(c *checker) {
	name := p.Program.Name
	c.check(name == BuiltIn || name == Ethrex, "program.name", "program %q is unknown: choose %s or %s", name, BuiltIn, Ethrex)
	c.check((p.Program.Build == "") == (p.Program.Binary == ""), "program.build", "program.build says how a ref is built and program.binary what that makes: give both or none")
	refs := false
	for _, side := range p.Sides() {
		s := p.Side(side)
		c.check(s.Ref == "" || s.Binary == "", string(side)+".binary", "the %s side has a ref and a binary: give one", side)
		c.check(!relative(s.Binary) || p.Place != Live, string(side)+".binary", "%s.binary %q: a binary on a server is a path that begins with / or ~/", side, s.Binary)
		refs = refs || s.Ref != ""
	}
	c.check(p.Test == nil || p.Test.Ref != "" || p.Test.Binary != "", "test.ref", "the test side has neither a ref nor a binary")
	// With a binary, the keys and genesis files still come from the clone.
	c.check(p.Repository != "" || !refs && p.BuiltIn(), "repository", "repository is empty: the git clone that the refs are built from")
	c.check(!relative(p.Repository) || p.Place != Live, "repository", "repository %q: a directory on a server begins with / or ~/", p.Repository)
}

// relative reports whether a path depends on the folder that one is in.
func relative(path string) bool {
	return path != "" && path != "~" && !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "~/")
}

// checkProver checks that backend, features and program fit together, before
// anything is built or started.
func (p *Prover) checkProver(c *checker) {
	c.check(slices.Contains(Backends, p.Backend), "backend", "backend %q is unknown: choose sp1, risc0 or exec", p.Backend)
	if p.BuiltIn() {
		c.check(p.Backend == Exec, "backend", "the built-in prover executes only: it has no backend %s (--program ethrex has)", p.Backend)
	}
	c.check(!p.GPU || p.Backend != Exec, "gpu", "backend exec makes no proof: a GPU is of no use to it")
	c.check(p.RISC0Verifier == "" || p.Backend == RISC0, "risc0_verifier", "risc0_verifier is for backend risc0, and this is %s", p.Backend)
	c.check(p.RISC0Verifier == "" || isAddress(p.RISC0Verifier), "risc0_verifier", "risc0_verifier must be an address, 0x and 40 hex digits, not %q", p.RISC0Verifier)
	c.check(p.RISC0Verifier == "" || !p.Running, "risc0_verifier", "risc0_verifier is for the deployment, and the L2 runs already")
}

// isAddress reports whether s is an address that can have code.
func isAddress(s string) bool {
	digits, ok := strings.CutPrefix(s, "0x")
	return ok && len(digits) == 40 && strings.Trim(digits, "0") != "" &&
		strings.IndexFunc(digits, func(r rune) bool { return r >= 0x80 || !unicode.Is(unicode.ASCII_Hex_Digit, r) }) < 0
}

// checkLoad checks what is sent and counted.
func (p *Prover) checkLoad(c *checker) {
	c.check(p.Batches >= 0 && p.Batches <= maxBatches, "batches", "batches must be between 1 and %d, not %d", maxBatches, p.Batches)
	c.check(slices.Contains(LocalnetLoads, p.Load), "load", "load %q is unknown: choose eth-transfers, erc20, fibonacci or io-heavy", p.Load)
	c.check(p.Transactions >= 1 && p.Transactions <= maxTransactions, "transactions", "transactions must be between 1 and %d, not %d", maxTransactions, p.Transactions)
	c.check(slices.Contains(Generators, p.Generator), "generator", "generator %q is unknown: choose verdict or load_test", p.Generator)
	c.check(p.Generator != LoadTest || !p.BuiltIn(), "generator", "load_test is built from ethrex's sources: the built-in rollup is loaded by verdict")
	c.check(p.Generator != LoadTest || p.Baseline.Binary == "", "generator", "load_test is built from the baseline's ref, and the baseline is a binary: it is loaded by verdict")
	c.check(p.TPS >= 0, "tps", "tps must not be negative, not %v", p.TPS)
	c.check(p.TPS == 0 || p.Generator != LoadTest, "tps", "load_test has no rate: tps needs the generator verdict")
	c.check(p.MinTransactions >= 1 && p.MinTransactions <= maxTransactions, "min_transactions", "min_transactions must be between 1 and %d, not %d", maxTransactions, p.MinTransactions)
}

// checkSetup checks how the localnet comes to be and ends.
func (p *Prover) checkSetup(c *checker) {
	c.check(p.L1 == Docker || p.L1 == Process, "l1", "l1 %q is unknown: choose docker or process", p.L1)
	c.check(p.L1 != Docker || !p.BuiltIn(), "l1", "the built-in L1 is a process: l1 docker needs the program ethrex")
	c.check(p.L1Image == "" || p.L1 == Docker, "l1_image", "l1_image is for l1 docker, and this is %s", p.L1)
	c.check(p.L1 != Docker || p.Running || p.L1Image != "" || p.Baseline.Binary == "", "l1_image",
		"the image of the L1 is built from the baseline's ref, and the baseline is a binary: give l1_image, or l1 process")
	c.check(!strings.HasPrefix(p.L1Image, "-"), "l1_image", "l1_image %q cannot be the name of an image", p.L1Image)
	if p.Running {
		c.check(p.Test == nil, "test.ref", "an L2 that runs already is of one build: running excludes a test side (record its batches and replay them instead: verdict prover record --help)")
		c.check(!p.HoldCommitter, "hold_committer", "running leaves the L2 as it is: it excludes hold_committer")
		c.check(!p.Clear, "clear", "running needs what is there: it excludes clear")
		c.check(!p.Keep, "keep", "running stops nothing of the L2: it excludes keep")
	}
	c.check(!p.Keep || p.Test == nil, "keep", "two sides take turns on the same ports: keep excludes a test side")
	of := make(map[string]string)
	for _, name := range proverForm().names("ports.") {
		key := "ports." + name
		port := p.Texts(key)[0]
		c.check(port != "0", key, "%s must be between 1 and 65535", key)
		c.check(of[port] == "", key, "%s and ports.%s are both %s", key, of[port], port)
		of[port] = name
	}
}

// checkTimes checks intervals and time limits.
func (p *Prover) checkTimes(c *checker) {
	for _, f := range proverForm().fields() {
		group, _, _ := strings.Cut(f.key, ".")
		if !f.leaf || group != "intervals" && group != "timeouts" {
			continue
		}
		d := f.value(p, false).Int()
		// The programs count in milliseconds.
		c.check(d >= 0 && d%1e6 == 0, f.key, "%s must be whole milliseconds and not negative, not %s", f.key, p.Texts(f.key)[0])
		c.check(group != "timeouts" || d != 0, f.key, "%s must be positive", f.key)
	}
}

// checkJudgement checks what decides the verdict.
func (p *Prover) checkJudgement(c *checker) {
	c.check(p.Sessions >= 1 && p.Sessions <= maxSessions, "sessions", "sessions must be between 1 and %d, not %d", maxSessions, p.Sessions)
	c.check(p.Test == nil || p.Sessions <= p.Batches, "sessions", "%d sessions share %d batches: each needs one", p.Sessions, p.Batches)
	c.check(p.Margin > 0 && p.Margin < 1, "margin", "margin must lie between 0 and 1 (0.05 is 5 %%), not %v", p.Margin)
	c.check(p.Alpha > 0 && p.Alpha <= 0.2, "alpha", "alpha must be positive and at most 0.2, not %v", p.Alpha)
	c.check(p.PricePerHour >= 0, "price_per_hour", "price-per-hour must not be negative, not %v", p.PricePerHour)
	c.check(p.Currency == "" || p.PricePerHour > 0, "currency", "currency is that of price_per_hour, which is not given")
}

// Builds reports whether a side is built from a ref on the host.
func (p *Prover) Builds(side sample.Side) bool {
	s := p.Side(side)
	return s != nil && s.Ref != ""
}
