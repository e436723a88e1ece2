package intake

import (
	"slices"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/fault"
)

func TestCSV(t *testing.T) {
	tests := []struct {
		name, text string
		blocks     []uint64
		ms         []float64
		exponent   int8
		batches    bool
	}{
		{"with header", "block,ms\n7,131\n8,95\n", []uint64{7, 8}, []float64{131, 95}, 6, false},
		{"without header", "7,131\n8,95\n", []uint64{7, 8}, []float64{131, 95}, 6, false},
		{"first value NaN", "7,NaN\n8,95\n", []uint64{8}, []float64{95}, 6, false},
		{"comments and blank lines", "# from main\n\nblock,ms\n7,131\n\n# end\n", []uint64{7}, []float64{131}, 6, false},
		{"semicolons, quotes and blanks", "\"Block Number\" ; \"Latency (ms)\"\n\"7\" ; 131.25\n", []uint64{7}, []float64{131.25}, 4, false},
		{"tabs and seconds", "height\ttime_s\n7\t0.131\n", []uint64{7}, []float64{131}, 6, false},
		{"nanoseconds in another order", "ns,hosts,number\n131000000,x,7\n", []uint64{7}, []float64{131}, 0, false},
		{"exponent", "block,s\n7,1.31e-1\n", []uint64{7}, []float64{131}, 6, false},
		{"clearest name wins", "block,connect_ms,latency_ms,body_ms\n7,1,131,5\n", []uint64{7}, []float64{131}, 6, false},
		{"only duration with any name", "block,witness_ms\n7,131\n", []uint64{7}, []float64{131}, 6, false},
		{"finest unit wins", "batch,Time (s),Time (ms)\n1,47,47123\n", []uint64{1}, []float64{47123}, 6, true},
	}
	for _, tt := range tests {
		s := read(t, tt.text)
		if s.Kind != CSV || !slices.Equal(numbers(s), tt.blocks) || !slices.Equal(s.Milliseconds(), tt.ms) {
			t.Errorf("%s: %s of blocks %v with %v ms, want %v with %v", tt.name, s.Kind, numbers(s), s.Milliseconds(), tt.blocks, tt.ms)
		}
		if s.Values[0].Exponent != tt.exponent || s.Batches != tt.batches {
			t.Errorf("%s: resolution 10^%d ns, batches %v, want %d, %v", tt.name, s.Values[0].Exponent, s.Batches, tt.exponent, tt.batches)
		}
	}
}

func TestCSV_excluded(t *testing.T) {
	tests := []struct {
		row  string
		want Reason
	}{
		{"7,-1\n", NotPositive},
		{"7,NaN\n", NotFinite},
		{"7,+Inf\n", NotFinite},
		{"7,0\n", Zero},
		{"7,1e9\n", Absurd},
		{"7,1e999\n", BadDuration},
		{"7,fast\n", BadDuration},
		{"7,\n", NoLatency},
		{"7,-\n", NoLatency},
		{"7\n", NoLatency},
		{"-7,131\n", BadBlock},
		{"7.5,131\n", BadBlock},
		{",131\n", BadBlock},
		{"block,ms\n", BadBlock},
		{"8,99\n", Duplicate},
		{"9,13", TornLine},
	}
	for _, tt := range tests {
		s := read(t, "block,ms\n8,95\n"+tt.row)
		if len(s.Values) != 1 || len(s.Excluded) != 1 || s.Excluded[0].Reason != tt.want || !slices.Equal(s.Excluded[0].Lines, []int{3}) {
			t.Errorf("%q: %d values, excluded %s; want %s at line 3", tt.row, len(s.Values), reasons(s), tt.want)
		}
	}
	if s := read(t, "8,95\n9,0\n"); len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "favors the slower side") {
		t.Errorf("a zero left out gives the warnings %q", s.Warnings)
	}
}

// A block is its hash, where there is one: the same number with another hash
// is another block.
func TestCSV_hashes(t *testing.T) {
	a, b := strings.Repeat("ab", 32), strings.Repeat("CD", 32)
	s := read(t, "block,hash,ms,gas,txs\n7,0x"+a+",131,21000,1\n7,"+b+",95,42000,2\n7,0x"+a+",1,,\n8,0x12,1,,\n8,0x"+a+",0,,\n")
	if !slices.Equal(s.Milliseconds(), []float64{131, 95}) || len(s.Hashes) != 2 || s.Hashes[0][31] != 0xab || s.Hashes[1][0] != 0xcd {
		t.Errorf("values %v with hashes %x", s.Values, s.Hashes)
	}
	if s.Left(Duplicate) != 1 || s.Left(BadBlock) != 1 || s.Left(Zero) != 1 || len(s.Excluded) != 3 {
		t.Errorf("excluded %s", reasons(s))
	}
}

func TestCSV_work(t *testing.T) {
	s := read(t, "batch,ms,gas_used,transactions,blocks\n2,95,500,7,3\n1,131,,,\n")
	if !slices.Equal(s.Work, []Work{{500, 7, 3}, {}}) {
		t.Errorf("work %v", s.Work)
	}
}

func TestCSV_refused(t *testing.T) {
	tests := []struct{ text, want string }{
		{"block,latency\n7,131\n", "no duration column among block, latency"},
		{"block,a_ms,b_ms\n7,131,1\n", "several duration columns: a_ms, b_ms"},
		{"slot,ms\n7,131\n", "no block column among slot, ms"},
		{"7,131,21000\n", "3 columns and no header"},
		{"block,ms,network\n7,131,mainnet\n8,95,hoodi\n", "input:3: blocks of hoodi after blocks of mainnet"},
		{"a,b\n1,2\n", "none of the known inputs"},
	}
	for _, tt := range tests {
		s, err := Read("input", strings.NewReader(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.want) || fault.KindOf(err) != fault.Usage {
			t.Errorf("%q: %v, %v; want %q", tt.text, s, err, tt.want)
		}
	}
	for _, text := range []string{"block,ms\n", "7,131", "block,ms\n7,\n"} {
		s, err := Read("input", strings.NewReader(text))
		if fault.KindOf(err) != fault.Invalid || err == nil {
			t.Errorf("%q: %v, %v; want an error of kind Invalid", text, s, err)
		}
	}
	if s := read(t, "block,ms,network\n7,131,hoodi\n8,95,hoodi\n"); s.Network != "hoodi" {
		t.Errorf("network %q, want hoodi", s.Network)
	}
}

// What verdict writes about attempts comes back as what counted of it: a warm-up
// does not stand in the way of the proof that counts, and two sides are none.
func TestCSV_attempts(t *testing.T) {
	const head = "side,counts,batch,ms,gas\n"
	s := read(t, head+"baseline,false,1,441,\nbaseline,true,1,116,7\nbaseline,true,2,120,8\n")
	if !slices.Equal(numbers(s), []uint64{1, 2}) || !slices.Equal(s.Milliseconds(), []float64{116, 120}) || s.Left(Uncounted) != 1 || !s.Batches {
		t.Errorf("batches %v with %v ms, excluded %+v", numbers(s), s.Milliseconds(), s.Excluded)
	}
	if s.Work[0].Gas != 7 {
		t.Errorf("work %v", s.Work)
	}
	_, err := Read("both.csv", strings.NewReader(head+"baseline,true,1,116,7\ntest,true,1,118,7\n"))
	if fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), "both.csv holds both sides (line 3 ") {
		t.Errorf("both sides: %v", err)
	}
	for _, text := range []string{head + "baseline,false,1,441,\n"} {
		if _, err := Read("none", strings.NewReader(text)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("nothing that counts: %v", err)
		}
	}
}
