package send

import "strings"

// Reason says why a node refused a transaction.
type Reason string

// The reasons, with what is done about each.
const (
	// PoolFull: the pool has no room, for this account or at all. Less is kept
	// pending, and the transaction is tried again.
	PoolFull Reason = "pool-full"
	// Underpriced: a full pool wants more than others pay, or a pool has a
	// minimum. Tried again; every third time it offers more.
	Underpriced Reason = "underpriced"
	// FeeTooLow: below the base fee or the node's minimum. It is signed anew
	// with a higher fee, up to the cap.
	FeeTooLow Reason = "fee-too-low"
	// Replacement: the pool has another transaction with this nonce and keeps
	// it. It is looked up: our own counts as accepted; against a stranger's we
	// offer more, or let it be included.
	Replacement Reason = "replacement-underpriced"
	// NonceTooLow: the chain has used the nonce. It is looked up by whom.
	NonceTooLow Reason = "nonce-too-low"
	// NonceGap: a transaction with a lower nonce is missing. What the node no
	// longer knows is sent again first.
	NonceGap Reason = "nonce-gap"
	// Funds: the balance does not cover it. The account waits for what is
	// pending, and is given up if that does not help.
	Funds Reason = "insufficient-funds"
	// AccountLimit: the node keeps no more of one account. Fewer are kept
	// pending.
	AccountLimit Reason = "account-limit"
	// Invalid: no node will ever take it. The account is given up.
	Invalid Reason = "invalid"
	// Busy: the node has no time, or is not ready. Tried again.
	Busy Reason = "busy"
	// BatchTooLarge: smaller batches are sent from then on.
	BatchTooLarge Reason = "batch-too-large"
	// Other is a text that is not known. Tried again.
	Other Reason = "other"

	// known is no refusal: the node has the transaction already.
	known Reason = "known"
)

// limitExceeded is the JSON-RPC code of providers that limit rates (EIP-1474).
const limitExceeded = -32005

// wordings are parts of the texts that nodes refuse transactions with, in
// lower case: geth, reth and erigon, anvil, ethrex, nethermind and besu. The
// first one that a text contains decides; the order matters where one wording
// contains another.
var wordings = []struct {
	part   string
	reason Reason
}{
	{"unknown transaction", Invalid},
	{"already known", known},
	{"already imported", known},
	{"already in the pool", known},
	{"already in pool", known},
	{"already in mempool", known},
	{"already exists in", known},
	{"known transaction", known},
	{"alreadyknown", known},
	{"existing tx with same hash", known},

	{"batch too large", BatchTooLarge},
	{"batch size", BatchTooLarge},
	{"batch limit", BatchTooLarge},
	{"too many requests in batch", BatchTooLarge},
	{"batch requests are not supported", BatchTooLarge},
	{"batched requests are not supported", BatchTooLarge},
	{"response too large", BatchTooLarge},
	{"request entity too large", BatchTooLarge},

	{"replacement transaction underpriced", Replacement},
	{"replacementnotallowed", Replacement},
	{"gas price to replace existing", Replacement},
	{"attempted to replace a pooled transaction", Replacement},
	{"could not replace existing tx", Replacement},

	{"tries to replace pending", PoolFull},
	{"pool is full", PoolFull},
	// ethrex, above its gap admission threshold.
	{"% full", PoolFull},
	{"out of capacity", PoolFull},
	{"pool overflow", PoolFull},

	{"queued (future-nonce) transactions", AccountLimit},
	{"account limit exceeded", AccountLimit},
	{"in-flight transaction limit", AccountLimit},
	{"too many transactions from sender", AccountLimit},
	{"exceeds per-account", AccountLimit},

	{"gapped-nonce", NonceGap},
	{"gapped nonce", NonceGap},
	{"nonce too high", NonceGap},
	{"nonce is too high", NonceGap},
	{"nonce too distant", NonceGap},
	{"nonce gap", NonceGap},
	{"noncegap", NonceGap},
	{"noncetoofarinfuture", NonceGap},

	{"nonce too low", NonceTooLow},
	{"nonce is too low", NonceTooLow},
	{"nonce for account too low", NonceTooLow},
	{"nonce already used", NonceTooLow},
	{"oldnonce", NonceTooLow},
	{"nonce below", NonceTooLow},

	{"insufficient funds", Funds},
	{"insufficient balance", Funds},
	{"insufficientfunds", Funds},
	{"enough balance", Funds},
	{"exceeds balance", Funds},
	{"exceeds account balance", Funds},

	{"intrinsic gas", Invalid},
	{"floor data gas", Invalid},
	{"gas limit", Invalid},
	{"gas required exceeds", Invalid},
	{"chain id", Invalid},
	{"chainid", Invalid},
	{"signed for another chain", Invalid},
	{"invalid sender", Invalid},
	{"sender is invalid", Invalid},
	{"sender not an eoa", Invalid},
	{"contract account", Invalid},
	{"signature", Invalid},
	{"not supported", Invalid},
	{"only replay-protected", Invalid},
	{"oversized", Invalid},
	{"-byte limit", Invalid},
	{"code size", Invalid},
	{"exceeds the configured cap", Invalid},
	{"fee per gas higher than", Invalid},
	{"priority fee above gas fee", Invalid},
	{"nonce has max value", Invalid},
	{"rlp", Invalid},
	{"decode", Invalid},

	{"less than block base fee", FeeTooLow},
	{"below minimum", FeeTooLow},
	{"below chain minimum", FeeTooLow},
	{"below current base fee", FeeTooLow},
	{"less than basefee", FeeTooLow},
	{"gas price too low", FeeTooLow},
	{"fee per gas too low", FeeTooLow},
	{"feetoolow", FeeTooLow},
	{"fee too low", FeeTooLow},

	{"underpriced", Underpriced},

	{"timed out", Busy},
	{"timeout", Busy},
	{"too many requests", Busy},
	{"rate limit", Busy},
	{"try again", Busy},
	{"syncing", Busy},
	{"not ready", Busy},
	{"not synced", Busy},
	{"overloaded", Busy},
	{"unavailable", Busy},
}

// classify tells the reason from what a node answered. The text may still have
// its JSON escapes.
func classify(code int, message []byte) Reason {
	const most = 512
	text := strings.ToLower(string(message[:min(len(message), most)]))
	for _, w := range wordings {
		if strings.Contains(text, w.part) {
			return w.reason
		}
	}
	if code == limitExceeded {
		return Busy
	}
	return Other
}
