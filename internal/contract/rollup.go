package contract

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// ProposerCode is the creation code of an [OnChainProposer] with its arguments:
// who may appoint, who may commit, who may verify, and the state root of the
// rollup's genesis block.
func ProposerCode(owner, committer, proofSender common.Address, genesisRoot common.Hash) []byte {
	return withArguments(OnChainProposer, owner, committer, proofSender, genesisRoot)
}

// BridgeCode is the creation code of a [CommonBridge] with its argument, who
// may close it.
func BridgeCode(owner common.Address) []byte { return withArguments(CommonBridge, owner) }

// withArguments is the creation code followed by the constructor's arguments.
func withArguments(n Name, args ...any) []byte {
	code := slices.Clone([]byte(n.Artifact().Creation))
	for _, arg := range args {
		code = appendWord(code, arg)
	}
	return code
}

// DepositCall calls a [CommonBridge]: the ether that comes with the call is for
// the account to on the rollup.
func DepositCall(to common.Address) []byte { return pack("deposit(address)", to) }

// SetClosedCall calls a [CommonBridge] as its owner: it takes no more deposits,
// or takes them again.
func SetClosedCall(closed bool) []byte {
	var flag uint64
	if closed {
		flag = 1
	}
	return pack("setClosed(bool)", flag)
}

// DepositTopic is the first topic of a [CommonBridge]'s event of a deposit. The
// second is the deposit's id and the third the recipient; the data is the
// amount in wei.
func DepositTopic() common.Hash {
	return crypto.Keccak256Hash([]byte("Deposit(uint256,address,uint256)"))
}

// AppointCall calls an [OnChainProposer] as its owner: from now on these two
// commit and verify.
func AppointCall(committer, proofSender common.Address) []byte {
	return pack("appoint(address,address)", committer, proofSender)
}

// CommitCall calls an [OnChainProposer]: batch number leads from the state root
// previous to root with the blocks first to last. The hashes are that of the
// last block and that of the deposits which the batch credits.
func CommitCall(number uint64, previous, root common.Hash, first, last uint64, lastHash, deposits common.Hash) []byte {
	return pack("commitBatch(uint256,bytes32,bytes32,uint256,uint256,bytes32,bytes32)",
		number, previous, root, first, last, lastHash, deposits)
}

// VerifyCall calls an [OnChainProposer]: a proof of batch number has this
// public output.
func VerifyCall(number uint64, output []byte) []byte {
	data := pack("verifyBatch(uint256,bytes)", number, uint64(2*word), uint64(len(output)))
	padding := (word - len(output)%word) % word
	return append(append(data, output...), make([]byte, padding)...)
}

// View is a value of a contract that anybody may ask for, one word.
type View string

// The views of an [OnChainProposer]: the numbers of the newest committed and
// verified batch, the last committed block, the state root after it, and who may
// commit and verify.
const (
	LastCommittedBatch View = "lastCommittedBatch()"
	LastVerifiedBatch  View = "lastVerifiedBatch()"
	LastCommittedBlock View = "lastCommittedBlock()"
	StateRoot          View = "stateRoot()"
	Committer          View = "committer()"
	ProofSender        View = "proofSender()"
)

// DepositCount is the view of a [CommonBridge]: how many deposits it has taken.
const DepositCount View = "deposits()"

// Call asks for the value.
func (v View) Call() []byte { return pack(string(v)) }

// OutputCall asks an [OnChainProposer] for the hash of the public output that a
// committed batch must have, zero if there is no such batch.
func OutputCall(number uint64) []byte { return pack("outputs(uint256)", number) }

// RequiredCall asks an [OnChainProposer] for the types of proof that a batch
// needs; [Strings] reads the answer.
func RequiredCall() []byte { return pack("requiredProofTypes()") }

// Strings reads a returned string[]. A malformed one is an error.
func Strings(data []byte) ([]string, error) {
	list, err := tail(data, 0)
	if err != nil {
		return nil, err
	}
	count, list, err := size(list)
	if err != nil || count > len(list)/word {
		return nil, errMalformed
	}
	out := make([]string, count)
	left := len(data) // elements that overlap could take any amount of memory
	for i := range out {
		text, err := tail(list, i*word)
		if err != nil {
			return nil, err
		}
		length, text, err := size(text)
		if err != nil || length > min(len(text), left) {
			return nil, errMalformed
		}
		left -= length
		out[i] = string(text[:length])
	}
	return out, nil
}

