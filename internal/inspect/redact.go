package inspect

import (
	"path/filepath"
	"regexp"
	"strings"

	"github.com/verdict-bench/verdict/internal/ethrpc"
)

// hidden stands for what is not shown.
const hidden = "(redacted)"

var (
	// suspicious are words in the name of a flag whose value may be a secret.
	suspicious = regexp.MustCompile(`(?i)secret|passw|passphrase|private|priv|key|token|mnemonic|seed|jwt|auth|credential|cookie`)
	// hexSecret is what a private key looks like, wherever it stands.
	hexSecret = regexp.MustCompile(`(?i)(0x)?[0-9a-f]{64}`)
	// tokenLike is a JSON web token.
	tokenLike  = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_.-]+`)
	webAddress = regexp.MustCompile(`(?i)\b(https?|wss?)://[^\s,'"]+`)
)

// secretFiles are the flags that name the file of a secret, and not the secret:
// which one a program uses is what people look for.
var secretFiles = map[string]bool{
	"authrpc.jwtsecret": true, "jwtsecret": true, "jwt-secret": true, "execution-jwt": true,
	"jwt-secrets": true, "execution-jwt-path": true, "nodekey": true, "p2p-secret-key": true,
}

// harmless are flags whose names look suspicious and whose values are not.
var harmless = map[string]bool{
	"authrpc.addr": true, "authrpc.port": true, "authrpc.vhosts": true, "authrpc.host": true,
	"override.terminaltotaldifficulty": true,
}

// redactArgs is a command line without secrets. What is not known to be
// harmless and looks like a secret is hidden.
func redactArgs(argv []string) []string {
	out := make([]string, len(argv))
	for i := 0; i < len(argv); i++ {
		name, value, joined := strings.Cut(argv[i], "=")
		flag := strings.TrimLeft(name, "-")
		switch {
		case joined && !strings.ContainsAny(name, blanks):
			out[i] = redactText(name) + "=" + redactValue(flag, value)
		case i == 0 || !strings.HasPrefix(name, "-"):
			out[i] = redactWord(argv[i])
		default:
			out[i] = redactWord(argv[i])
			// The value of a flag is the next word, unless that is a flag.
			if i+1 < len(argv) && !strings.HasPrefix(argv[i+1], "-") && suspicious.MatchString(flag) {
				i++
				out[i] = redactValue(flag, argv[i])
			}
		}
	}
	return out
}

const blanks = " \t\r\n"

// redactWord is a word without a name. With blanks in it, it is a command line
// of its own, as a shell is given.
func redactWord(s string) string {
	if strings.ContainsAny(s, blanks) {
		return strings.Join(redactArgs(strings.Fields(s)), " ")
	}
	return redactText(s)
}

// redactValue is the value of a flag, or of a variable, of that name.
func redactValue(flag, value string) string {
	flag = strings.ToLower(flag)
	switch {
	case value == "" || value == "true" || value == "false" || harmless[flag]:
		return value
	case secretFiles[flag]:
		// Some programs take the secret itself in the same place.
		if strings.ContainsRune(value, filepath.Separator) || strings.HasPrefix(value, "~") || filepath.Ext(value) != "" {
			return redactText(value)
		}
		return hidden
	case suspicious.MatchString(flag):
		return hidden
	}
	return redactWord(value)
}

// redactText hides what looks like a secret without a name.
func redactText(s string) string {
	s = webAddress.ReplaceAllStringFunc(s, ethrpc.Redact)
	s = hexSecret.ReplaceAllString(s, hidden)
	return tokenLike.ReplaceAllString(s, hidden)
}
