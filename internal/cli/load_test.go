package cli

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ethereum/go-ethereum/common"

	"github.com/verdict-bench/verdict/internal/load"
	"github.com/verdict-bench/verdict/internal/send"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// loadEnds are loads that have ended, from the ordinary to the ugly.
func loadEnds() map[string]loadSummary {
	latency := send.Latency{N: 5000, P50: 0.871, P90: 1.52, P99: 12.34, Max: 123.4}
	return map[string]loadSummary{
		"done": {
			Type: load.Mixed, Seed: 7, Accounts: 50, ChainID: 1337, State: stateDone,
			Contracts: load.Contracts{Token: common.Address{1}, Fibonacci: common.Address{2}, IOHeavy: common.Address{3}},
			Report: send.Report{
				Head: 1234,
				Total: send.Figures{
					Seconds: 61.2, Offered: 5000, Accepted: 5000, Included: 5000, Blocks: 60, GasIncluded: 500_000_000,
					OfferedTPS: 81.7, OfferedMGas: 8.2, IncludedTPS: 81.7, IncludedMGas: 8.17, Latency: latency,
				},
			},
		},
		"empty": {Type: load.EthTransfers, Accounts: 1, ChainID: 1, State: stateInterrupted},
		"ugly": {
			Type: load.Fibonacci, Legacy: true, Seed: 1<<64 - 1, Accounts: 100_000, ChainID: 1<<64 - 1, State: stateFailed,
			Error: "nothing was included", Contracts: load.Contracts{Heavy: common.MaxAddress},
			Report: send.Report{
				Head: 99_999_999, Pending: 8_000, Waiting: 20, MaxPending: 100,
				Total: send.Figures{
					Seconds: 86_400, Offered: 12_345_678, Accepted: 12_350_000, Included: 12_337_650, Reverted: 12_337_650,
					Dropped: 4_350, Abandoned: 8, Resent: 5_000, Unanswered: 17, Behind: 31_000, Blocks: 7_200, Reorged: 3,
					OfferedTPS: 142.9, OfferedMGas: 23.4, IncludedTPS: 142.8, IncludedMGas: 23.3, Latency: latency,
					Rejected: map[send.Reason]int64{send.PoolFull: 120, send.Funds: 9, send.Other: 120, send.Replacement: 1},
				},
				Messages: map[send.Reason]string{
					send.PoolFull: "txpool is full",
					send.Other:    "\x1b[2Jevil\nnode " + strings.Repeat("é", 90),
				},
				GivenUp: []send.GivenUp{{Account: common.MaxAddress, Reason: "\x1b]0;title\a" + strings.Repeat("no funds ", 20)}},
			},
		},
	}
}

func TestLoadTable_golden(t *testing.T) {
	for name, s := range loadEnds() {
		got := loadTable(s)
		for line := range strings.Lines(got) {
			line = strings.TrimSuffix(line, "\n")
			if n := utf8.RuneCountInString(line); n > tableWidth {
				t.Errorf("%s: a line has %d characters: %s", name, n, line)
			}
			if strings.ContainsAny(line, "\x1b\a") {
				t.Errorf("%s: a control character in %q", name, line)
			}
		}
		path := filepath.Join("testdata", "load-"+name+".golden")
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: the table is\n%s\nwant\n%s", name, got, want)
		}
	}
}

func TestLoadLine(t *testing.T) {
	r := send.Report{
		Pending: 12, Waiting: 3,
		Total: send.Figures{Offered: 1000, Accepted: 990, Included: 970, Reverted: 5, Dropped: 8},
		Interval: send.Figures{
			OfferedTPS: 812.4, IncludedTPS: 790.1, OfferedMGas: 17.06, IncludedMGas: 16.6,
			Latency: send.Latency{N: 800, P50: 1.204, P99: 30.41},
		},
	}
	want := "sent 1000  accepted 990  included 970  pending 12  reverted 5  dropped 8  waiting 3" +
		"  812/790 tx/s  17.1/16.6 Mgas/s  1.20/30.4 s"
	if got := loadLine(r); got != want {
		t.Errorf("loadLine = %q, want %q", got, want)
	}
	want = "sent 0  accepted 0  included 0  pending 0  0/0 tx/s  0.0/0.0 Mgas/s"
	if got := loadLine(send.Report{}); got != want {
		t.Errorf("loadLine of nothing = %q, want %q", got, want)
	}
}

// What docs/load.md shows of the JSON lines are such lines, whole.
func TestLoadRecord_documented(t *testing.T) {
	raw, err := os.ReadFile("../../docs/load.md")
	if err != nil {
		t.Fatal(err)
	}
	kinds := make(map[string]bool)
	for _, block := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllSubmatch(raw, -1) {
		lines := json.NewDecoder(bytes.NewReader(block[1]))
		lines.DisallowUnknownFields()
		var r loadRecord
		if err := lines.Decode(&r); err != nil {
			t.Fatalf("%v in\n%s", err, block[1])
		}
		report := send.Report{Total: r.Total, Pending: r.Pending, Waiting: r.Waiting}
		if err := report.Check(); err != nil || r.V != loadRecordVersion || r.At.IsZero() {
			t.Errorf("version %d at %v: %v", r.V, r.At, err)
		}
		if (r.Kind == "total") != (r.Load != nil) || (r.Kind == "interval") != (r.Interval != nil) {
			t.Errorf("kind %q has interval %v and load %v", r.Kind, r.Interval, r.Load)
		}
		kinds[r.Kind] = true
		fieldsShown(t, block[1], r)
	}
	if want := map[string]bool{"interval": true, "total": true}; !reflect.DeepEqual(kinds, want) {
		t.Errorf("docs/load.md shows %v, want %v", kinds, want)
	}
}

