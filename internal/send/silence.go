package send

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// silence is how long a node has been asked without an answer.
type silence struct {
	// url is for people to read.
	url string
	// asked says that something was asked, at since, and nothing answered by
	// now; why is the last error.
	asked bool
	since time.Duration
	why   string
}

// listened is a node whose silence the ledger knows of.
type listened struct {
	node
	l   *ledger
	i   int
	now func() time.Duration
}

// listen has the ledger know of the silence of the nodes.
func (l *ledger) listen(nodes []node, now func() time.Duration) []node {
	out := make([]node, len(nodes))
	for i, n := range nodes {
		l.silences = append(l.silences, silence{url: n.URL()})
		out[i] = &listened{n, l, i, now}
	}
	return out
}

// Post is that of the node.
func (n *listened) Post(ctx context.Context, body, into []byte) ([]byte, error) {
	n.l.asks(n.i, n.now())
	raw, err := n.node.Post(ctx, body, into)
	if ctx.Err() == nil {
		n.l.hears(n.i, err)
	}
	return raw, err
}

// asks notes that node i was asked something.
func (l *ledger) asks(i int, now time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := &l.silences[i]; !s.asked {
		s.asked, s.since = true, now
	}
}

// hears notes that node i has answered, or that err came in place of that.
func (l *ledger) hears(i int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.silences[i]
	if s.why = ""; err != nil {
		s.why = ": " + err.Error()
	}
	s.asked = s.asked && err != nil
}

// silent is the note on the nodes that have not answered for some time. What
// was sent over them waits, while the others go on.
func (l *ledger) silent(now time.Duration) (NoteKind, string) {
	const patience = 5 * time.Second
	var urls, texts []string
	for i := range l.silences {
		if s := &l.silences[i]; s.asked && now-s.since >= patience {
			urls = append(urls, s.url)
			texts = append(texts, fmt.Sprintf("%s does not answer%s", s.url, s.why))
		}
	}
	if len(urls) == 0 {
		return "", ""
	}
	return NoteSilent + NoteKind(" "+strings.Join(urls, " ")), strings.Join(texts, "; ")
}
