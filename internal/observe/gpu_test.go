package observe

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
)

// show writes what a GPU told; "-" is what it did not.
func show(g sample.GPU) string {
	number := func(x *float64) string {
		if x == nil {
			return "-"
		}
		return fmt.Sprint(math.Round(*x*100) / 100)
	}
	bytes := func(n *int64) string {
		if n == nil {
			return "-"
		}
		return fmt.Sprint(*n >> 20)
	}
	reasons := "-"
	if g.Throttle != nil {
		reasons = fmt.Sprint(g.Throttle)
	}
	return strings.Join([]string{fmt.Sprint(g.Index), g.Name, number(g.Utilization), bytes(g.MemoryBytes), bytes(g.TotalBytes),
		number(g.PowerWatts), number(g.TemperatureCelsius), number(g.SMClockMHz), number(g.MemoryClockMHz), reasons}, " | ")
}

func smiSample(t testing.TB, elements ...string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(append([]string{"testdata", "smi"}, elements...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestQuery_drivers(t *testing.T) {
	const event, throttle = "clocks_event_reasons.active", "clocks_throttle_reasons.active"
	tests := []struct {
		driver, reasons string
		want            []string
	}{
		{"driver-390", throttle, []string{"0 | GeForce GTX 770 | - | 211 | 1997 | - | 52 | - | - | -"}},
		{"driver-470", throttle, []string{
			"0 | NVIDIA GeForce RTX 3090 | 0.98 | 18211 | 24268 | 349.71 | 71 | 1695 | 9501 | [sw_power_cap]",
			"1 | NVIDIA GeForce RTX 3090 | 0 | 1 | 24268 | 24.03 | 34 | 210 | 405 | []"}},
		{"driver-550", event, []string{"0 | NVIDIA GeForce RTX 4090 | 1 | 20480 | 24564 | 448.1 | 83 | 2310 | 10501 | [sw_power_cap sw_thermal_slowdown]"}},
		{"driver-580", event, []string{"0 | NVIDIA H100 80GB HBM3 | 0.97 | 40213 | 81559 | 512.34 | 61 | 1980 | 2619 | []"}},
		{"mig-535", event, []string{"0 | NVIDIA A100-SXM4-80GB | - | 51234 | 81920 | 301.44 | 58 | 1410 | 1593 | []"}},
		{"ill-470", throttle, []string{"0 | NVIDIA GeForce RTX 3080 Ti | - | - | 12288 | - | - | - | 9501 | -"}},
	}
	for _, tt := range tests {
		q, err := chooseColumns(smiSample(t, tt.driver, "help.txt"))
		if err != nil {
			t.Errorf("%s: %v", tt.driver, err)
			continue
		}
		want := "index,name,utilization.gpu,memory.used,memory.total,power.draw,temperature.gpu,clocks.sm,clocks.mem," + tt.reasons
		if got := strings.Join(q.names, ","); got != want {
			t.Errorf("%s is asked for %s, want %s", tt.driver, got, want)
		}
		var got []string
		for line := range strings.Lines(smiSample(t, tt.driver, "answer.csv")) {
			g, ok := q.parse(line)
			if !ok {
				t.Errorf("%s: parse(%q) is no answer", tt.driver, line)
			}
			got = append(got, show(g))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n got %q\nwant %q", tt.driver, got, tt.want)
		}
	}
}

func TestQuery_refused(t *testing.T) {
	for _, help := range []string{"", "NVIDIA-SMI has failed", `"indexes" "name"`} {
		if _, err := chooseColumns(help); err == nil {
			t.Errorf("chooseColumns(%q): no error", help)
		}
	}
	q, err := chooseColumns(smiSample(t, "driver-580", "help.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"", "No devices were found", "0, NVIDIA H100", "one, a, b, c, d, e, f, g, h, i", "-1, a, 1, 1, 1, 1, 1, 1, 1, 0x0", "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10"} {
		if g, ok := q.parse(line); ok {
			t.Errorf("parse(%q) = %+v", line, g)
		}
	}
}

func TestThrottle(t *testing.T) {
	tests := []struct {
		mask string
		want []string
	}{
		{"0x0000000000000000", []string{}}, {"0x0000000000000001", []string{}}, {"0x4", []string{"sw_power_cap"}},
		{"0x00000000000000e9", []string{"hw_slowdown", "sw_thermal_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown"}},
		{"0x0000000000000112", []string{"applications_clocks_setting", "sync_boost", "display_clock_setting"}},
		{"0x0000000000000204", []string{"sw_power_cap", "unknown_0x200"}},
		{"[N/A]", nil}, {"[Not Supported]", nil}, {"Not Active", nil}, {"", nil}, {"0x", nil}, {"4", nil}, {"0x1ffffffffffffffff", nil},
	}
	for _, tt := range tests {
		if got := throttle(tt.mask); !slices.Equal(got, tt.want) || (got == nil) != (tt.want == nil) {
			t.Errorf("throttle(%q) = %q, want %q", tt.mask, got, tt.want)
		}
	}
	for value, want := range map[string]string{"97 %": "97", "512.34 W": "512.34", "-1": "-", "NaN": "-", "Inf": "-", "1 2 3": "-", "N/A": "-"} {
		got := "-"
		if x := scaled(value, 1); x != nil {
			got = fmt.Sprint(*x)
		}
		if got != want {
			t.Errorf("scaled(%q) = %s, want %s", value, got, want)
		}
	}
}

// standIn puts a program nvidia-smi on the PATH that answers as a sample does,
// until the file "broken" is in its folder: then it prints that and fails.
func standIn(t *testing.T, driver string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	data, err := filepath.Abs(filepath.Join("testdata", "smi", driver))
	if err != nil {
		t.Fatal(err)
	}
	script := `#!/bin/sh
cd "` + dir + `" || exit
echo "$@" >>asked
broken() { test -f broken && cat broken && exit 9; }
broken
case $1 in
--help-query-gpu) cat "` + data + `/help.txt" ;;
--query-gpu=*) while :; do
	broken
	cat "` + data + `/answer.csv"
	sleep 0.01
done ;;
*) exit 2 ;;
esac
`
	if err := os.WriteFile(filepath.Join(dir, smi), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return dir
}

func gpusOf(r sample.Record) (out []string) {
	if r.Machine != nil {
		for _, g := range r.Machine.GPUs {
			out = append(out, show(g))
		}
	}
	return out
}

// lastGPUs are those of the last record of the machine.
func lastGPUs(all []sample.Record) []string {
	for _, r := range slices.Backward(all) {
		if r.Machine != nil {
			return gpusOf(r)
		}
	}
	return nil
}

// beginGPU starts a collection whose nvidia-smi is started again at once.
func (b *bench) beginGPU() {
	b.t.Helper()
	b.beginWith(func(c *Collector) {
		c.gpus = newGPUs(20 * time.Millisecond)
		c.gpus.rest = 5 * time.Millisecond
	})
}

// Two cards, then a driver that dies, then one that is back.
func TestCollector_gpu(t *testing.T) {
	dir := standIn(t, "driver-470")
	b := newBench(t, startL2(t))
	b.beginGPU()
	want := []string{
		"0 | NVIDIA GeForce RTX 3090 | 0.98 | 18211 | 24268 | 349.71 | 71 | 1695 | 9501 | [sw_power_cap]",
		"1 | NVIDIA GeForce RTX 3090 | 0 | 1 | 24268 | 24.03 | 34 | 210 | 405 | []",
	}
	b.until("both cards", func(all []sample.Record) bool { return slices.Equal(lastGPUs(all), want) })
	if err := os.WriteFile(filepath.Join(dir, "broken.new"), []byte("Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 535.161\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "broken.new"), filepath.Join(dir, "broken")); err != nil {
		t.Fatal(err)
	}
	mismatch := "no-gpu: nvidia-smi: Failed to initialize NVML: Driver/library version mismatch"
	b.until("the notice", has(mismatch))
	b.until("no cards", func(all []sample.Record) bool { return lastGPUs(all) == nil })
	asked := func() int {
		raw, _ := os.ReadFile(filepath.Join(dir, "asked"))
		return strings.Count(string(raw), "\n")
	}
	tries := asked()
	b.until("more tries", func([]sample.Record) bool { return asked() > tries+3 })
	if got := notices(b.records()); !slices.Equal(got, []string{mismatch}) {
		t.Errorf("notices %q", got)
	}
	if err := os.Remove(filepath.Join(dir, "broken")); err != nil {
		t.Fatal(err)
	}
	b.until("both cards again", func(all []sample.Record) bool { return slices.Equal(lastGPUs(all), want) })
	b.finish()
	raw, err := os.ReadFile(filepath.Join(dir, "asked"))
	if err != nil || !strings.Contains(string(raw), "clocks_throttle_reasons.active --format=csv,noheader,nounits --loop-ms=20\n") {
		t.Errorf("asked %s, %v", raw, err)
	}
}

// A machine without a GPU is told apart from one whose driver has none.
func TestCollector_noGPU(t *testing.T) {
	dir := standIn(t, "driver-580")
	if err := os.WriteFile(filepath.Join(dir, "broken"), []byte("No devices were found\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, startL2(t))
	b.beginGPU()
	b.until("the notice", has("no-gpu: nvidia-smi: No devices were found"))
	if err := os.Remove(filepath.Join(dir, smi)); err != nil {
		t.Fatal(err)
	}
	b.until("the other notice", has("no-gpu: starting nvidia-smi: "))
	b.finish()
	for _, r := range b.records() {
		if r.Machine != nil && r.Machine.GPUs != nil {
			t.Errorf("machine %+v", r.Machine)
		}
	}
}

// A driver that hangs is left and tried again.
func TestCollector_silentGPU(t *testing.T) {
	dir := standIn(t, "driver-580")
	script := "#!/bin/sh\ncase $1 in --help-query-gpu) printf '\"index\" \"name\"' ;; *) exec sleep 600 ;; esac\n"
	if err := os.WriteFile(filepath.Join(dir, smi), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, startL2(t))
	b.beginWith(func(c *Collector) {
		c.gpus = newGPUs(10 * time.Millisecond)
		c.gpus.silence = 50 * time.Millisecond
	})
	b.until("the notice", has("no-gpu: nvidia-smi has given no reading for 50ms"))
	b.finish()
}
