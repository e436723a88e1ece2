package devnet

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
)

func TestNode_logs(t *testing.T) {
	n := start(t, nil)
	c := attach(t, n)
	c.deliver(c.build())
	// A contract whose constructor logs the number of its block.
	logging := []byte{byte(vm.NUMBER), byte(vm.PUSH1), 0, byte(vm.PUSH1), 0, byte(vm.LOG1)}
	c.send(0, nil, 0, 100_000, logging)
	c.deliver(c.build())
	c.deliver(c.build())

	logs := func(criteria string) (found []types.Log, refusal string) {
		t.Helper()
		var answer struct {
			Result json.RawMessage
			Error  *rpcError
		}
		raw := post(t, n, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"eth_getLogs","params":[%s]}`, criteria))
		if err := json.Unmarshal(raw, &answer); err != nil {
			t.Fatal(err)
		}
		if answer.Error != nil {
			return nil, answer.Error.Message
		}
		if err := json.Unmarshal(answer.Result, &found); err != nil || found == nil {
			t.Fatalf("%s: %v in %s", criteria, err, answer.Result)
		}
		return found, ""
	}
	const two, three = `"0x0000000000000000000000000000000000000000000000000000000000000002"`, `"0x0000000000000000000000000000000000000000000000000000000000000003"`
	for _, test := range []struct {
		criteria string
		count    int
		refusal  string
	}{
		{`{"fromBlock":"0x0","toBlock":"0x3"}`, 1, ""},
		{`{"fromBlock":"0x2","toBlock":"0x2","topics":[[` + two + `,` + three + `]]}`, 1, ""},
		{`{"fromBlock":"0x0","toBlock":"latest","topics":[` + three + `]}`, 0, ""},
		{`{"fromBlock":"0x0","toBlock":"0x1"}`, 0, ""},
		{`{"fromBlock":"0x0","address":"0x00000000000000000000000000000000000000aa"}`, 0, ""},
		{`{}`, 0, ""}, // the newest block
		{`{"fromBlock":"0x3","toBlock":"0x2"}`, 0, "fromBlock 3 is after toBlock 2"},
		{`{"fromBlock":"0x0","topics":[[],[],[],[],[]]}`, 0, "exceed max topics"},
	} {
		found, refusal := logs(test.criteria)
		if len(found) != test.count || !strings.Contains(refusal, test.refusal) || (refusal == "") != (test.refusal == "") {
			t.Errorf("eth_getLogs %s = %v, %q", test.criteria, found, refusal)
			continue
		}
		if test.count == 1 {
			byHash, _ := logs(fmt.Sprintf(`{"blockHash":%q}`, found[0].BlockHash))
			if found[0].BlockNumber != 2 || len(byHash) != 1 || byHash[0].TxHash != found[0].TxHash {
				t.Errorf("eth_getLogs %s = %+v, by the block's hash %+v", test.criteria, found, byHash)
			}
		}
	}
}