var errMalformed = errors.New("malformed ABI encoding")

// tail is what the offset at the byte at points to.
func tail(data []byte, at int) ([]byte, error) {
	if at > len(data)-word {
		return nil, errMalformed
	}
	offset, _, err := size(data[at:])
	if err != nil || offset > len(data) {
		return nil, errMalformed
	}
	return data[offset:], nil
}

// size reads a word that is a number of bytes or elements, and returns what
// follows it.
func size(data []byte) (n int, rest []byte, err error) {
	if len(data) < word {
		return 0, nil, errMalformed
	}
	x := new(big.Int).SetBytes(data[:word])
	if !x.IsInt64() || x.Int64() > 1<<30 {
		return 0, nil, errMalformed
	}
	return int(x.Int64()), data[word:], nil
}

// refusal is an error of a contract: how its source declares it, and what it
// says, with a verb of package fmt for each argument.
type refusal struct{ signature, text string }

// refusals are the errors of the rollup's contracts.
func refusals() []refusal {
	return []refusal{
		{"NotOwner(address)", "%s is not the owner"},
		{"NotCommitter(address)", "%s is not the committer"},
		{"NotProofSender(address)", "%s is not the proof sender"},
		{"NotNextToCommit(uint256,uint256)", "batch %s is the next to be committed, not batch %s"},
		{"NotNextToVerify(uint256,uint256)", "batch %s is the next to be verified, not batch %s"},
		{"NotCommitted(uint256)", "batch %s is not committed yet"},
		{"WrongStateRoot(bytes32,bytes32)", "the batches so far lead to the state root %s, and the batch starts from %s"},
		{"WrongFirstBlock(uint256,uint256)", "block %s is the next, and the batch starts with block %s"},
		{"NoBlocks(uint256,uint256)", "the batch has no blocks: the first is %s, the last %s"},
		{"WrongPublicOutput(bytes32,bytes32)", "the committed public output hashes to %s, that of the proof to %s"},
		{"Closed()", "the bridge is closed"},
		{"NoRecipient()", "the recipient is the zero address"},
		{"NotWholeGwei(uint256)", "%s wei are not a whole number of gwei"},
		{"OutOfRange(uint256)", "%s wei are nothing, or more than a deposit can be"},
	}
}

// Reason says in words why a contract reverted with data: an error that the
// rollup's contracts declare, a string, or a panic of the language. Other data
// is shown in hex, up to a length; no data has no reason.
func Reason(data []byte) string {
	if len(data) < 4 {
		return fmt.Sprintf("no reason given (0x%x)", data)
	}
	selector, args := data[:4], data[4:]
	for _, r := range refusals() {
		if bytes.Equal(selector, crypto.Keccak256([]byte(r.signature))[:4]) {
			if text, ok := r.explain(args); ok {
				return text
			}
		}
	}
	switch {
	case bytes.Equal(selector, crypto.Keccak256([]byte("Error(string)"))[:4]):
		if text, err := tail(args, 0); err == nil {
			if length, text, err := size(text); err == nil && length <= len(text) {
				return string(text[:length])
			}
		}
	case bytes.Equal(selector, crypto.Keccak256([]byte("Panic(uint256)"))[:4]) && len(args) == word:
		return fmt.Sprintf("panic %#x", new(big.Int).SetBytes(args))
	}
	const longest = 68 // a selector and two words
	return fmt.Sprintf("unknown error 0x%x", data[:min(len(data), longest)])
}

// explain fills the arguments into the text.
func (r refusal) explain(args []byte) (string, bool) {
	_, list, _ := strings.Cut(strings.TrimSuffix(r.signature, ")"), "(")
	var values []any
	for kind := range strings.SplitSeq(list, ",") {
		if kind == "" {
			break
		}
		if len(args) < word {
			return "", false
		}
		var value fmt.Stringer
		switch w := common.Hash(args[:word]); kind {
		case "address":
			value = common.BytesToAddress(w[:])
		case "bytes32":
			value = w
		default:
			value = w.Big()
		}
		values, args = append(values, value), args[word:]
	}
	return fmt.Sprintf(r.text, values...), len(args) == 0
}
