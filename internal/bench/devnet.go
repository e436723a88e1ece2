package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/verdict-bench/verdict/internal/artifact"
	"github.com/verdict-bench/verdict/internal/drive"
	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/genesis"
	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/plan"
	"github.com/verdict-bench/verdict/internal/program"
	"github.com/verdict-bench/verdict/internal/sample"
	"github.com/verdict-bench/verdict/internal/store"
)

// helpLimit is how long a program may take to print its help text.
const helpLimit = 20 * time.Second

// build is the program of one side of a devnet run.
type build struct {
	artifact.Binary
	help string
}

// buildRef has the script of a step build a side's ref.
func (r *runner) buildRef(ctx context.Context, s plan.Step) (detail string, err error) {
	built, err := artifact.FromRef(ctx, s.Side, r.Spec.Side(s.Side).Ref, s.Script, func(text string) {
		r.Progress(Progress{Phase: s.ID, Message: text})
	})
	if err != nil {
		return "", err
	}
	r.builds[s.Side.Index()] = &build{Binary: built.Binary}
	if built.Behind > 0 {
		r.manifest.Behind = built.Behind
	}
	return built.Detail, nil
}

// writeGenesis writes what the programs of both sides start from.
func (r *runner) writeGenesis() error {
	temp, err := r.tempDir()
	if err != nil {
		return err
	}
	if _, err := ethrpc.CreateSecret(r.jwtFile()); err != nil {
		return err
	}
	g, known, err := genesis.Named(plan.Network(&r.Spec))
	if err != nil || !known {
		return errors.Join(err, fmt.Errorf("genesis of %q", plan.Network(&r.Spec)))
	}
	f, err := os.Create(filepath.Join(temp, "genesis.json"))
	if err != nil {
		return fault.As(fault.Prerequisite, err)
	}
	w := bufio.NewWriter(f)
	if err := errors.Join(genesis.Write(w, g), w.Flush(), f.Close()); err != nil {
		return fault.Newf(fault.Prerequisite, "writing the genesis: %w", err).
			Hint("set TMPDIR to a directory with at least 1 GB of free space")
	}
	return nil
}

// programOf is the description and the build that a step runs, with the values
// of its placeholders but the ports. In the A/A control both sides run that of
// the baseline.
func (r *runner) programOf(s plan.Step) (program.Description, *build, program.Values, error) {
	d, err := program.Describe(r.Spec.Program)
	if err != nil {
		return d, nil, program.Values{}, err
	}
	side := s.Side
	if s.Control {
		side = sample.Baseline
	}
	b := r.builds[side.Index()]
	if b == nil {
		file, err := artifact.FromFile(r.Spec.Side(side).Binary)
		if err != nil {
			return d, nil, program.Values{}, fault.Newf(fault.Prerequisite, "the %s side: %w", side, err)
		}
		b = &build{Binary: file}
		r.builds[side.Index()] = b
	}
	v := plan.DevnetValues(&r.Spec, s.Side, r.temp, nameOf(s))
	v.Binary = b.Path
	return d, b, v, nil
}

// nameOf names the files and folders of the program that a step starts.
func nameOf(s plan.Step) string {
	if s.Control {
		return "control-" + string(s.Side)
	}
	return string(s.Side)
}

// initProgram gives the data directory of a step's side its chain.
func (r *runner) initProgram(ctx context.Context, s plan.Step) error {
	d, _, v, err := r.programOf(s)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%s init of the %s side", d.Name, s.Side)
	if err := r.toEnd(ctx, host.Command{Name: name, Argv: v.Expand(d.Init), Log: r.Run.Log(nameOf(s))}, startLimit); err != nil {
		return fault.As(fault.Prerequisite, err)
	}
	return nil
}

// toEnd runs a program that ends by itself, for as long as limit. What did not
// end with status 0 is a *host.ExitError.
func (r *runner) toEnd(ctx context.Context, c host.Command, limit time.Duration) error {
	p, err := r.local.Start(c)
	if err != nil {
		return notStarted(c.Argv[0], err)
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.Done():
		return p.Failure()
	case <-timer.C:
		return errors.Join(p.Stuck(fmt.Sprintf("had not ended after %v", limit)), p.Stop(0))
	case <-ctx.Done():
		return errors.Join(ctx.Err(), p.Stop(stopGrace))
	}
}

// notStarted says why the kernel did not execute binary.
func notStarted(binary string, err error) error {
	machine := runtime.GOOS + "/" + runtime.GOARCH
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		return fault.Newf(fault.Prerequisite, "%w: %s is no program for this machine, which is %s", err, binary, machine).
			Hint("file %s", binary)
	case errors.Is(err, fs.ErrNotExist):
		return fault.Newf(fault.Prerequisite, "%w: or the interpreter or loader that it names is missing", err).
			Hint("ldd %s", binary)
	}
	return fault.As(fault.Prerequisite, err)
}