// fieldsShown checks that the example has all fields that such a line always
// has.
func fieldsShown(t *testing.T, example []byte, r loadRecord) {
	t.Helper()
	again, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var shown, has map[string]any
	if err := json.Unmarshal(example, &shown); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(again, &has); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(shown, has) {
		t.Errorf("docs/load.md shows\n%s\nthe program would write\n%s", example, again)
	}
}

func TestLoadRecord_kinds(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 15, 30, 0, time.FixedZone("", 3600))
	for name, s := range loadEnds() {
		raw, err := json.Marshal(totalRecord(s, at))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{`"v":1,"kind":"total","at":"2026-11-22T09:15:30Z"`, `"state":"` + string(s.State) + `"`} {
			if !bytes.Contains(raw, []byte(want)) {
				t.Errorf("%s: %s lacks %s", name, raw, want)
			}
		}
		if raw, err = json.Marshal(intervalRecord(s.Report, at)); err != nil || bytes.Contains(raw, []byte(`"load"`)) {
			t.Errorf("%s: an interval is %s, %v", name, raw, err)
		}
	}
}

func TestWeiAmount(t *testing.T) {
	for _, c := range []struct {
		unit unit
		text string
		want string
	}{
		{ether, "1", "1000000000000000000"}, {ether, "0.5", "500000000000000000"}, {ether, ".5ether", "500000000000000000"},
		{ether, "2 eth", "2000000000000000000"}, {ether, "30gwei", "30000000000"}, {ether, "7wei", "7"},
		{gwei, "50", "50000000000"}, {gwei, "1.5", "1500000000"}, {gwei, "0.000000001", "1"}, {gwei, "0", "0"},
		{gwei, "1ether", "1000000000000000000"},
	} {
		a := weiAmount{unit: c.unit}
		if err := a.Set(c.text); err != nil || a.wei.String() != c.want {
			t.Errorf("Set(%q) = %v, %v; want %s wei", c.text, a.wei, err, c.want)
		}
	}
	for _, text := range []string{"", "ether", "-1", "1e18", "0x1", "1/2", "1.5wei", "0.0000000000000000001", "1.2.3", "+1", "1,5", ".", "wei",
		strings.Repeat("9", 61)} {
		if a := (weiAmount{unit: ether}); a.Set(text) == nil {
			t.Errorf("Set(%q) = %v, want an error", text, a.wei)
		}
	}
}

// An amount that is taken is written as one that is taken, and is the same.
func FuzzWeiAmount(f *testing.F) {
	for _, text := range []string{"0.5", "2ether", "30gwei", "1000wei", "1e18", "-1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a := weiAmount{unit: gwei}
		if a.Set(text) != nil {
			return
		}
		if a.wei.Sign() < 0 || a.wei.BitLen() > 260 {
			t.Errorf("%q is %v wei", text, a.wei)
		}
		b := weiAmount{unit: ether}
		if err := b.Set(a.String()); err != nil || b.wei.Cmp(a.wei) != 0 {
			t.Errorf("%q is %s, which is %v, %v", text, a.String(), b.wei, err)
		}
	})
}

func TestMinutes(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "5": 5 * time.Minute, "0.5": 30 * time.Second, "90s": 90 * time.Second, "2h": 2 * time.Hour, "0s": 0,
	} {
		var m minutes
		if err := m.Set(text); err != nil || time.Duration(m) != want {
			t.Errorf("Set(%q) = %v, %v; want %v", text, time.Duration(m), err, want)
		}
	}
	for _, text := range []string{"", "-1", "NaN", "Inf", "-Inf", "1e300", "soon", "-5s", "600000"} {
		if m := minutes(time.Second); m.Set(text) == nil {
			t.Errorf("Set(%q) = %v, want an error", text, time.Duration(m))
		}
	}
}

func TestParseWeights(t *testing.T) {
	got, err := parseWeights("eth-transfers=30, erc20=45,witness-heavy=0")
	want := map[load.Type]int{load.EthTransfers: 30, load.ERC20: 45, load.WitnessHeavy: 0}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("parseWeights = %v, %v; want %v", got, err, want)
	}
	for text, want := range map[string]string{
		"erc20": "want TYPE=N", "erc20=x": "want TYPE=N", "erc21=1": `"erc21" is no type`, "erc20=1,erc20=2": "given twice",
		"erc20=1,": `"" is no type`,
	} {
		if _, err := parseWeights(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parseWeights(%q): %v, want %q", text, err, want)
		}
	}
}

// Weights that are taken are written as ones that are taken.
func FuzzParseWeights(f *testing.F) {
	for _, text := range []string{"", "eth-transfers=30,erc20=45", "mixed=1", "erc20=", "=,="} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		weights, err := parseWeights(text)
		if err != nil {
			return
		}
		again, err := parseWeights(weightsText(weights))
		if err != nil || !reflect.DeepEqual(again, weights) {
			t.Errorf("%q is %v, which is %v, %v", text, weights, again, err)
		}
	})
}

// The senders that an unlocked account pays are of a key that is in the source:
// they must never change, or what they hold is lost.
func TestPublicRoot(t *testing.T) {
	want := common.HexToAddress("0x754cdd6820D1A76262dfe501DdfeFf611D47C8af")
	if got := load.Derive(publicRoot().Key, 1, 1)[0].Address; got != want {
		t.Errorf("the first sender of seed 1 is %s, want %s", got, want)
	}
}
