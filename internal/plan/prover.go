package plan

// The steps of a prover run, by the first part of their ID. Those that belong to
// a session end in "-" and its number. Connect, Install, Inspect, Report and
// Judge are those of every run.
const (
	// Find looks for what earlier runs left and what runs already.
	Find = "find"
	// Remove removes one thing that Find found; it destroys.
	Remove = "remove"
	// BuildSide builds a side's ref, BuildLoad the load generator.
	BuildSide = "build"
	BuildLoad = "build-load"
	// ImageL1 has the image of the L1's container there.
	ImageL1 = "image-l1"
	// Fixtures writes the keys and genesis files of the built-in rollup.
	Fixtures   = "fixtures"
	StartL1    = "start-l1"
	Deploy     = "deploy"
	StartL2    = "start-l2"
	Hold       = "hold-committer"
	Funded     = "funded"
	StartWatch = "start-collector"
	StartLoad  = "start-load"
	Release    = "release-committer"
	Loaded     = "loaded"
	StartProof = "start-prover"
	Prove      = "prove"
	StopLoad   = "stop-load"
	StopProof  = "stop-prover"
	StopL2     = "stop-l2"
	StopL1     = "stop-l1"
	StopWatch  = "stop-collector"
	// Verify checks that nothing of the run is left.
	Verify = "verify-stopped"
)
