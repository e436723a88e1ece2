package inspect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/verdict-bench/verdict/internal/doctor"
	"github.com/verdict-bench/verdict/internal/ethrpc"
	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/host"
)

// machine fills in the hardware and the system.
func machine(f *doctor.Facts) {
	print := host.ThisMachine()
	m := &f.Machine
	m.OS, m.Arch = runtime.GOOS, runtime.GOARCH
	m.Hostname, m.Kernel, m.CPU = print.Hostname, print.Kernel, print.CPU
	m.CPUs, m.MemoryBytes = print.CPUs, print.MemoryBytes
	for what, value := range map[string]string{"hostname": m.Hostname, "kernel": m.Kernel, "cpu": m.CPU} {
		if value == "" {
			unknown(f, what, errors.New(notHere()))
		}
	}
	// A map has no order, and the facts shall have one.
	slices.SortFunc(f.Unknown, func(a, b doctor.Unknown) int { return strings.Compare(a.What, b.What) })
	if err := load(m); err != nil {
		unknown(f, "load", err)
	}
	if err := memory(m); err != nil {
		unknown(f, "memory", err)
	}
	if err := governors(m); err != nil {
		unknown(f, "governor", err)
	}
	if boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err != nil {
		unknown(f, "boot_id", err)
	} else {
		m.BootID = line(string(boot))
	}
	if runtime.GOARCH == "amd64" {
		avx2(m)
	}
}

func load(m *doctor.Machine) error {
	raw, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err
	}
	fields := strings.Fields(string(raw))
	if len(fields) < len(m.Load) {
		return fmt.Errorf("/proc/loadavg reads %q", line(string(raw)))
	}
	for i := range m.Load {
		if m.Load[i], err = strconv.ParseFloat(fields[i], 64); err != nil {
			return fmt.Errorf("/proc/loadavg: %v", err)
		}
	}
	return nil
}

// memory reads what is available and how much of the swap is used.
func memory(m *doctor.Machine) error {
	raw, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return err
	}
	sizes := map[string]int64{}
	for row := range strings.Lines(string(raw)) {
		name, value, _ := strings.Cut(row, ":")
		kb, _ := strings.CutSuffix(strings.TrimSpace(value), " kB")
		if n, err := strconv.ParseInt(kb, 10, 64); err == nil {
			sizes[name] = n << 10
		}
	}
	m.AvailableBytes = sizes["MemAvailable"]
	m.SwapUsedBytes = sizes["SwapTotal"] - sizes["SwapFree"]
	if m.AvailableBytes == 0 {
		return errors.New("/proc/meminfo has no MemAvailable")
	}
	return nil
}

func governors(m *doctor.Machine) error {
	paths, err := filepath.Glob("/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor")
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		return errors.New("the system offers no control of the frequency")
	}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		m.Governors = append(m.Governors, line(string(raw)))
	}
	slices.Sort(m.Governors)
	m.Governors = slices.Compact(m.Governors)
	return nil
}

// avx2 looks for the instructions among the processor's flags.
func avx2(m *doctor.Machine) {
	raw, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return
	}
	for row := range strings.Lines(string(raw)) {
		if name, value, ok := strings.Cut(row, ":"); ok && strings.TrimSpace(name) == "flags" {
			has := slices.Contains(strings.Fields(value), "avx2")
			m.AVX2 = &has
			return
		}
	}
}

// currentUser is who runs this program.
func currentUser() doctor.User {
	u := doctor.User{UID: os.Getuid()}
	u.Home, _ = os.UserHomeDir() // empty when there is none
	if known, err := user.Current(); err == nil {
		u.Name = known.Username
	}
	return u
}

// secretFile looks at the form of the file at path and forgets its content.
func secretFile(path string) *doctor.SecretFile {
	if path == "" {
		return nil
	}
	s := &doctor.SecretFile{Path: path, OwnerUID: -1}
	info, err := os.Stat(expand(path))
	if errors.Is(err, fs.ErrNotExist) {
		return s
	}
	s.Exists = true
	if err != nil {
		s.Problem = reason(err)
		return s
	}
	s.Mode = fmt.Sprintf("%04o", info.Mode().Perm())
	s.OwnerUID = owner(info)
	if !info.Mode().IsRegular() {
		s.Problem = "not a regular file"
		return s
	}
	switch _, err := ethrpc.ReadSecret(expand(path)); {
	case err == nil:
		s.WellFormed = true
	case fault.KindOf(err) != fault.Usage: // which is a content of another form
		s.Problem = reason(err)
	}
	return s
}

// reason is the cause of an error without the path or the URL, which the
// caller names.
func reason(err error) string {
	var address *url.Error
	if errors.As(err, &address) {
		err = address.Err
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return line(err.Error())
}

// disks looks at the directories of a query and of verdict itself.
func disks(q doctor.Query) []doctor.Disk {
	wanted := []doctor.Disk{{For: doctor.ForVerdict, Path: "~/.verdict"}}
	for _, path := range q.Repositories {
		wanted = append(wanted, doctor.Disk{For: doctor.ForRepository, Path: path})
	}
	wanted = append(wanted, doctor.Disk{For: doctor.ForDatadir, Path: q.Datadir},
		doctor.Disk{For: doctor.ForConsensusDatadir, Path: q.ConsensusDatadir})
	var out []doctor.Disk
	for _, d := range wanted {
		if d.Path != "" {
			look(&d)
			out = append(out, d)
		}
	}
	return out
}

// countLimit bounds the counting of what a database holds.
const countLimit = 3 * time.Second

func look(d *doctor.Disk) {
	path := expand(d.Path)
	if _, err := os.Stat(path); err == nil {
		d.Exists = true
	}
	// What does not exist will be on the file system of the nearest directory
	// above that does.
	at := path
	for {
		if _, err := os.Stat(at); err == nil || filepath.Dir(at) == at || !errors.Is(err, fs.ErrNotExist) {
			break
		}
		at = filepath.Dir(at)
	}
	var err error
	if d.FreeBytes, d.TotalBytes, err = room(at); err != nil {
		d.Problem = reason(err)
		return
	}
	if d.Exists && (d.For == doctor.ForDatadir || d.For == doctor.ForConsensusDatadir) {
		d.UsedBytes, d.AtLeast = used(path)
	}
}

var errEnough = errors.New("counted long enough")

// used is what the files below path take on the disk. more says that the count
// was given up, or that some could not be read.
func used(path string) (bytes int64, more bool) {
	end := time.Now().Add(countLimit)
	err := filepath.WalkDir(path, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			more = true // a file that has gone, or a directory that is closed to us
			return nil
		}
		if time.Now().After(end) {
			return errEnough
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			bytes += allocated(info)
		}
		return nil
	})
	return bytes, more || err != nil
}

// bounded is ctx with the limit of one small question.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	const limit = 5 * time.Second
	return context.WithTimeout(ctx, limit)
}
