package program

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/verdict-bench/verdict/internal/fault"
)

// maxEnvFile is more than any deployer writes.
const maxEnvFile = 64 << 10

// ParseEnvFile reads the addresses that a deployer wrote, by their names: lines
// of the form NAME=0x and 40 hex digits, of which the addresses of proposer and
// bridge have to be there. What is zero was not deployed and is left out. Errors
// name the line; a file that is not whole is one.
func ParseEnvFile(data []byte) (map[string]string, error) {
	if len(data) > maxEnvFile {
		return nil, fault.Newf(fault.Failed, "the deployer's file has more than %d bytes: it is none", maxEnvFile)
	}
	if len(data) > 0 && !bytes.HasSuffix(data, []byte("\n")) {
		return nil, fault.Newf(fault.Failed, "the deployer's file ends in the middle of a line: it is not whole")
	}
	out := make(map[string]string)
	seen := make(map[string]bool)
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		switch {
		case !ok || !isVariable(name):
			return nil, envError(n, line, "it is not of the form NAME=0x...")
		case seen[name]:
			return nil, envError(n, line, "the name stands there twice")
		case !isEnvAddress(value):
			return nil, envError(n, line, "the value is no address: 0x and 40 hex digits")
		}
		seen[name] = true
		if strings.Trim(value[2:], "0") != "" {
			out[name] = value
		}
	}
	for _, name := range []string{ProposerWord, BridgeWord} {
		if out[name] == "" {
			return nil, fault.Newf(fault.Failed, "the deployer's file has no %s", name)
		}
	}
	return out, nil
}

func envError(n int, line, why string) error {
	return fault.Newf(fault.Failed, "the deployer's file, line %d, %s: %s", n, fmt.Sprintf("%.100q", line), why)
}

// isVariable reports whether s is a name as the deployer writes them.
func isVariable(s string) bool {
	return s != "" && (s[0] < '0' || s[0] > '9') && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

func isEnvAddress(s string) bool {
	digits, ok := strings.CutPrefix(s, "0x")
	return ok && len(digits) == 40 && strings.Trim(digits, "0123456789abcdefABCDEF") == ""
}
