// Package beacon knows consensus clients from both sides of the beacon API.
//
// A Client asks a consensus client how it is: Lighthouse, or any other that
// serves the standard API.
//
// A Node is a small consensus client for tests and local work, in the place of
// Lighthouse. It drives the Engine API of one execution client and serves the
// beacon API truthfully. One producer makes the blocks of a network; any number
// of followers fetch them from it and deliver them to an execution client of
// their own:
//
//	producer ── payloads over HTTP ──▶ follower
//	   │ build, newPayload                │ newPayload
//	   ▼ forkchoiceUpdated                ▼ forkchoiceUpdated
//	execution client                   execution client
//
// There is no beacon chain behind it: a slot has the number of its execution
// block, and the root of a header is the execution block's hash.
package beacon
