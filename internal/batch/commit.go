package batch

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
)

// commitDigits is the length of a commit hash in hex digits.
const commitDigits = 40

// BuildCommit is the commit hash that this program claims to be built from, 40
// hex digits: that of the checkout when the build recorded one without changes,
// and otherwise the beginning of the SHA-256 of the program's own file, so that
// builds that may differ never claim to be the same.
func BuildCommit() (string, error) {
	if info, ok := debug.ReadBuildInfo(); ok {
		if commit := cleanRevision(info.Settings); commit != "" {
			return commit, nil
		}
	}
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("commit of this build: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("commit of this build: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("commit of this build: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil))[:commitDigits], nil
}

// cleanRevision is the commit that a build recorded, "" when it recorded none
// or changes beside it.
func cleanRevision(settings []debug.BuildSetting) string {
	var revision, modified string
	for _, s := range settings {
		switch s.Key {
		case "vcs.revision":
			revision = s.Value
		case "vcs.modified":
			modified = s.Value
		}
	}
	if modified != "false" || !IsCommit(revision) {
		return ""
	}
	return revision
}

// IsCommit reports whether text is a commit hash as the programs exchange them:
// 40 hex digits in lower case.
func IsCommit(text string) bool {
	return len(text) == commitDigits && strings.Trim(text, "0123456789abcdef") == ""
}
