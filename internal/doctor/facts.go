package doctor

import (
	"encoding/json"
	"fmt"
	"time"
)

// Version is the version of the form of Facts. The two ends are the same
// program, so there is no reading of older ones.
const Version = 1

// Facts is what a machine is like, as the machine itself tells. Nothing in it
// is a secret: of secret files only their form is told, and command lines are
// redacted. What could not be found out says why, in a Problem or in Unknown.
type Facts struct {
	V int `json:"v"`
	// Verdict is the version of the program that looked.
	Verdict string `json:"verdict"`
	Query   Query  `json:"query"`
	// Began and Ended are the machine's clock at the first and at the last
	// moment of looking, UTC.
	Began time.Time `json:"began"`
	Ended time.Time `json:"ended"`

	Machine      Machine      `json:"machine"`
	Clock        Clock        `json:"clock"`
	User         User         `json:"user"`
	Disks        []Disk       `json:"disks"`
	Tools        []Tool       `json:"tools"`
	Repositories []Repository `json:"repositories"`
	JWT          *SecretFile  `json:"jwt,omitempty"`
	Ports        []Port       `json:"ports"`
	Sessions     Sessions     `json:"sessions"`
	// What the programs on the ports say; nil where the query has no port.
	Execution *Execution   `json:"execution,omitempty"`
	Engine    *EngineAPI   `json:"engine,omitempty"`
	Metrics   *MetricsPage `json:"metrics,omitempty"`
	Beacon    *BeaconAPI   `json:"beacon,omitempty"`
	Replay    Replay       `json:"replay"`

	// Unknown lists what the system did not tell.
	Unknown []Unknown `json:"unknown,omitempty"`
}

