package genesis

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"

	"github.com/verdict-bench/verdict/internal/fault"
)

// Read reads a genesis file in geth's JSON format. Keys that it does not know
// are ignored, because other programs keep their own in the same file. Errors
// are the user's ([fault.Usage]) and name the file and, where there is one,
// the line.
func Read(path string) (*core.Genesis, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.As(fault.Usage, fmt.Errorf("reading genesis: %w", err))
	}
	g, err := parse(raw)
	if err != nil {
		var at *positionError
		if errors.As(err, &at) {
			return nil, fault.Newf(fault.Usage, "genesis %s:%d: %w", path, at.line, at.err)
		}
		return nil, fault.Newf(fault.Usage, "genesis %s: %w", path, err)
	}
	return g, nil
}

// positionError is an error with the line that it is about, counted from 1.
type positionError struct {
	line int
	err  error
}

func (e *positionError) Error() string { return fmt.Sprintf("line %d: %v", e.line, e.err) }
func (e *positionError) Unwrap() error { return e.err }

// parse decodes and checks a genesis.
func parse(raw []byte) (*core.Genesis, error) {
	var g core.Genesis
	if err := json.Unmarshal(raw, &g); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, &positionError{line(raw, int(syntax.Offset)), err}
		}
		if at := locate(raw, 0, probes()); at != nil {
			return nil, &positionError{line(raw, at.offset), at.err}
		}
		return nil, err
	}
	switch {
	case g.Config == nil:
		return nil, errors.New("the chain configuration (config) is missing")
	case g.Config.ChainID == nil:
		return nil, errors.New("the chain id (config.chainId) is missing")
	}
	if err := g.Config.CheckConfigForkOrder(); err != nil {
		return nil, err
	}
	return &g, nil
}

// line is the number of the line of raw that the byte at offset is on.
func line(raw []byte, offset int) int {
	return 1 + bytes.Count(raw[:min(max(offset, 0), len(raw))], []byte("\n"))
}

// probe knows how to decode one member of an object on its own, so that the
// member that does not decode can be found: the decoders of the fields are
// nested, and an error of theirs carries no usable offset.
type probe struct {
	// decode decodes an object that has this one member.
	decode func(member []byte) error
	// inside probes the members of the member's own value. The empty name
	// stands for any other.
	inside map[string]probe
}

// probes are the probes of a genesis.
func probes() map[string]probe {
	top := func(member []byte) error {
		return json.Unmarshal(merge(`"gasLimit":"0x1","difficulty":"0x0","alloc":{}`, member), new(core.Genesis))
	}
	return map[string]probe{
		"": {decode: top},
		"config": {decode: top, inside: map[string]probe{"": {decode: func(member []byte) error {
			return json.Unmarshal(member, new(params.ChainConfig))
		}}}},
		"alloc": {decode: top, inside: map[string]probe{"": {
			decode: func(member []byte) error { return json.Unmarshal(member, new(types.GenesisAlloc)) },
			inside: map[string]probe{"": {decode: func(member []byte) error {
				return json.Unmarshal(merge(`"balance":"0x0"`, member), new(types.Account))
			}}},
		}}},
	}
}

// merge puts members in front of those of object; later ones win.
func merge(members string, object []byte) []byte {
	return slices.Concat([]byte("{"+members+","), object[1:])
}

// located is an error and the offset of the member that causes it.
type located struct {
	offset int
	err    error
}

// locate finds the innermost member of the object raw that does not decode. It
// is nil if each of them does, when something is missing.
func locate(raw []byte, base int, probes map[string]probe) *located {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil
		}
		keyEnd := int(dec.InputOffset())
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil
		}
		p, known := probes[name.(string)]
		if !known {
			p = probes[""]
		}
		member, err := json.Marshal(map[string]json.RawMessage{name.(string): value})
		if err != nil {
			return nil
		}
		if err := p.decode(member); err != nil {
			if p.inside != nil {
				valueAt := int(dec.InputOffset()) - len(value)
				if at := locate(value, base+valueAt, p.inside); at != nil {
					return at
				}
			}
			return &located{base + keyEnd, fmt.Errorf("%s: %w", name, err)}
		}
	}
	return nil
}

// Write writes g as JSON that geth, reth and ethrex start from. The same
// genesis gives the same bytes.
func Write(w io.Writer, g *core.Genesis) error {
	head := *g
	head.Alloc = types.GenesisAlloc{}
	raw, err := json.Marshal(&head)
	if err != nil {
		return fmt.Errorf("encoding genesis: %w", err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return fmt.Errorf("encoding genesis: %w", err)
	}
	if fields["config"], err = spellOutBlobs(fields["config"]); err != nil {
		return fmt.Errorf("encoding genesis: %w", err)
	}
	out := bufio.NewWriterSize(w, 1<<16)
	out.WriteString("{\n")
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		// A field that is not set is left out: not every reader takes null.
		if name != "alloc" && string(fields[name]) != "null" {
			fmt.Fprintf(out, "  %q: %s,\n", name, fields[name])
		}
	}
	out.WriteString("  \"alloc\": {")
	if err := writeAlloc(out, g.Alloc); err != nil {
		return err
	}
	out.WriteString("\n  }\n}\n")
	return out.Flush()
}

// spellOutBlobs adds the blob schedule of Osaka to a chain configuration that
// has that fork. Osaka keeps the numbers of Prague, so this version of
// go-ethereum has no field for it, but others refuse to inherit them.
func spellOutBlobs(config json.RawMessage) (json.RawMessage, error) {
	var fields, schedule map[string]json.RawMessage
	if err := json.Unmarshal(config, &fields); err != nil {
		return nil, err
	}
	if fields["osakaTime"] == nil || fields["blobSchedule"] == nil {
		return config, nil
	}
	if err := json.Unmarshal(fields["blobSchedule"], &schedule); err != nil {
		return nil, err
	}
	if schedule["osaka"] != nil || schedule["prague"] == nil {
		return config, nil
	}
	schedule["osaka"] = schedule["prague"]
	var err error
	if fields["blobSchedule"], err = json.Marshal(schedule); err != nil {
		return nil, err
	}
	return json.Marshal(fields)
}

// writeAlloc writes the members of the alloc object, ordered by address. The
// addresses are written with 0x, which every reader takes; go-ethereum's own
// encoding leaves it out.
func writeAlloc(out *bufio.Writer, alloc types.GenesisAlloc) error {
	addresses := slices.SortedFunc(maps.Keys(alloc), common.Address.Cmp)
	for i, address := range addresses {
		account, err := json.Marshal(alloc[address])
		if err != nil {
			return fmt.Errorf("encoding genesis account %s: %w", address, err)
		}
		separator := ","
		if i == 0 {
			separator = ""
		}
		if _, err := fmt.Fprintf(out, "%s\n    \"%#x\": %s", separator, address[:], account); err != nil {
			return err
		}
	}
	return nil
}
