package program

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/verdict-bench/verdict/internal/shell"
	"github.com/verdict-bench/verdict/internal/spec"
)

// LeftoverKind is a kind of what earlier localnets leave on a host.
type LeftoverKind string

// The kinds of what can be removed. They are plural because one approval is for
// all that was found of a kind.
const (
	LeftProcesses  LeftoverKind = "processes"
	LeftContainers LeftoverKind = "containers"
	LeftVolumes    LeftoverKind = "volumes"
	LeftDatabases  LeftoverKind = "databases"
)

// RemovalKinds lists the kinds in the order in which they are removed: processes
// hold databases open, and containers hold volumes.
var RemovalKinds = []LeftoverKind{LeftProcesses, LeftContainers, LeftVolumes, LeftDatabases}

// Leftover is one thing that FindScript found.
type Leftover struct {
	// Kind is "process", "container", "volume", "database", "env" (a file of
	// addresses that an earlier deployment left), or "port".
	Kind string `json:"kind"`
	// Name is the process's, container's or volume's.
	Name string `json:"name,omitempty"`
	// PID, StartTime and BootID identify a process; PID is also who listens on
	// a port, 0 when that is not to be seen.
	PID       int    `json:"pid,omitempty"`
	StartTime string `json:"start_time,omitempty"`
	BootID    string `json:"boot_id,omitempty"`
	// Role is what the process does, of its arguments those that are known to
	// hold no secret.
	Role string `json:"role,omitempty"`
	// ID, Image, Status and Run are of a container: Run is the run that made it,
	// empty when none of ours did.
	ID     string `json:"id,omitempty"`
	Image  string `json:"image,omitempty"`
	Status string `json:"status,omitempty"`
	Run    string `json:"run,omitempty"`
	// Path is a database's directory or a file, without symbolic links, Bytes
	// what it holds.
	Path  string `json:"path,omitempty"`
	Bytes int64  `json:"bytes,omitempty"`
	Port  int    `json:"port,omitempty"`
}

// Of is the kind of what can be removed that l belongs to, empty for none.
func (l Leftover) Of() LeftoverKind {
	switch l.Kind {
	case "process":
		return LeftProcesses
	case "container":
		return LeftContainers
	case "volume":
		return LeftVolumes
	case "database":
		return LeftDatabases
	}
	return ""
}

// identity is what an approval names: enough that nothing else is meant.
func (l Leftover) identity() string {
	switch l.Of() {
	case LeftProcesses:
		return fmt.Sprintf("%d %s %s %s", l.PID, l.StartTime, l.BootID, l.Name)
	case LeftContainers:
		return l.ID + " " + l.Name
	case LeftVolumes:
		return l.Name
	}
	return l.Path
}

// String is what is found, for people.
func (l Leftover) String() string {
	switch l.Kind {
	case "process":
		return fmt.Sprintf("process %d, %s", l.PID, l.Role)
	case "container":
		text := fmt.Sprintf("container %s (%s), image %s", l.Name, l.Status, l.Image)
		if l.Run != "" {
			text += ", of the run " + l.Run
		}
		return text
	case "volume":
		return "volume " + l.Name
	case "port":
		if l.PID == 0 {
			return fmt.Sprintf("port %d, taken by a process that is not to be seen", l.Port)
		}
		return fmt.Sprintf("port %d, taken by process %d, %s", l.Port, l.PID, l.Name)
	}
	return fmt.Sprintf("%s %s, %.1f MB", l.Kind, l.Path, float64(l.Bytes)/1e6)
}

//go:embed find.sh
var findScript string

// leftScript is what FindScript and RemoveScript have in common: whatever the
// one finds the other knows again.
//
//go:embed left.sh
var leftScript string

// leftContainers and leftVolumes are the names of what ethrex's own tools and its
// provers leave in docker.
var (
	leftContainers = []string{"ethrex_l1", "contract_deployer", "ethrex_l2", "ethrex_prover", sp1Container}
	leftVolumes    = []string{"l2_env"}
)

