package prove

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/host"
)

// ports leads to ports of a host's loopback interface. Each is opened once.
type ports struct {
	host    host.Host
	local   map[uint16]string
	clients map[uint16]*ethrpc.Client
	stops   []func() error
}

func newPorts(h host.Host) *ports {
	return &ports{host: h, local: make(map[uint16]string), clients: make(map[uint16]*ethrpc.Client)}
}

// close closes all of them. What cannot be closed ends with the connection.
func (p *ports) close() {
	for _, c := range p.clients {
		c.Close()
	}
	for _, stop := range p.stops {
		stop()
	}
}

// address is where port is reached from here.
func (p *ports) address(ctx context.Context, port uint16) (string, error) {
	if a, ok := p.local[port]; ok {
		return a, nil
	}
	a, stop, err := p.host.Forward(ctx, fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return "", err
	}
	p.local[port] = a
	p.stops = append(p.stops, stop)
	return a, nil
}

// rpcLimit bounds one question at a port.
const rpcLimit = 10 * time.Second

// call calls a JSON-RPC method at port.
func (p *ports) call(ctx context.Context, port uint16, result any, method string, params ...any) error {
	ctx, cancel := context.WithTimeout(ctx, rpcLimit)
	defer cancel()
	c := p.clients[port]
	if c == nil {
		a, err := p.address(ctx, port)
		if err != nil {
			return err
		}
		if c, err = ethrpc.NewClient("http://" + a); err != nil {
			return err
		}
		p.clients[port] = c
	}
	return c.Call(ctx, result, method, params...)
}

// fetch asks for a page at port and returns its body; another status than 200 is
// an error that says what the page says.
func (p *ports) fetch(ctx context.Context, port uint16, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, rpcLimit)
	defer cancel()
	a, err := p.address(ctx, port)
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a+path, nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	const most = 4 << 10
	body, err := io.ReadAll(io.LimitReader(answer.Body, most))
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(body))
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answers %s: %s", path, answer.Status, text)
	}
	return text, nil
}

// listening are those of the given ports of h's loopback interface at which
// something listens. Nothing is connected to: a coordinator would take that for
// a prover.
func listening(ctx context.Context, h host.Host, wanted ...uint16) (open []uint16, err error) {
	var script strings.Builder
	for _, port := range wanted {
		// A line of these files: number, local address, remote address, state;
		// 0A is listening.
		fmt.Fprintf(&script, "if cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -qE '^ *[0-9]+: [0-9A-F]+:%04X [0-9A-F]+:0000 0A '; then echo %d; fi\n", port, port)
	}
	out, err := h.Run(ctx, script.String()+":\n")
	if err != nil {
		return nil, err
	}
	for _, port := range wanted {
		for _, line := range strings.Fields(string(out)) {
			if line == fmt.Sprint(port) {
				open = append(open, port)
			}
		}
	}
	return open, nil
}
