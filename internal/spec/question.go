package spec

import (
	"errors"
	"strings"
)

// Question is a value that a run needs and that nobody can guess.
type Question struct {
	// Key is the value's key in a spec file, Flag the flag that gives it.
	Key, Flag string
	// Title is the question, Help what to answer.
	Title, Help string
	// Answer is what stands there until another is given.
	Answer string
	// YesNo says that the answers are "true" and "false".
	YesNo bool
	// Check says what is wrong with an answer, in the light of those that were
	// given before it, by flag; nil when nothing is.
	Check func(answer string, before map[string]string) error
}

// Missing lists the questions that are open: values that w's place needs and w
// lacks, in the order in which a person would want to be asked.
func (w *Witness) Missing() []Question {
	var out []Question
	for _, q := range w.questions() {
		if w.answered(q.Key) {
			continue
		}
		if q.Check == nil {
			q.Check = checkText
		}
		out = append(out, q)
	}
	return out
}

// questions are all that w's place may have to ask.
func (w *Witness) questions() []Question {
	switch w.Place {
	case Attached:
		return []Question{
			{Key: "baseline.rpc", Flag: "baseline-rpc", Title: "Baseline server", Help: "the address of the baseline server", Check: checkURL},
			{Key: "test.rpc", Flag: "test-rpc", Title: "Test server", Help: "the address of the test server", Check: checkURL},
		}
	case Devnet:
		return []Question{
			{Key: "program.name", Flag: "program", Title: "Execution client", Help: "ethrex, geth, reth, or another whose command the spec gives"},
			{Key: "baseline.ref", Flag: "baseline", Title: "Baseline build", Help: "a binary, a git ref or the number of a pull request"},
			{Key: "test.ref", Flag: "test", Title: "Test build", Help: "a binary, a git ref or the number of a pull request"},
		}
	case Live:
		return w.liveQuestions()
	}
	return nil
}

// liveQuestions are those of a live run. The fifth of them, whether the servers
// are synced, has a default: see [Synced].
func (w *Witness) liveQuestions() []Question {
	out := []Question{
		{Key: "baseline.host", Flag: "baseline-host", Title: "Baseline server", Help: "the ssh alias of the server for the baseline", Check: checkHost},
		{Key: "test.host", Flag: "test-host", Title: "Test server", Help: "the ssh alias of the server for the change", Check: w.checkOtherHost},
		{Key: "servers.network", Flag: "network", Title: "Network", Help: "hoodi, sepolia, mainnet or another that the programs know"},
	}
	s := w.Servers
	if s == nil || !s.Synced {
		out = append(out,
			Question{Key: "baseline.ref", Flag: "baseline", Title: "Baseline ref", Help: "the git ref to compare with"},
			Question{Key: "test.ref", Flag: "test", Title: "Pull request or ref", Help: "the number of the pull request, or a git ref"})
	}
	if s != nil && !s.Synced && s.Network != "" && CheckpointSyncURL(s.Network) == "" {
		out = append(out, Question{Key: "servers.checkpoint_sync_url", Flag: "checkpoint-sync-url", Title: "Checkpoint sync URL", Help: "where Lighthouse starts from on this network", Check: checkOpenURL})
	}
	return out
}

func checkText(answer string, _ map[string]string) error {
	switch {
	case strings.TrimSpace(answer) == "":
		return errors.New("an answer is needed")
	case !isPlain(answer):
		return errors.New("control characters have no place here")
	}
	return nil
}

func checkURL(answer string, before map[string]string) error {
	if err := checkText(answer, before); err != nil {
		return err
	}
	if !isURL(answer) {
		return errors.New("it must be an http or https URL with a host")
	}
	return nil
}

// checkOpenURL is checkURL for an address that is shown and stored.
func checkOpenURL(answer string, before map[string]string) error {
	if err := checkURL(answer, before); err != nil {
		return err
	}
	if hasUser(answer) {
		return errors.New("it is shown and stored: use a URL without credentials")
	}
	return nil
}

func checkHost(answer string, before map[string]string) error {
	if err := checkText(answer, before); err != nil {
		return err
	}
	if !isAlias(answer) {
		return errors.New("this cannot be the name of an ssh host")
	}
	return nil
}

func (w *Witness) checkOtherHost(answer string, before map[string]string) error {
	if err := checkHost(answer, before); err != nil {
		return err
	}
	if answer == before["baseline-host"] || answer == w.Baseline.Host {
		return errors.New("a live run compares two servers: this one has the baseline")
	}
	return nil
}

// answered reports whether w has the value of key. A build can be a binary
// instead of a ref.
func (w *Witness) answered(key string) bool {
	switch {
	case key == "baseline.ref" && w.Baseline.Binary != "", key == "test.ref" && w.Test.Binary != "":
		return true
	}
	return len(w.Texts(key)) > 0
}

// Synced is the question whether the servers of a live run follow the network
// already. It has a default, so it is asked only with others.
func Synced() Question {
	return Question{
		Key: "servers.synced", Flag: "synced", YesNo: true, Answer: "false",
		Title: "Are both servers synced, with precomputed witnesses?",
		Help:  "yes: nothing is built, started or restarted; no: verdict builds, starts and syncs",
	}
}
