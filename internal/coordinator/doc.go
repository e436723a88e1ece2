// Package coordinator speaks the protocol between a proof coordinator and its
// provers, stands between the two and records what passes, and serves what was
// recorded to other provers.
//
// A connection carries one exchange. The prover sends one JSON document and
// closes its half; the coordinator reads to the end, answers with one document
// and closes. There is no length and no newline, so the end of the stream is the
// end of the document, and a stream that breaks off must never look like one
// that ended: it is reset instead of closed.
//
//	prover                      coordinator
//	  | {"BatchRequest":…}  FIN ->  |
//	  | <- {"BatchResponse":…} FIN  |
//	         … proves …
//	  | {"ProofSubmit":…}   FIN ->  |
//	  | <- {"ProofSubmitACK":…} FIN |
//
// Inputs reach hundreds of megabytes, and their layout changes between versions
// of the prover. They are never decoded and never held in memory: a Scanner
// finds the few fields that name a document while its bytes pass.
package coordinator
