package contract

import (
	"bytes"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/vm/runtime"
	"github.com/ethereum/go-ethereum/crypto"
)

var (
	owner     = common.HexToAddress("0x0e1")
	committer = common.HexToAddress("0xc0")
	sender    = common.HexToAddress("0x5e")
	root0     = common.HexToHash("0xa0")
	root1     = common.HexToHash("0xa1")
	root2     = common.HexToHash("0xa2")
	last      = common.HexToHash("0xbb")
	deposits  = common.HexToHash("0xdd")
)

// create runs creation code and returns where its contract is.
func (m *machine) create(name Name, code []byte) common.Address {
	m.t.Helper()
	deployed, address, _, err := runtime.Create(code, m.Config)
	if err != nil {
		m.t.Fatalf("deploying %s: %v", name, err)
	}
	if !bytes.Equal(deployed, name.Artifact().Runtime) {
		m.t.Fatalf("%s: the deployed code is not the artifact's", name)
	}
	return address
}

// reverts calls as who and wants the call refused for this reason.
func (m *machine) reverts(who, to common.Address, data []byte, want string) {
	m.t.Helper()
	m.Origin = who
	out, _, err := runtime.Call(to, data, m.Config)
	if err == nil {
		m.t.Errorf("calling with %x as %s succeeds with %x, want: %s", data[:4], who, out, want)
		return
	}
	if got := Reason(out); got != want {
		m.t.Errorf("Reason(%x) = %q, want %q", out, got, want)
	}
}

// as calls as who.
func (m *machine) as(who, to common.Address, data []byte) []byte {
	m.t.Helper()
	m.Origin = who
	return m.call(to, data)
}

// output is the public output of a batch as provers encode it.
func output(previous, root common.Hash, first, lastBlock uint64) []byte {
	return slices.Concat(previous[:], root[:], last[:],
		common.BigToHash(new(big.Int).SetUint64(first)).Bytes(),
		common.BigToHash(new(big.Int).SetUint64(lastBlock)).Bytes(), deposits[:])
}

func TestOnChainProposer_order(t *testing.T) {
	m := newMachine(t)
	at := m.create(OnChainProposer, ProposerCode(owner, committer, sender, root0))
	view := func(v View) string { return common.Hash(m.call(at, v.Call())).Big().Text(16) }
	one := CommitCall(1, root0, root1, 1, 3, last, deposits)
	two := CommitCall(2, root1, root2, 4, 4, last, deposits)

	m.reverts(committer, at, two, "batch 1 is the next to be committed, not batch 2")
	m.reverts(sender, at, one, "0x000000000000000000000000000000000000005E is not the committer")
	m.reverts(sender, at, VerifyCall(1, nil), "batch 1 is not committed yet")
	m.reverts(committer, at, CommitCall(1, root1, root2, 1, 3, last, deposits),
		"the batches so far lead to the state root "+root0.Hex()+", and the batch starts from "+root1.Hex())
	m.reverts(committer, at, CommitCall(1, root0, root1, 2, 3, last, deposits), "block 1 is the next, and the batch starts with block 2")
	m.reverts(committer, at, CommitCall(1, root0, root1, 1, 0, last, deposits), "the batch has no blocks: the first is 1, the last 0")
	m.as(committer, at, one)
	m.reverts(committer, at, one, "batch 2 is the next to be committed, not batch 1")
	m.as(committer, at, two)
	if got := []string{view(LastCommittedBatch), view(LastVerifiedBatch), view(LastCommittedBlock), view(StateRoot)}; !slices.Equal(got, []string{"2", "0", "4", "a2"}) {
		t.Errorf("committed, verified, block and root are %v", got)
	}

	good, bad := output(root0, root1, 1, 3), output(root0, root2, 1, 3)
	m.reverts(sender, at, VerifyCall(2, good), "batch 1 is the next to be verified, not batch 2")
	m.reverts(committer, at, VerifyCall(1, good), "0x00000000000000000000000000000000000000C0 is not the proof sender")
	for _, wrong := range [][]byte{bad, nil, good[:191], append(slices.Clone(good), 0)} {
		m.reverts(sender, at, VerifyCall(1, wrong), "the committed public output hashes to "+
			crypto.Keccak256Hash(good).Hex()+", that of the proof to "+crypto.Keccak256Hash(wrong).Hex())
	}
	if got := common.Hash(m.call(at, OutputCall(1))); got != crypto.Keccak256Hash(good) {
		t.Errorf("the output of batch 1 is %s, want the hash of its encoding", got)
	}
	m.as(sender, at, VerifyCall(1, good))
	m.reverts(sender, at, VerifyCall(1, good), "batch 2 is the next to be verified, not batch 1")
	m.as(sender, at, VerifyCall(2, output(root1, root2, 4, 4)))
	m.reverts(sender, at, VerifyCall(3, good), "batch 3 is not committed yet")
	if got := []string{view(LastCommittedBatch), view(LastVerifiedBatch)}; !slices.Equal(got, []string{"2", "2"}) {
		t.Errorf("committed and verified are %v", got)
	}
}