// readHelp asks a program, once, what flags it knows.
func (r *runner) readHelp(ctx context.Context, d program.Description, b *build, v program.Values) error {
	if b.help != "" || d.Help == nil {
		return nil
	}
	f, err := os.CreateTemp(r.temp, "help-*")
	if err != nil {
		return fault.As(fault.Prerequisite, err)
	}
	f.Close()
	argv := v.Expand(d.Help)
	err = r.toEnd(ctx, host.Command{Name: strings.Join(argv, " "), Argv: argv, Log: f.Name()}, helpLimit)
	var ended *host.ExitError
	if err != nil && (!errors.As(err, &ended) || ctx.Err() != nil) {
		return err // whatever it ended with, what it printed tells what it is
	}
	text, err := os.ReadFile(f.Name())
	b.help = string(text)
	return err
}

// startProgram starts the program of a step's side on free ports. It does not
// wait for it, so that both start at the same time; preflight does.
func (r *runner) startProgram(ctx context.Context, s plan.Step) (detail string, err error) {
	d, b, v, err := r.programOf(s)
	if err != nil {
		return "", err
	}
	if err := r.readHelp(ctx, d, b, v); err != nil {
		return "", err
	}
	ports, err := freePorts(4)
	if err != nil {
		return "", err
	}
	v.HTTPPort, v.EnginePort, v.P2PPort, v.MetricsPort = ports[0], ports[1], ports[2], ports[3]
	side := r.Spec.Side(s.Side)
	if s.Control {
		side = &r.Spec.Baseline
	}
	argv, err := d.Argv(v, b.help, program.Args(r.Spec.Program, side)...)
	if err != nil {
		return "", fmt.Errorf("the %s side: %w", s.Side, err)
	}
	p, err := r.local.Start(host.Command{Name: fmt.Sprintf("%s of the %s side", d.Name, s.Side), Argv: argv, Log: r.Run.Log(nameOf(s))})
	if err != nil {
		return "", notStarted(argv[0], err)
	}
	r.onCleanUp(func() error {
		err := p.Stop(stopGrace)
		return errors.Join(err, r.Run.Journal(s.ID, store.Undone, "stopped"))
	})
	r.nodes[s.Side.Index()] = &node{side: s.Side, process: p, at: &endpoints{
		RPC: "http://127.0.0.1:" + v.HTTPPort, Engine: "http://127.0.0.1:" + v.EnginePort,
	}}
	m := &r.manifest.Sides[s.Side.Index()]
	m.Ref, m.Commit, m.Binary, m.BinarySHA256, m.Argv = b.Ref, b.Commit, b.Path, b.SHA256, argv
	return p.Identity(), nil
}

// freePorts are ports of the loopback interface that were free a moment ago,
// all different: the programs cannot choose their own and say which.
func freePorts(n int) ([]string, error) {
	var ports []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fault.Newf(fault.Prerequisite, "looking for a free port: %w", err)
		}
		defer l.Close()
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}

// answers reports whether a program that was told its ports serves JSON-RPC.
func (e *endpoints) answers(ctx context.Context) bool {
	rpc, err := ethrpc.NewClient(e.RPC)
	if err != nil {
		return false
	}
	defer rpc.Close()
	once, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return rpc.Call(once, nil, "eth_chainId") == nil
}

// fitting makes sure that the programs of a devnet are on the chain that they
// were given and serve what is measured, and puts a hint under an error of the
// driver that has a known cause.
func (r *runner) fitting(ctx context.Context, driver *drive.Driver, clients []drive.Client, err error) error {
	var status *ethrpc.HTTPError
	if errors.As(err, &status) && (status.Status == http.StatusUnauthorized || status.Status == http.StatusForbidden) {
		return fault.Newf(fault.Prerequisite, "the program refuses the secret of its Engine API: %w", err).
			Hint("its command must name {jwt}, a file with the secret, as in --authrpc.jwtsecret {jwt}; logs/ of the run has what it printed")
	}
	if err != nil {
		return err
	}
	plain := plan.Network(&r.Spec) == genesis.Plain
	if driver.ChainID() != genesis.LocalChainID || plain && driver.Genesis() != genesis.LocalHash {
		return fault.Newf(fault.Prerequisite, "the programs are on chain %d with genesis %s, not on chain %d, which they were given",
			driver.ChainID(), driver.Genesis(), genesis.LocalChainID).
			Hint("the command, or the init before it, must name {genesis}")
	}
	for _, c := range clients {
		var answer *ethrpc.Error
		// Block 1 is not there yet, so that every other error is right.
		err := c.RPC.Call(ctx, nil, "debug_executionWitness", "0x1")
		if errors.As(err, &answer) && answer.Code == ethrpc.MethodNotFound {
			return fault.Newf(fault.Prerequisite, "the %s side does not serve debug_executionWitness: %w", c.Name, err).
				Hint("serve the namespace debug, as with --http.api eth,net,web3,debug,txpool; or the version is too old for the method")
		}
	}
	return ctx.Err()
}
