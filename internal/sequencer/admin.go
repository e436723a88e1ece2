package sequencer

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// admin is the admin server: how the parts are, and the switch of the committer.
// There is no authentication, as there is none on ethrex's.
type admin struct {
	committer *committer
	files     *files
	// intervals are what each part was started with, metrics whether there is
	// a metrics server.
	blockTime, watchInterval, sendInterval time.Duration
	metrics                                bool
}

// object is one JSON object.
type object = map[string]any

// routes are all paths.
func (a *admin) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /admin/health", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "OK") // the client went away, if anything
	})
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, a.health()) })
	mux.HandleFunc("GET /committer/stop", func(w http.ResponseWriter, _ *http.Request) {
		a.committer.stop()
		reply(w, http.StatusOK, "ok")
	})
	mux.HandleFunc("GET /committer/start", func(w http.ResponseWriter, _ *http.Request) {
		a.committer.start(0)
		reply(w, http.StatusOK, "ok")
	})
	mux.HandleFunc("GET /committer/start/{delay}", func(w http.ResponseWriter, r *http.Request) {
		ms, err := strconv.ParseUint(r.PathValue("delay"), 10, 32)
		if err != nil {
			reply(w, http.StatusInternalServerError, fmt.Sprintf("delay %q: want milliseconds", r.PathValue("delay")))
			return
		}
		a.committer.start(time.Duration(ms) * time.Millisecond)
		reply(w, http.StatusOK, "ok")
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusNotFound)
		_, _ = fmt.Fprintf(w, "Method %s does not exist", r.URL.Path)
	})
	return mux
}

// health is one object for each part, by ethrex's names.
func (a *admin) health() object {
	return object{
		"l1_committer": object{
			"running": a.committer.isRunning(), "last_committed_batch": a.files.committed(),
			"commit_time_ms": a.committer.commitTime.Milliseconds(),
		},
		"l1_watcher":       object{"running": true, "check_interval": a.watchInterval.Milliseconds()},
		"l1_proof_sender":  object{"running": true, "last_verified_batch": a.files.verified(), "proof_send_interval": a.sendInterval.Milliseconds()},
		"block_producer":   object{"running": true, "block_time_ms": a.blockTime.Milliseconds()},
		"metrics_gatherer": object{"running": a.metrics},
	}
}

// reply writes value as JSON.
func reply(w http.ResponseWriter, status int, value any) {
	raw, err := json.Marshal(value)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(raw) // the client went away, if anything
}
