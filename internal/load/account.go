package load

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/verdict-bench/verdict/internal/fault"
)

// Account is a funded account that transactions are sent from.
type Account struct {
	Key     *ecdsa.PrivateKey
	Address common.Address
}

// AccountOf is the account of a private key.
func AccountOf(key *ecdsa.PrivateKey) Account {
	return Account{Key: key, Address: crypto.PubkeyToAddress(key.PublicKey)}
}

// maxKeyLine is more than any line of a key file needs, in bytes. What is
// longer is no key file, and is not read to its end.
const maxKeyLine = 4096

// ReadKeys reads a key file: one private key a line in hex, with or without
// 0x. Blank lines and lines that begin with # are skipped. The name is for
// messages, which give the number of a bad line and never its text.
func ReadKeys(name string, r io.Reader) ([]Account, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, maxKeyLine), maxKeyLine)
	var accounts []Account
	seen := make(map[common.Address]int)
	n := 0
	for lines.Scan() {
		n++
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		account, err := parseKey(line)
		if err != nil {
			return nil, badLine(name, n, err)
		}
		if first := seen[account.Address]; first != 0 {
			return nil, badLine(name, n, fmt.Errorf("the same key as in line %d", first))
		}
		seen[account.Address] = n
		accounts = append(accounts, account)
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, badLine(name, n+1, fmt.Errorf("longer than %d bytes", maxKeyLine))
	case err != nil:
		return nil, fmt.Errorf("key file %s: %w", name, err)
	case len(accounts) == 0:
		return nil, fault.Newf(fault.Usage, "key file %s: no key in it", name).
			Hint("a key file has one private key a line, as 64 hex digits")
	}
	return accounts, nil
}

func badLine(name string, n int, err error) error {
	return fault.Newf(fault.Usage, "key file %s, line %d: %w", name, n, err)
}

// ParseKey reads one private key in hex, with or without 0x. Its errors do not
// tell the text.
func ParseKey(text string) (Account, error) { return parseKey([]byte(text)) }

func parseKey(text []byte) (Account, error) {
	digits, ok := bytes.CutPrefix(text, []byte("0x"))
	if !ok {
		digits, _ = bytes.CutPrefix(text, []byte("0X"))
	}
	var raw [32]byte
	if len(digits) != hex.EncodedLen(len(raw)) {
		return Account{}, fmt.Errorf("%d characters, but a private key is 64 hex digits", len(digits))
	}
	if _, err := hex.Decode(raw[:], digits); err != nil {
		// The error of hex would quote a byte of what may be a secret.
		return Account{}, errors.New("a character that is not a hex digit")
	}
	key, err := crypto.ToECDSA(raw[:])
	if err != nil {
		return Account{}, errors.New("a number that is no private key: zero, or too large for the curve")
	}
	return AccountOf(key), nil
}

// Derive makes n accounts out of a rich one's key: the same for the same key
// and seed, others for another seed, and unknown to whoever does not have the
// key. What is left on them can be found again after any crash.
func Derive(rich *ecdsa.PrivateKey, seed uint64, n int) []Account {
	accounts := make([]Account, n)
	secret := crypto.FromECDSA(rich)
	for i := range accounts {
		accounts[i] = derive(secret, seed, uint64(i))
	}
	return accounts
}

// derive hashes until the result is a private key, which all but one in 2^127
// hashes are.
func derive(secret []byte, seed, i uint64) Account {
	text := append([]byte("verdict load account"), secret...)
	text = binary.BigEndian.AppendUint64(text, seed)
	text = binary.BigEndian.AppendUint64(text, i)
	for {
		text = crypto.Keccak256(text)
		if key, err := crypto.ToECDSA(text); err == nil {
			return AccountOf(key)
		}
	}
}
