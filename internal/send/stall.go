package send

import (
	"context"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// stuck is the transaction that has waited longest.
type stuck struct {
	who     int
	address common.Address
	nonce   uint64
	entry   entry
	window  int
	message string
}

// worst is the transaction to show when nothing moves: the first of the
// account that has waited longest for its first. It is nil if nothing is on
// its way.
func (l *ledger) worst() *stuck {
	l.mu.Lock()
	defer l.mu.Unlock()
	var w *stuck
	for i := range l.accounts {
		a := &l.accounts[i]
		if a.entries.len() == 0 {
			continue
		}
		e := a.entries.at(0)
		if w == nil || e.offered && (!w.entry.offered || e.sentAt < w.entry.sentAt) {
			w = &stuck{who: i, address: a.Address, nonce: a.base, entry: *e, window: a.window}
		}
	}
	if w != nil && !w.entry.accepted {
		var last []string
		for reason, text := range l.messages {
			last = append(last, fmt.Sprintf("%s: %s", reason, text))
		}
		w.message = strings.Join(last, "; ")
	}
	return w
}

// noteNow is the text of note for those who do not hold the lock.
func (l *ledger) noteNow(now time.Duration) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, text := l.note(now)
	return text
}

// describe says how far the transaction got.
func (w *stuck) describe(now time.Duration) string {
	e := &w.entry
	switch {
	case !e.offered:
		return "it was not sent yet"
	case e.accepted:
		return fmt.Sprintf("%s was accepted %v ago", e.hash, (now - e.sentAt).Round(time.Second))
	case w.message != "":
		return fmt.Sprintf("%s was refused (%s)", e.hash, w.message)
	}
	return fmt.Sprintf("%s was sent %v ago and never accepted", e.hash, (now - e.sentAt).Round(time.Second))
}

// poolSays asks the node about the account and the transaction.
func poolSays(ctx context.Context, rpc *caller, w *stuck) string {
	account := `"` + w.address.Hex() + `"`
	answers, err := rpc.do(ctx, []call{
		{"eth_getTransactionCount", account + `,"latest"`},
		{"eth_getTransactionCount", account + `,"pending"`},
		{"eth_getBalance", account + `,"latest"`},
		{"eth_getTransactionByHash", `"` + w.entry.hash.Hex() + `"`},
		{"txpool_contentFrom", account},
	})
	if err != nil {
		return fmt.Sprintf("the node does not answer: %v", err)
	}
	says := make([]string, 0, len(answers))
	for i, what := range []string{"nonce", "pending nonce", "balance in wei"} {
		says = append(says, what+" "+number(&answers[i]))
	}
	if answers[3].err() == nil {
		says = append(says, map[presence]string{
			unheard: "the transaction: no answer",
			unknown: "it does not know the transaction",
			pooled:  "the transaction is in its pool",
			mined:   "the transaction is in a block",
		}[parsePresence(answers[3].result)])
	}
	if answers[4].err() == nil {
		says = append(says, "the pool holds of this account "+poolContent(answers[4].result))
	}
	return "the node says: " + strings.Join(says, ", ")
}

// number is a quantity for people to read.
func number(a *answer) string {
	if err := a.err(); err != nil {
		return "unknown (" + err.Error() + ")"
	}
	text := string(unquoted(a.result))
	digits, prefixed := strings.CutPrefix(text, "0x")
	// Balances outgrow 64 bits with 19 ether.
	n, ok := new(big.Int).SetString(digits, 16)
	if !prefixed || !ok || n.Sign() < 0 {
		return text
	}
	return n.String()
}

// poolContent counts what txpool_contentFrom lists, in its parts.
func poolContent(raw []byte) string {
	var parts []string
	s := scanner{b: raw}
	s.object(func(key, value []byte) bool {
		n := 0
		inner := scanner{b: value}
		inner.object(func(_, _ []byte) bool { n++; return true })
		parts = append(parts, fmt.Sprintf("%d %s", n, key))
		return true
	})
	if len(parts) == 0 {
		return "nothing that it shows"
	}
	return strings.Join(parts, " and ")
}
