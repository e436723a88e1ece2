package ethrpc

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"time"

	"github.com/verdict-bench/verdict/internal/fault"
)

// secretSize is the length in bytes that the Engine API asks of a secret.
const secretSize = 32

// Secret is the key that a consensus client and an execution client share. It
// signs the JSON web token of each Engine API request. However it is printed,
// only the word "redacted" comes out.
type Secret struct {
	key [secretSize]byte
}

// Format prints a stand-in for every verb: a String method alone would leave
// %d and the like to print the bytes.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "redacted") }

// String returns the word "redacted".
func (Secret) String() string { return "redacted" }

// MarshalJSON keeps the key out of every file and log.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"redacted"`), nil }

// ReadSecret reads the secret from a file that holds 32 bytes as 64 hex
// digits, with or without 0x, with or without white space around them. No
// error shows what the file holds.
func ReadSecret(path string) (Secret, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Secret{}, fault.Newf(fault.Prerequisite, "JWT secret file %s does not exist", path).
			Hint("give the file that the execution client was started with as --authrpc.jwtsecret")
	}
	if err != nil {
		return Secret{}, fault.Newf(fault.Prerequisite, "JWT secret file: %w", err)
	}
	return parseSecret(path, raw)
}

// parseSecret takes the content of the secret file at path.
func parseSecret(path string, raw []byte) (Secret, error) {
	digits := bytes.TrimSpace(raw)
	if len(digits) >= 2 && digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X') {
		digits = digits[2:]
	}
	if len(digits) != 2*secretSize {
		return Secret{}, fault.Newf(fault.Usage, "JWT secret file %s: want 32 bytes as 64 hex digits, have %d characters",
			path, len(digits)).Hint("make a new one: openssl rand -hex 32 > FILE")
	}
	var s Secret
	if _, err := hex.Decode(s.key[:], digits); err != nil {
		// The error of package hex quotes the offending byte, which may be
		// part of a secret.
		return Secret{}, fault.Newf(fault.Usage, "JWT secret file %s: want 32 bytes as 64 hex digits, have another character among them",
			path).Hint("make a new one: openssl rand -hex 32 > FILE")
	}
	return s, nil
}

// CreateSecret makes a random secret and writes it to a new file that only its
// owner can read. An existing file is left alone and is an error.
func CreateSecret(path string) (Secret, error) {
	var s Secret
	if _, err := rand.Read(s.key[:]); err != nil {
		return Secret{}, fmt.Errorf("JWT secret: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return Secret{}, fault.Newf(fault.Prerequisite, "JWT secret file: %w", err)
	}
	_, err = fmt.Fprintf(f, "0x%x\n", s.key[:])
	if err := errors.Join(err, f.Close()); err != nil {
		return Secret{}, fmt.Errorf("JWT secret file: %w", err)
	}
	return s, nil
}

// jwtHeader is the constant first part of each token: HS256.
const jwtHeader = `{"alg":"HS256","typ":"JWT"}`

// token is a JSON web token issued at the given time. Execution clients accept
// it for 60 s, so that each request carries a new one.
func (s Secret) token(at time.Time) string {
	enc := base64.RawURLEncoding
	signed := enc.EncodeToString([]byte(jwtHeader)) + "." +
		enc.EncodeToString(fmt.Appendf(nil, `{"iat":%d}`, at.Unix()))
	mac := hmac.New(sha256.New, s.key[:])
	mac.Write([]byte(signed))
	return signed + "." + enc.EncodeToString(mac.Sum(nil))
}

// authorize adds the token to a request.
func (s Secret) authorize(req *http.Request) error {
	req.Header.Set("Authorization", "Bearer "+s.token(time.Now()))
	return nil
}

// Key is a copy of the 32 bytes, for a server that checks tokens with them.
func (s Secret) Key() []byte { return bytes.Clone(s.key[:]) }