// Unknown is something that could not be found out.
type Unknown struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// Machine is the hardware and the system. What is unknown is zero.
type Machine struct {
	Hostname string `json:"hostname"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
	Kernel   string `json:"kernel,omitempty"`
	CPU      string `json:"cpu,omitempty"`
	CPUs     int    `json:"cpus"`
	// AVX2 is whether the processor has these instructions; nil for unknown.
	AVX2 *bool `json:"avx2,omitempty"`
	// Governors are the frequency governors in use, each once.
	Governors      []string `json:"governors,omitempty"`
	MemoryBytes    int64    `json:"memory_bytes,omitempty"`
	AvailableBytes int64    `json:"available_bytes,omitempty"`
	SwapUsedBytes  int64    `json:"swap_used_bytes,omitempty"`
	// Load is the load average over 1, 5 and 15 minutes.
	Load   [3]float64 `json:"load"`
	BootID string     `json:"boot_id,omitempty"`
}

// Clock is what the system says of its clock.
type Clock struct {
	// Synchronized is whether a time service disciplines it; nil for unknown.
	Synchronized *bool  `json:"synchronized,omitempty"`
	Problem      string `json:"problem,omitempty"`
}

// User is who looks.
type User struct {
	UID  int    `json:"uid"`
	Name string `json:"name,omitempty"`
	Home string `json:"home,omitempty"`
}

// Disk is a directory and the file system that it is on, or would be on: a
// directory that does not exist is judged by the nearest one above it.
type Disk struct {
	// For is what the directory is used for: repository, datadir, consensus or
	// verdict.
	For    string `json:"for"`
	Path   string `json:"path"`
	Exists bool   `json:"exists"`
	// FreeBytes is what this user may still write.
	FreeBytes  int64 `json:"free_bytes"`
	TotalBytes int64 `json:"total_bytes"`
	// UsedBytes is what the directory holds; AtLeast says that counting was
	// given up, so that it holds more.
	UsedBytes int64  `json:"used_bytes,omitempty"`
	AtLeast   bool   `json:"at_least,omitempty"`
	Problem   string `json:"problem,omitempty"`
}

// The uses of directories.
const (
	ForRepository       = "repository"
	ForDatadir          = "datadir"
	ForConsensusDatadir = "consensus"
	ForVerdict          = "verdict"
)

// Tool is a program that was looked for.
type Tool struct {
	Name string `json:"name"`
	// Path is empty when it is not there.
	Path string `json:"path,omitempty"`
	// Version is the first line that it prints when asked for its version.
	Version string `json:"version,omitempty"`
	// Knows tells which flags its help speaks of; only of those looked for.
	Knows   map[string]bool `json:"knows,omitempty"`
	Problem string          `json:"problem,omitempty"`
}

// PurgeForce is the flag of newer Lighthouse versions, in which --purge-db asks
// before it deletes. Where it is unknown, --purge-db deletes at once.
const PurgeForce = "--purge-db-force"

// Repository is a git clone.
type Repository struct {
	Path string `json:"path"`
	// Origin is the address of the remote of that name, without credentials.
	Origin string `json:"origin,omitempty"`
	Commit string `json:"commit,omitempty"`
	// Branch is empty when no branch is checked out.
	Branch string `json:"branch,omitempty"`
	// Dirty says that tracked files were changed or others added.
	Dirty bool `json:"dirty,omitempty"`
	// Problem is set when it is no clone or cannot be read.
	Problem string `json:"problem,omitempty"`
}

// SecretFile is the form of a file that holds a secret. The content is not in
// it, nor anything that is computed from it.
type SecretFile struct {
	Path   string `json:"path"`
	Exists bool   `json:"exists"`
	// Mode are the permission bits, octal, as in "0600".
	Mode string `json:"mode,omitempty"`
	// OwnerUID is who owns it; -1 for unknown.
	OwnerUID int `json:"owner_uid"`
	// WellFormed says that it holds 32 bytes as 64 hex digits.
	WellFormed bool   `json:"well_formed"`
	Problem    string `json:"problem,omitempty"`
}

// Port is a TCP port of this machine.
type Port struct {
	Name string `json:"name"`
	Port uint16 `json:"port"`
	// Listening says that a program listens there.
	Listening bool `json:"listening"`
	// Addresses are what it listens at, as in 127.0.0.1 or ::.
	Addresses []string `json:"addresses,omitempty"`
	// Process is who listens; nil when that is unknown, for Problem's reason.
	Process *Process `json:"process,omitempty"`
	Problem string   `json:"problem,omitempty"`
}

// Process is a running program.
type Process struct {
	PID int `json:"pid"`
	// StartTime is in clock ticks since boot: with PID and the machine's boot
	// id, a process beyond doubt. Started is the same as a time.
	StartTime string    `json:"start_time,omitempty"`
	Started   time.Time `json:"started,omitzero"`
	UID       int       `json:"uid"`
	// Exe is the file of the program, Replaced that it is no longer the one
	// that was started.
	Exe      string `json:"exe,omitempty"`
	Replaced bool   `json:"replaced,omitempty"`
	// Argv is the command line, with secrets redacted.
	Argv []string `json:"argv,omitempty"`
	// Env are the variables that matter here, of those that are set:
	// RUST_LOG and ETHREX_PRECOMPUTE_WITNESSES.
	Env     map[string]string `json:"env,omitempty"`
	WorkDir string            `json:"work_dir,omitempty"`
	// Log is the file that stdout goes to; empty when it goes to none.
	// LogDeleted says that the file was deleted since.
	Log        string `json:"log,omitempty"`
	LogDeleted bool   `json:"log_deleted,omitempty"`
	// Problem is why some of it is unknown.
	Problem string `json:"problem,omitempty"`
}

// Sessions are the tmux sessions of this user.
type Sessions struct {
	List    []Session `json:"list,omitempty"`
	Problem string    `json:"problem,omitempty"`
}

// Session is a tmux session.
type Session struct {
	Name  string `json:"name"`
	Panes []Pane `json:"panes"`
}

// Pane is a pane of a tmux session and what runs in it.
type Pane struct {
	PID     int    `json:"pid"`
	Command string `json:"command"`
}

// Execution is what the execution client says over JSON-RPC.
type Execution struct {
	// Problem is why it says nothing; the rest is empty then.
	Problem       string `json:"problem,omitempty"`
	ClientVersion string `json:"client_version,omitempty"`
	ChainID       uint64 `json:"chain_id"`
	// Genesis is the hash of block 0.
	Genesis string `json:"genesis,omitempty"`
	// Syncing is the answer to eth_syncing: false, or an object. On ethrex it
	// stays false once it was false, even when the node falls behind.
	Syncing json.RawMessage `json:"syncing,omitempty"`
	// Head is the newest block, SeenAt when it was asked for by the machine's
	// clock; Later is the newest a moment later.
	Head   Block     `json:"head"`
	SeenAt time.Time `json:"seen_at,omitzero"`
	Later  Block     `json:"later"`
	// Witness is the answer to debug_executionWitness for the newest block;
	// OldWitness for one that is too old to be stored, so that it shows how
	// long making one takes. It is nil on a short chain.
	Witness    *Witness `json:"witness,omitempty"`
	OldWitness *Witness `json:"old_witness,omitempty"`
}

// Block is the header of a block. Timestamp is in Unix seconds.
type Block struct {
	Number    uint64 `json:"number"`
	Hash      string `json:"hash,omitempty"`
	Timestamp uint64 `json:"timestamp"`
	GasUsed   uint64 `json:"gas_used"`
}

// Witness is one answer to debug_executionWitness.
type Witness struct {
	Block Block `json:"block"`
	// OK says that a witness came; Code and Problem say what came instead.
	OK           bool    `json:"ok"`
	Code         int     `json:"code,omitempty"`
	Problem      string  `json:"problem,omitempty"`
	Milliseconds float64 `json:"ms"`
	Bytes        int64   `json:"bytes"`
}

// EngineAPI is whether the execution client accepts the JWT secret.
type EngineAPI struct {
	Status EngineStatus `json:"status"`
	// Methods is how many methods the client says it has.
	Methods int    `json:"methods,omitempty"`
	Problem string `json:"problem,omitempty"`
}

// EngineStatus is the outcome of a call of the Engine API.
type EngineStatus string

// The outcomes.
const (
	// Accepted: the call was answered.
	Accepted EngineStatus = "accepted"
	// Refused: the client does not accept the JWT.
	Refused EngineStatus = "refused"
	// Silent: nothing answers at the port.
	Silent EngineStatus = "silent"
	// NotAsked: there is no usable secret to ask with.
	NotAsked EngineStatus = "not-asked"
	// Odd: something answers that is no Engine API.
	Odd EngineStatus = "odd"
)

// MetricsPage is the execution client's metrics page.
type MetricsPage struct {
	Problem string `json:"problem,omitempty"`
	// Info are the labels of ethrex_info, if it is there.
	Info map[string]string `json:"info,omitempty"`
	// Latencies says that the page has the server's own latencies of RPC
	// methods, rpc_request_duration_seconds.
	Latencies bool `json:"latencies"`
}

// BeaconAPI is what the consensus client says. A nil value was not told.
type BeaconAPI struct {
	Problem      string `json:"problem,omitempty"`
	Version      string `json:"version,omitempty"`
	Health       int    `json:"health,omitempty"`
	IsSyncing    *bool  `json:"is_syncing,omitempty"`
	IsOptimistic *bool  `json:"is_optimistic,omitempty"`
	ELOffline    *bool  `json:"el_offline,omitempty"`
	HeadSlot     uint64 `json:"head_slot"`
	SyncDistance uint64 `json:"sync_distance"`
	// Ready says that all of this together means synced, WhyNot what it is
	// that does not.
	Ready  bool   `json:"ready"`
	WhyNot string `json:"why_not,omitempty"`
	// Network is the network's name, as in hoodi.
	Network string  `json:"network,omitempty"`
	Peers   *uint64 `json:"peers,omitempty"`
	// Lighthouse is Lighthouse's own word for its state, as in Synced or
	// BackFillSyncing; empty for other clients.
	Lighthouse string `json:"lighthouse,omitempty"`
}

// Replay is what is there of ethrex-replay.
type Replay struct {
	// Processes are those of the program that run.
	Processes []Process `json:"processes,omitempty"`
	// Log is the file of timing lines that the manual workflow keeps.
	Log *LogFile `json:"log,omitempty"`
}

// LogFile is a file that a program appends to.
type LogFile struct {
	Path     string    `json:"path"`
	Exists   bool      `json:"exists"`
	Bytes    int64     `json:"bytes"`
	Modified time.Time `json:"modified,omitzero"`
	Problem  string    `json:"problem,omitempty"`
}

// Decode reads Facts as verdict doctor --facts prints them.
func Decode(data []byte) (Facts, error) {
	var f Facts
	if err := json.Unmarshal(data, &f); err != nil {
		return Facts{}, fmt.Errorf("the facts are not what verdict doctor --facts prints: %v", err)
	}
	if f.V != Version {
		return Facts{}, fmt.Errorf("the facts have version %d, this verdict reads version %d", f.V, Version)
	}
	return f, nil
}

// port is the port of that name, nil if it was not looked at.
func (f *Facts) port(name string) *Port {
	for i := range f.Ports {
		if f.Ports[i].Name == name {
			return &f.Ports[i]
		}
	}
	return nil
}

// unknown is why something is unknown; empty when it is not listed.
func (f *Facts) unknown(what string) string {
	for _, u := range f.Unknown {
		if u.What == what {
			return u.Why
		}
	}
	return ""
}
