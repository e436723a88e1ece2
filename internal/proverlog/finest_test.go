package proverlog

import "testing"

func TestFinest(t *testing.T) {
	const stamp = "2026-02-20T14:03:02.138401Z  INFO "
	for line, want := range map[string][2]int64{
		"Proved batch 2 in 312.46ms batch=2 proving_time_s=0 proving_time_ms=312":                      {312_460_000, 10_000},
		"Proved batch 2 in 312ms batch=2 proving_time_s=0 proving_time_ms=312":                         {312_000_000, 1_000_000},
		"Proved batch 1 in 47.12s batch=1 proving_time_s=47 proving_time_ms=47123":                     {47_123_000_000, 1_000_000},
		"Proved batch 4 in 512.46\u00b5s batch=4 proving_time_s=0 proving_time_ms=0":                   {512_460, 10},
		"Proved payload #3 in 12.34s id=3 proving_time_s=12 proving_time_ms=12340":                     {12_340_000_000, 1_000_000},
		"\x1b[32mProved batch 2 in 312.46ms\x1b[0m \x1b[3mbatch\x1b[0m=2 proving_time_ms=312":          {312_460_000, 10_000},
		"Proved batch 3 in 99.99ms (program: evm-l2, elf) batch=3 proving_time_s=0 proving_time_ms=99": {99_990_000, 10_000},
	} {
		e, ok := Finest([]byte(stamp + line))
		if !ok || e.Kind != Proved || e.ProvingNS != want[0] || e.PrecisionNS != want[1] {
			t.Errorf("Finest(%q) = %d ns to %d, %v, want %v", line, e.ProvingNS, e.PrecisionNS, ok, want)
		}
	}
	if e, ok := Finest([]byte(stamp + "Proved batch 3 batch=3")); !ok || e.Timed {
		t.Errorf("an untimed line is %+v, %v", e, ok)
	}
	if _, ok := Finest([]byte(stamp + "nothing in 3.00ms")); ok {
		t.Error("a line about nothing is an event")
	}
}