// databasePlaces are the directories, as words of a shell, that databases of
// localnets stand in: those that ethrex's tools are run in.
func databasePlaces(p *spec.Prover) string {
	places := []string{`"$HOME"`}
	if p.Program.Name == spec.Ethrex {
		places = append(places, shell.Path(p.Repository), shell.Path(strings.TrimSuffix(p.Repository, "/")+"/crates/l2"))
	}
	return strings.Join(places, " ")
}

// FindScript is the script that prints what ParseFound reads: what earlier
// localnets left there, and who listens on the ports of this one. It changes
// nothing.
func FindScript(p *spec.Prover) string {
	ports := []string{port(p.Ports.L1), port(p.Ports.L2), port(p.Ports.Metrics), port(p.Ports.Coordinator), port(p.Ports.Admin)}
	env := "''"
	if p.Program.Name == spec.Ethrex {
		env = shell.Path(strings.TrimSuffix(p.Repository, "/") + "/cmd/.env")
	}
	return fmt.Sprintf("containers=(%s) volumes=(%s)\nplaces=(%s) ports=(%s) env=%s label=%s\n",
		strings.Join(leftContainers, " "), strings.Join(leftVolumes, " "), databasePlaces(p), strings.Join(ports, " "), env, runLabel) + leftScript + findScript
}

// ParseFound reads what FindScript printed, one JSON object a line.
func ParseFound(stdout []byte) ([]Leftover, error) {
	var out []Leftover
	for line := range bytes.Lines(stdout) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		var l Leftover
		dec := json.NewDecoder(bytes.NewReader(line))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&l); err != nil || dec.More() || !l.whole() {
			return nil, fmt.Errorf("what earlier runs left: %.100q was printed, which does not say it", line)
		}
		out = append(out, l)
	}
	return out, nil
}

// whole reports whether l has what its kind needs to be told from others. What
// is approved stands in lines, so that nothing of it may break one.
func (l Leftover) whole() bool {
	if strings.ContainsAny(l.identity(), "\r\n\x00") {
		return false
	}
	switch l.Kind {
	case "process":
		return l.PID > 1 && isNumber(l.StartTime) && l.BootID != "" && !strings.Contains(l.BootID, " ") && l.Name != ""
	case "container":
		return hexDigits(l.ID, 64) && (slices.Contains(leftContainers, l.Name) || l.Run != "")
	case "volume":
		return slices.Contains(leftVolumes, l.Name)
	case "database":
		return strings.HasPrefix(l.Path, "/") && l.Path != "/"
	case "env":
		return strings.HasPrefix(l.Path, "/")
	case "port":
		return l.Port > 0 && l.Port < 1<<16
	}
	return false
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// Approval is what APPROVED holds for the step that removes a kind: one line for
// each thing of it that was found. It is empty when there is nothing to remove.
func Approval(found []Leftover, kind LeftoverKind) string {
	var lines []string
	for _, l := range found {
		if l.Of() == kind {
			lines = append(lines, l.identity())
		}
	}
	return strings.Join(lines, "\n")
}

//go:embed remove.sh
var removeScript string

// RemoveScript is the script that removes what APPROVED names, of one kind, and
// nothing that is no longer exactly that. It prints what it did, a line for each,
// and fails when anything was refused or is still there.
func RemoveScript(kind LeftoverKind, p *spec.Prover) string {
	return fmt.Sprintf("kind=%s\ncontainers=(%s) volumes=(%s)\nplaces=(%s)\n", kind,
		strings.Join(leftContainers, " "), strings.Join(leftVolumes, " "), databasePlaces(p)) + leftScript + removeScript
}

// RemoveOwn is the script that removes a directory that this run made, given as a
// path that begins with the word RUN.
func RemoveOwn(dir string) string {
	rest := strings.TrimPrefix(dir, RunWord+"/")
	return fmt.Sprintf("[ -n \"$RUN\" ] && rm -rf -- \"$RUN\"/%s\n", shell.Quote(rest))
}
