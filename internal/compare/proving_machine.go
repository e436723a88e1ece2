package compare

import (
	"slices"
	"time"

	"github.com/verdict-bench/verdict/internal/sample"
)

// Figure sums up one figure of the machine over some records.
type Figure struct {
	// N counts the records that tell it; Mean and Max are 0 without any.
	N         int
	Mean, Max float64
}

// add takes one value in.
func (f *Figure) add(v float64) {
	f.N++
	f.Mean += (v - f.Mean) / float64(f.N)
	if f.N == 1 || v > f.Max {
		f.Max = v
	}
}

// Load is how busy a machine was: shares from 0 to 1, memory in bytes. Figures
// of several GPUs are put together: memory and power added, the mean of the
// utilization and of the clock, the highest temperature.
type Load struct {
	// Records counts those of the machine, GPURecords those of them that tell
	// of a GPU.
	Records, GPURecords                     int
	CPU, Memory                             Figure
	GPU, GPUMemory, Watts, Celsius, SMClock Figure
	// Throttled counts the records with each reason for a lower clock,
	// ThrottleKnown those of which the driver tells.
	Throttled     map[string]int
	ThrottleKnown int
}

// Energy is the energy of all GPUs over a time.
type Energy struct {
	// Joules is the integral of the power. It is unknown, and N is 0, where
	// the records do not cover the time.
	Joules float64
	// N counts the power records that it stands on.
	N int
}

// add takes a record of the machine in.
func (l *Load) add(m *sample.Machine) {
	l.Records++
	if m.CPU != nil {
		l.CPU.add(*m.CPU)
	}
	if m.MemoryBytes != nil {
		l.Memory.add(float64(*m.MemoryBytes))
	}
	if len(m.GPUs) == 0 {
		return
	}
	l.GPURecords++
	whole := func(f *Figure, of func(*sample.GPU) *float64, join func([]float64) float64) {
		if v := figuresOf(m, of); len(v) > 0 {
			f.add(join(v))
		}
	}
	whole(&l.GPU, func(g *sample.GPU) *float64 { return g.Utilization }, average)
	whole(&l.GPUMemory, memoryOf, sum)
	whole(&l.Watts, wattsOf, sum)
	whole(&l.Celsius, celsiusOf, slices.Max[[]float64])
	whole(&l.SMClock, func(g *sample.GPU) *float64 { return g.SMClockMHz }, average)
	l.throttle(m)
}

// throttle notes the reasons for a lower clock, each once for a record.
func (l *Load) throttle(m *sample.Machine) {
	seen := make(map[string]bool)
	known := false
	for i := range m.GPUs {
		known = known || m.GPUs[i].Throttle != nil
		for _, reason := range m.GPUs[i].Throttle {
			seen[reason] = true
		}
	}
	if known {
		l.ThrottleKnown++
	}
	for reason := range seen {
		if l.Throttled == nil {
			l.Throttled = make(map[string]int)
		}
		l.Throttled[reason]++
	}
}

func wattsOf(g *sample.GPU) *float64   { return g.PowerWatts }
func celsiusOf(g *sample.GPU) *float64 { return g.TemperatureCelsius }

func memoryOf(g *sample.GPU) *float64 {
	if g.MemoryBytes == nil {
		return nil
	}
	v := float64(*g.MemoryBytes)
	return &v
}

// figuresOf are what the GPUs that tell a figure tell.
func figuresOf(m *sample.Machine, of func(*sample.GPU) *float64) []float64 {
	var out []float64
	for i := range m.GPUs {
		if v := of(&m.GPUs[i]); v != nil {
			out = append(out, *v)
		}
	}
	return out
}

func sum(x []float64) float64 {
	total := 0.0
	for _, v := range x {
		total += v
	}
	return total
}

func average(x []float64) float64 { return sum(x) / float64(len(x)) }

// Power is the power of all GPUs in watts, false where not all of them tell.
func Power(m *sample.Machine) (watts float64, ok bool) {
	v := figuresOf(m, wattsOf)
	return sum(v), len(v) > 0 && len(v) == len(m.GPUs)
}

// Celsius is the temperature of the hottest GPU, false where none tells.
func Celsius(m *sample.Machine) (degrees float64, ok bool) {
	v := figuresOf(m, celsiusOf)
	if len(v) == 0 {
		return 0, false
	}
	return slices.Max(v), true
}

// joinMachine gives every attempt how busy the machine was meanwhile, and the
// side that over all attempts that count.
func (s *ProvingSide) joinMachine() {
	for i := range s.Attempts {
		a := &s.Attempts[i]
		from, to, ok := a.interval()
		if !ok {
			continue
		}
		machines := s.during(a.Session)
		for _, m := range machines {
			if m.At.Before(from) || m.At.After(to) {
				continue
			}
			a.Load.add(m)
			if a.Counts() {
				s.Load.add(m)
			}
		}
		a.Energy = energyOf(machines, from, to)
	}
}

// during are the records of the machine in one session, in order of time.
func (s *ProvingSide) during(session int) []*sample.Machine {
	from := slices.IndexFunc(s.Machines, func(m *sample.Machine) bool { return m.Session == session })
	if from < 0 {
		return nil
	}
	to := from
	for to < len(s.Machines) && s.Machines[to].Session == session {
		to++
	}
	return s.Machines[from:to]
}

// powerGap is the longest time between two power records over which the power
// is taken to run straight.
const powerGap = 10 * time.Second

// reading is the power at a time in seconds.
type reading struct{ at, watts float64 }

// energyOf is the integral of the power from one time to another by the
// trapezoidal rule. Before the first and after the last record the power is
// that of these. Where it is unknown for longer than powerGap, so is the
// energy.
func energyOf(machines []*sample.Machine, from, to time.Time) Energy {
	span := to.Sub(from).Seconds()
	readings := readingsOf(machines, from, span)
	n := len(readings)
	if n == 0 {
		return Energy{}
	}
	e := Energy{N: n}
	if first := readings[0]; first.at > 0 {
		readings = slices.Insert(readings, 0, reading{0, first.watts})
	}
	if last := readings[len(readings)-1]; last.at < span {
		readings = append(readings, reading{span, last.watts})
	}
	for i := 1; i < len(readings); i++ {
		a, b := readings[i-1], readings[i]
		if b.at-a.at > powerGap.Seconds() {
			return Energy{}
		}
		a, b = clip(a, b, 0, span)
		e.Joules += (a.watts + b.watts) / 2 * (b.at - a.at)
	}
	return e
}

// readingsOf are the powers known between from and span seconds later, with the
// last before it and the first after it, in order of time.
func readingsOf(machines []*sample.Machine, from time.Time, span float64) []reading {
	var out []reading
	for _, m := range machines {
		watts, ok := Power(m)
		if !ok {
			continue
		}
		r := reading{m.At.Sub(from).Seconds(), watts}
		if r.at <= 0 {
			out = out[:0]
		}
		out = append(out, r)
		if r.at >= span {
			break
		}
	}
	return out
}

// clip cuts the straight line between two readings to the times from low to
// high.
func clip(a, b reading, low, high float64) (reading, reading) {
	at := func(t float64) reading {
		if b.at <= a.at {
			return reading{t, b.watts}
		}
		return reading{t, a.watts + (b.watts-a.watts)*(t-a.at)/(b.at-a.at)}
	}
	x, y := a, b
	if a.at < low {
		x = at(low)
	}
	if b.at > high {
		y = at(high)
	}
	return x, y
}
