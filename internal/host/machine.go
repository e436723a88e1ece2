package host

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// Machine is a Host. Everything it does is a script that a shell there reads,
// so that this machine and one behind ssh behave alike.
type Machine struct {
	name string
	link link
}

var _ Host = (*Machine)(nil)

// link leads to a machine.
type link interface {
	// open makes sure that a shell can be started there.
	open(ctx context.Context) error
	// shell is the command that runs a login shell there, which reads from
	// standard input. release is called when it has ended.
	shell(ctx context.Context) (cmd *exec.Cmd, release func(), err error)
	// broken is the error of a shell that ended without saying that its script
	// had, given its exit status and what it wrote to stderr until then.
	broken(begun bool, exit int, stderr []string) error
	forward(ctx context.Context, address string) (local string, stop func() error, err error)
	close() error
}

// Local is this machine. Its login shell has the home directory and the
// environment of this process.
func Local() *Machine { return &Machine{name: "localhost", link: local{}} }

// Name is the ssh alias, or "localhost".
func (m *Machine) Name() string { return m.name }

// Connect opens the connection ahead of the first use, when somebody is there
// to answer questions. On this machine it does nothing.
func (m *Machine) Connect(ctx context.Context) error { return m.link.open(ctx) }

// Forward opens a local port that leads to address as the host sees it. When
// the connection was lost, the next call of any method opens the port again.
func (m *Machine) Forward(ctx context.Context, address string) (string, func() error, error) {
	if err := checkAddress(address); err != nil {
		return "", nil, err
	}
	return m.link.forward(ctx, address)
}

// Close ends the connection. Started programs run on.
func (m *Machine) Close() error { return m.link.close() }

// local is the link to this machine.
type local struct{}

func (local) open(context.Context) error { return nil }

func (local) shell(ctx context.Context) (*exec.Cmd, func(), error) {
	cmd := exec.CommandContext(ctx, "bash", "-l", "-s")
	cmd.SysProcAttr = ownGroup()
	if home, err := os.UserHomeDir(); err == nil {
		if info, err := os.Stat(home); err == nil && info.IsDir() {
			cmd.Dir = home
		}
	}
	return cmd, func() {}, nil
}

func (local) broken(_ bool, exit int, stderr []string) error {
	return &ScriptError{Host: "localhost", Exit: exit, Last: append(stderr, "the shell ended before its script did")}
}

func (local) forward(_ context.Context, address string) (string, func() error, error) {
	return address, func() error { return nil }, nil
}

func (local) close() error { return nil }

// on names the host that an error on this side is about.
func on(host string, err error) error { return fmt.Errorf("%s: %w", host, err) }