func TestOnChainProposer_appoint(t *testing.T) {
	m := newMachine(t)
	at := m.create(OnChainProposer, ProposerCode(owner, committer, sender, root0))
	m.reverts(committer, at, AppointCall(committer, committer), "0x00000000000000000000000000000000000000C0 is not the owner")
	m.as(owner, at, AppointCall(caller, caller))
	m.reverts(committer, at, CommitCall(1, root0, root1, 1, 1, last, deposits), "0x00000000000000000000000000000000000000C0 is not the committer")
	m.as(caller, at, CommitCall(1, root0, root1, 1, 1, last, deposits))
	m.as(caller, at, VerifyCall(1, output(root0, root1, 1, 1)))
	if got := common.BytesToAddress(m.call(at, Committer.Call())); got != caller {
		t.Errorf("the committer is %s", got)
	}
	if got := common.BytesToAddress(m.call(at, ProofSender.Call())); got != caller {
		t.Errorf("the proof sender is %s", got)
	}
	types, err := Strings(m.call(at, RequiredCall()))
	if err != nil || !slices.Equal(types, []string{"Exec"}) {
		t.Errorf("required are %q, %v", types, err)
	}
}

func TestCommonBridge(t *testing.T) {
	m := newMachine(t)
	at := m.create(CommonBridge, BridgeCode(owner))
	pay := func(wei int64) { m.Value = big.NewInt(wei) }
	pay(1_500_000_001)
	m.reverts(caller, at, DepositCall(sender), "1500000001 wei are not a whole number of gwei")
	pay(0)
	m.reverts(caller, at, DepositCall(sender), "0 wei are nothing, or more than a deposit can be")
	pay(2_000_000_000)
	m.reverts(caller, at, DepositCall(common.Address{}), "the recipient is the zero address")
	m.as(caller, at, DepositCall(sender))
	pay(0)
	m.reverts(caller, at, SetClosedCall(true), "0x0000000000000000000000000000000000CA11e4 is not the owner")
	m.as(owner, at, SetClosedCall(true))
	pay(1_000_000_000)
	m.reverts(caller, at, DepositCall(sender), "the bridge is closed")
	pay(0)
	m.as(owner, at, SetClosedCall(false))
	pay(3_000_000_000)
	m.as(caller, at, DepositCall(committer))
	pay(0)

	logs := m.State.Logs()
	if len(logs) != 2 {
		t.Fatalf("%d events, want 2", len(logs))
	}
	for i, want := range []struct {
		to   common.Address
		gwei int64
	}{{sender, 2}, {committer, 3}} {
		topics := []common.Hash{DepositTopic(), common.BigToHash(big.NewInt(int64(i + 1))), common.BytesToHash(want.to[:])}
		if !slices.Equal(logs[i].Topics, topics) || new(big.Int).SetBytes(logs[i].Data).Int64() != want.gwei*1e9 {
			t.Errorf("event %d is %v %x", i, logs[i].Topics, logs[i].Data)
		}
	}
	if got := m.State.GetBalance(at).Uint64(); got != 5e9 {
		t.Errorf("the bridge has %d wei, want 5e9", got)
	}
}

func TestReason_other(t *testing.T) {
	text := slices.Concat(crypto.Keccak256([]byte("Error(string)"))[:4],
		common.BigToHash(big.NewInt(32)).Bytes(), common.BigToHash(big.NewInt(5)).Bytes(), []byte("hello"), make([]byte, 27))
	for _, test := range []struct {
		name string
		data []byte
		want string
	}{
		{"nothing", nil, "no reason given (0x)"},
		{"too short", []byte{1, 2}, "no reason given (0x0102)"},
		{"a string", text, "hello"},
		{"a string that is cut", text[:70], "unknown error 0x08c379a0"},
		{"a panic", pack("Panic(uint256)", uint64(0x11)), "panic 0x11"},
		{"unknown", []byte{1, 2, 3, 4, 5}, "unknown error 0x0102030405"},
		{"an argument is missing", pack("NotNextToCommit(uint256,uint256)", uint64(1)), "unknown error 0x"},
	} {
		if got := Reason(test.data); !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: Reason = %q, want %q", test.name, got, test.want)
		}
	}
}

func FuzzReason(f *testing.F) {
	f.Add([]byte{})
	f.Add(pack("NotOwner(address)", owner))
	f.Add(pack("Error(string)", uint64(32), uint64(1<<40)))
	f.Fuzz(func(t *testing.T, data []byte) {
		if Reason(data) == "" && !bytes.HasPrefix(data, crypto.Keccak256([]byte("Error(string)"))[:4]) {
			t.Errorf("Reason(%x) is empty", data)
		}
	})
}

func FuzzStrings(f *testing.F) {
	words := func(n ...uint64) []byte {
		var data []byte
		for _, x := range n {
			data = appendWord(data, x)
		}
		return data
	}
	f.Add(append(words(32, 1, 32, 4), []byte("Exec")...))
	f.Add(words(32, 2, 64, 64, 0))
	f.Add(words(32, 1<<29))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := Strings(data)
		if err != nil && list != nil {
			t.Errorf("Strings = %q, %v", list, err)
		}
		// Elements may overlap, but each is a part of the data.
		for _, text := range list {
			if !bytes.Contains(data, []byte(text)) {
				t.Errorf("%q is not in %x", text, data)
			}
		}
	})
}
