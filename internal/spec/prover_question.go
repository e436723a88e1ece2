package spec

import (
	"errors"
	"strconv"
	"strings"
)

// Missing lists the questions that are open: values that p needs, lacks and has
// no default for.
func (p *Prover) Missing() []Question {
	var out []Question
	for _, q := range p.questions() {
		if q.Answer == "" && !p.answered(q.Key) {
			out = append(out, q)
		}
	}
	return out
}

// Questions lists what a person is asked when anything is missing: also what has
// a default, which stands there as the answer, unless it was given. The order is
// that of the workflow document. It is empty when nothing is missing.
func (p *Prover) Questions(given Keys) []Question {
	missing := p.Missing()
	if len(missing) == 0 || p.Place == Local && p.BuiltIn() {
		return missing
	}
	var out []Question
	for _, q := range p.questions() {
		if q.Answer != "" && !given.Given(q.Key) || q.Answer == "" && !p.answered(q.Key) {
			out = append(out, q)
		}
	}
	return out
}

// questions are all that p may have to ask. Those with an answer have a default.
func (p *Prover) questions() []Question {
	var out []Question
	if p.Place == Live {
		out = append(out, Question{Key: "host", Flag: "host", Title: "Server", Help: "the ssh alias of the server that runs the benchmark", Check: checkHost})
	}
	if !p.BuiltIn() {
		out = append(out,
			Question{Key: "backend", Flag: "backend", Title: "Prover backend", Help: "sp1, risc0 or exec", Answer: string(SP1), Check: oneOf(Backends)},
			Question{Key: "gpu", Flag: "gpu", YesNo: true, Title: "Prove on a GPU?", Help: "yes: build with CUDA, which sp1 and risc0 can use; exec cannot", Answer: strconv.FormatBool(p.Backend == SP1)})
	}
	out = append(out,
		Question{Key: "transactions", Flag: "transactions", Title: "Transactions per account", Help: "how many each account sends", Answer: strconv.Itoa(p.Transactions), Check: checkCount},
		Question{Key: "batches", Flag: "batches", Title: "Batches to prove", Help: "how many loaded batches to wait for, of each side", Check: checkCount},
		Question{Key: "endless", Flag: "endless", YesNo: true, Title: "Endless load?", Help: "yes: send until the batches are proved", Answer: strconv.FormatBool(p.Endless)})
	if !p.BuiltIn() {
		out = append(out, Question{Key: "baseline.ref", Flag: "ref", Title: "Branch or commit", Help: "the git ref to benchmark, or the number of a pull request", Check: checkText})
	}
	out = append(out,
		Question{Key: "running", Flag: "running", YesNo: true, Title: "Does the L2 run there already?", Help: "yes: only load and prover are started", Answer: strconv.FormatBool(p.Running)},
		Question{Key: "load", Flag: "load", Title: "Transaction type", Help: "eth-transfers, erc20, fibonacci or io-heavy", Answer: string(p.Load), Check: oneOf(LocalnetLoads)})
	if p.Backend == RISC0 && !p.Running {
		out = append(out, Question{
			Key: "risc0_verifier", Flag: "risc0-verifier", Title: "RISC0 verifier",
			Help: "the address of the RISC0 verifier contract on the L1, which the deployer does not deploy", Check: checkVerifier,
		})
	}
	return out
}

// answered reports whether p has the value of key. A build can be a binary
// instead of a ref, and a number has no empty value.
func (p *Prover) answered(key string) bool {
	switch key {
	case "baseline.ref":
		return p.Baseline.Ref != "" || p.Baseline.Binary != ""
	case "batches":
		return p.Batches != 0
	}
	return len(p.Texts(key)) > 0
}

// oneOf checks an answer against words.
func oneOf[T ~string](words []T) func(string, map[string]string) error {
	return func(answer string, _ map[string]string) error {
		names := make([]string, len(words))
		for i, w := range words {
			if string(w) == strings.TrimSpace(answer) {
				return nil
			}
			names[i] = string(w)
		}
		return errors.New("choose one of " + strings.Join(names, ", "))
	}
}

func checkCount(answer string, _ map[string]string) error {
	n, err := strconv.Atoi(strings.TrimSpace(answer))
	if err != nil || n < 1 {
		return errors.New("it must be a whole number from 1 on")
	}
	return nil
}

func checkVerifier(answer string, _ map[string]string) error {
	if !isAddress(strings.TrimSpace(answer)) {
		return errors.New("it must be an address: 0x and 40 hex digits")
	}
	return nil
}
