package host

import (
	"bufio"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// Fingerprint is what a machine is, as far as it bears on a measurement. What
// the system does not tell is left empty.
type Fingerprint struct {
	Hostname, OS, Kernel, CPU string
	CPUs                      int
	MemoryBytes               int64
	// LoadAverage is over the last minute.
	LoadAverage float64
}

// ThisMachine describes this machine.
func ThisMachine() Fingerprint {
	f := Fingerprint{OS: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU()}
	f.Hostname, _ = os.Hostname()
	f.Kernel = firstLine("/proc/sys/kernel/osrelease")
	// x86 names its processors; Arm gives numbers of implementer and part.
	if f.CPU = field("/proc/cpuinfo", "model name"); f.CPU == "" {
		if part := field("/proc/cpuinfo", "CPU part"); part != "" {
			f.CPU = strings.TrimSpace("Arm " + field("/proc/cpuinfo", "CPU implementer") + " " + part)
		}
	}
	if kb, ok := strings.CutSuffix(field("/proc/meminfo", "MemTotal"), " kB"); ok {
		n, _ := strconv.ParseInt(kb, 10, 64)
		f.MemoryBytes = n << 10
	}
	load, _, _ := strings.Cut(firstLine("/proc/loadavg"), " ")
	f.LoadAverage, _ = strconv.ParseFloat(load, 64)
	return f
}

func firstLine(path string) string {
	raw, _ := os.ReadFile(path)
	line, _, _ := strings.Cut(string(raw), "\n")
	return line
}

// field is the value of the first "name : value" line.
func field(path, name string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	for in := bufio.NewScanner(file); in.Scan(); {
		if key, value, ok := strings.Cut(in.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
