package observe

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/verdict-bench/verdict/internal/sample"
)

// column is one thing that is asked of nvidia-smi.
type column struct {
	// names are those that drivers have had for it; the first that a driver
	// knows is taken.
	names []string
	take  func(g *sample.GPU, value string)
}

const mebibyte = 1 << 20

// columns are all that is asked for. The index is the first, and every driver
// knows it. Drivers from 535 on say "event reasons" where older ones say
// "throttle reasons".
var columns = [...]column{
	{[]string{"index"}, func(*sample.GPU, string) {}},
	{[]string{"name", "gpu_name"}, func(g *sample.GPU, v string) { g.Name = told(v) }},
	{[]string{"utilization.gpu"}, func(g *sample.GPU, v string) { g.Utilization = scaled(v, 1.0/100) }},
	{[]string{"memory.used"}, func(g *sample.GPU, v string) { g.MemoryBytes = bytesOf(v) }},
	{[]string{"memory.total"}, func(g *sample.GPU, v string) { g.TotalBytes = bytesOf(v) }},
	{[]string{"power.draw"}, func(g *sample.GPU, v string) { g.PowerWatts = scaled(v, 1) }},
	{[]string{"temperature.gpu"}, func(g *sample.GPU, v string) { g.TemperatureCelsius = scaled(v, 1) }},
	{[]string{"clocks.sm", "clocks.current.sm"}, func(g *sample.GPU, v string) { g.SMClockMHz = scaled(v, 1) }},
	{[]string{"clocks.mem", "clocks.current.memory"}, func(g *sample.GPU, v string) { g.MemoryClockMHz = scaled(v, 1) }},
	{[]string{"clocks_event_reasons.active", "clocks_throttle_reasons.active"}, func(g *sample.GPU, v string) { g.Throttle = throttle(v) }},
}

// reasons are the bits of the reasons for a lower clock, by nvidia-smi's names.
// Bit 0, gpu_idle, is left out: it is no reason to worry.
var reasons = [...]struct {
	bit  uint64
	name string
}{
	{0x002, "applications_clocks_setting"},
	{0x004, "sw_power_cap"},
	{0x008, "hw_slowdown"},
	{0x010, "sync_boost"},
	{0x020, "sw_thermal_slowdown"},
	{0x040, "hw_thermal_slowdown"},
	{0x080, "hw_power_brake_slowdown"},
	{0x100, "display_clock_setting"},
}

const idleBit = 0x001

// query is what a driver is asked for: those of the columns that it knows, and
// their names.
type query struct {
	columns []column
	names   []string
}

// chooseColumns picks the columns that the help text of the fields lists, each
// name there in quotation marks. A text without the index is none.
func chooseColumns(help string) (query, error) {
	var q query
	for _, c := range columns {
		for _, name := range c.names {
			if strings.Contains(help, strconv.Quote(name)) {
				q.columns, q.names = append(q.columns, c), append(q.names, name)
				break
			}
		}
	}
	if len(q.names) == 0 || q.names[0] != "index" {
		return query{}, fmt.Errorf("nvidia-smi does not list its fields; it says: %s", firstLine(help))
	}
	return q, nil
}

// parse reads one line of nvidia-smi's answer, as with
// --format=csv,noheader,nounits. It is false for a line that is no answer, such
// as the message of a driver that died.
func (q *query) parse(line string) (sample.GPU, bool) {
	values := strings.Split(line, ",")
	if len(values) != len(q.columns) {
		return sample.GPU{}, false
	}
	index, err := strconv.ParseUint(strings.TrimSpace(values[0]), 10, 16)
	if err != nil {
		return sample.GPU{}, false
	}
	g := sample.GPU{Index: int(index)}
	for i, c := range q.columns {
		c.take(&g, strings.TrimSpace(values[i]))
	}
	return g, true
}

// told is a text, empty where the driver does not tell: "[N/A]", and with older
// drivers "[Not Supported]", with ill ones "[Unknown Error]" and "ERR!".
func told(v string) string {
	if strings.HasPrefix(v, "[") || v == "N/A" || v == "ERR!" {
		return ""
	}
	return v
}

// scaled is a number times factor, nil where the driver does not tell one. A
// driver that prints units all the same is understood.
func scaled(v string, factor float64) *float64 {
	fields := strings.Fields(told(v))
	if len(fields) == 0 || len(fields) > 2 {
		return nil
	}
	x, err := strconv.ParseFloat(fields[0], 64)
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) || x < 0 {
		return nil
	}
	x *= factor
	return &x
}

// bytesOf is a number of mebibytes in bytes.
func bytesOf(v string) *int64 {
	x := scaled(v, mebibyte)
	if x == nil || *x >= 1<<53 {
		return nil
	}
	n := int64(*x)
	return &n
}

// throttle are the names of the bits of a mask such as 0x0000000000000004, nil
// where the driver does not tell. A bit that has no name yet keeps its number.
func throttle(v string) []string {
	digits, ok := strings.CutPrefix(told(v), "0x")
	mask, err := strconv.ParseUint(digits, 16, 64)
	if !ok || err != nil {
		return nil
	}
	names := []string{}
	mask &^= idleBit
	for _, r := range reasons {
		if mask&r.bit != 0 {
			names = append(names, r.name)
			mask &^= r.bit
		}
	}
	if mask != 0 {
		names = append(names, fmt.Sprintf("unknown_0x%x", mask))
	}
	return slices.Clip(names)
}

// firstLine is the first line of text that is not blank, for a message.
func firstLine(text string) string {
	const most = 200
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	if len(line) > most {
		line = strings.ToValidUTF8(line[:most], "") + "…"
	}
	return strings.TrimSpace(line)
}
