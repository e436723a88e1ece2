package ethrpc

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/verdict-bench/verdict/internal/fault"
)

const testKey = "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"

func TestSecret_token(t *testing.T) {
	s, err := parseSecret("jwt.hex", []byte(testKey))
	if err != nil {
		t.Fatal(err)
	}
	// Made with another implementation of HMAC and base64.
	const want = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpYXQiOjE3MDAwMDAwMDB9.PImRAQ9ASfA6sNaNXGOwlr2pLWNLJ5SQEyzckOr3ufo"
	if got := s.token(time.Unix(1_700_000_000, 0)); got != want {
		t.Errorf("token = %s, want %s", got, want)
	}
}

func TestReadSecret(t *testing.T) {
	tests := []struct {
		name, content string
		kind          fault.Kind // 0 for none
		text          string
	}{
		{"plain", testKey, 0, ""},
		{"prefix", "0x" + testKey, 0, ""},
		{"upper case", "0X" + strings.ToUpper(testKey), 0, ""},
		{"white space", "\n\t " + testKey + " \r\n", 0, ""},
		{"empty", "", fault.Usage, "have 0 characters"},
		{"short", testKey[:62], fault.Usage, "have 62 characters"},
		{"long", testKey + "00", fault.Usage, "have 66 characters"},
		{"odd", testKey[:63], fault.Usage, "have 63 characters"},
		{"not hex", "zz" + testKey[2:], fault.Usage, "64 hex digits"},
		{"two prefixes", "0x0x" + testKey[2:], fault.Usage, "64 hex digits"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "jwt.hex")
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := ReadSecret(path)
			if tt.kind == 0 {
				if err != nil || s.key[0] != 1 || s.key[31] != 0x20 {
					t.Errorf("ReadSecret(%q): wrong key or error %v", tt.content, err)
				}
				return
			}
			if err == nil || fault.KindOf(err) != tt.kind {
				t.Fatalf("ReadSecret(%q) = error %v of kind %d, want kind %d", tt.content, err, fault.KindOf(err), tt.kind)
			}
			if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %q, want it to name %s and %q", err, path, tt.text)
			}
			if strings.Contains(err.Error(), testKey[2:30]) || strings.Contains(err.Error(), "'z'") {
				t.Errorf("error %q shows the content of the file", err)
			}
		})
	}
	t.Run("missing", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "none")
		_, err := ReadSecret(path)
		if err == nil || fault.KindOf(err) != fault.Prerequisite || !strings.Contains(err.Error(), path) {
			t.Errorf("ReadSecret of a missing file = %v, want a missing prerequisite that names it", err)
		}
	})
}

// A secret must not come out of any way to print or store it.
func TestSecret_isNeverShown(t *testing.T) {
	s, err := parseSecret("jwt.hex", []byte(testKey))
	if err != nil {
		t.Fatal(err)
	}
	holder := struct{ Secret Secret }{s}
	var shown []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%d", "%q", "%o"} {
		shown = append(shown, fmt.Sprintf(verb, s), fmt.Sprintf(verb, &s), fmt.Sprintf(verb, holder))
	}
	encoded, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	shown = append(shown, string(encoded), s.String())
	for _, text := range shown {
		if !strings.Contains(text, "redacted") || strings.Contains(text, "2 3") || strings.Contains(text, "0203") {
			t.Errorf("a secret shows as %q", text)
		}
	}
}

func TestCreateSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jwt.hex")
	made, err := CreateSecret(path)
	if err != nil {
		t.Fatal(err)
	}
	read, err := ReadSecret(path)
	if err != nil || read != made {
		t.Errorf("ReadSecret after CreateSecret: another secret or error %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v, want 0600 (error %v)", info.Mode().Perm(), err)
	}
	if _, err := CreateSecret(path); err == nil {
		t.Error("CreateSecret wrote over an existing file")
	}
}

func FuzzParseSecret(f *testing.F) {
	for _, seed := range []string{"", "0x", testKey, "0x" + testKey + "\n", "0x0x", " 0X" + testKey[1:]} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := parseSecret("f", raw)
		if err != nil {
			return
		}
		again, err := parseSecret("f", fmt.Appendf(nil, "0x%x\n", s.key[:]))
		if err != nil || again != s {
			t.Errorf("a secret changes when it is written and read again: %v", err)
		}
	})
}
