package intake

import (
	"fmt"
	"math"
	"testing"
)

func TestScanDuration(t *testing.T) {
	tests := []struct {
		text     string
		ms       float64
		exponent int8
		rest     string
	}{
		{"131ms", 131, 6, ""},
		{"00s 131ms", 131, 6, ""},
		{"05s 000ms", 5000, 6, ""},
		{"01m 02s", 62000, 9, ""},
		{"59m 59s", 3599000, 9, ""},
		{"01h 01m 02s 345ms", 3662345, 6, ""},
		{"25h 00m 00s 000ms", 90000000, 6, ""},
		{"00s131ms", 131, 6, ""},
		{"131 ms", 131, 6, ""},
		{"131.52ms", 131.52, 4, ""},
		{"1.2s", 1200, 8, ""},
		{"754.32s", 754320, 7, ""},
		{"512.4\u00b5s", 0.5124, 2, ""},
		{"512.4\u03bcs", 0.5124, 2, ""},
		{"512us", 0.512, 3, ""},
		{"93ns", 0.000093, 0, ""},
		{"47.12s batch=1", 47120, 7, " batch=1"},
		{"-5ms", -5, 6, ""},
		{"0ns", 0, 0, ""},
	}
	for _, tt := range tests {
		d, rest, ok := scanDuration([]byte(tt.text))
		if !ok || math.Abs(d.ms-tt.ms) > 1e-12*math.Abs(tt.ms) || d.exponent != tt.exponent || string(rest) != tt.rest {
			t.Errorf("scanDuration(%q) = %v ms at 10^%d ns, rest %q, %v; want %v, %d, %q", tt.text, d.ms, d.exponent, rest, ok, tt.ms, tt.exponent, tt.rest)
		}
	}
}

// Half a duration is refused, not read as another one.
func TestScanDuration_refused(t *testing.T) {
	for _, text := range []string{
		"", "ms", "-", "131", "00s 13", "00s 131m", "00s", "01s", "01m", "1m", "01h 02m", "1h",
		"00s 1500ms", "01m 75s", "131ms 00s", "1s 2s", "1.5s 200ms", "1.s", ".5s", "1.5m", "NaNms", "NaN", "infs",
		"1e3ms", "131MS", "131ms2", "99999999999999999999ms", "1.0000000000001s",
	} {
		if d, rest, ok := scanDuration([]byte(text)); ok && len(rest) == 0 {
			t.Errorf("scanDuration(%q) = %v ms, want it refused", text, d.ms)
		}
	}
}

// The two ways in which builds print durations, as the reference describes
// them: each is read back to the resolution it has.
func TestScanDuration_roundTrip(t *testing.T) {
	long := func(ms int64) string {
		h, m, s := ms/3600000, ms/60000%60, ms/1000%60
		switch {
		case h > 0:
			return fmt.Sprintf("%02dh %02dm %02ds %03dms", h, m, s, ms%1000)
		case m > 0:
			return fmt.Sprintf("%02dm %02ds", m, s)
		}
		return fmt.Sprintf("%02ds %03dms", s, ms%1000)
	}
	full := func(ms int64) string {
		return fmt.Sprintf("%02dh %02dm %02ds %03dms", ms/3600000, ms/60000%60, ms/1000%60, ms%1000)
	}
	for ms := int64(0); ms < 5*3600000; ms += 7919 {
		for _, text := range []string{long(ms), full(ms)} {
			d, rest, ok := scanDuration([]byte(text))
			resolution := int64(math.Pow10(int(d.exponent) - 6))
			if !ok || len(rest) > 0 || int64(d.ms) != ms/resolution*resolution {
				t.Fatalf("%d ms printed as %q reads as %v ms, %v", ms, text, d.ms, ok)
			}
		}
	}
}
