package load

import (
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/verdict-bench/verdict/internal/fault"
)

const (
	keyA = "bcdf20249abf0ed6d944c0288fad489e33f66b3960d9e6229c1cd214ed3bbe31"
	keyB = "385c546456b6a603a1cfcaa9ec9494ba4832da08dd6bcf4de9a71e4a01b74924"
)

func TestReadKeys(t *testing.T) {
	text := "# rich\n0x" + keyA + "\n\n   \n\t" + strings.ToUpper(keyB) + " \r\n# end"
	accounts, err := ReadKeys("keys", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	want := []common.Address{
		common.HexToAddress("0x8943545177806ed17b9f23f0a21ee5948ecaa776"),
		common.HexToAddress("0x3d1e15a1a55578f7c920884a9943b3b35d0d885b"),
	}
	if len(accounts) != 2 || accounts[0].Address != want[0] || accounts[1].Address != want[1] {
		t.Errorf("ReadKeys = %v, want %v", accounts, want)
	}
}

func TestReadKeys_badLines(t *testing.T) {
	for _, x := range []struct{ name, text, want string }{
		{"short", keyA + "\n\n" + keyB[:63], "key file my.keys, line 3: 63 characters"},
		{"long", keyA + "0", "line 1: 65 characters"},
		{"two on a line", keyA + " " + keyB, "line 1: 129 characters"},
		{"not hex", "# x\n" + keyB[:63] + "g", "line 2: a character that is not a hex digit"},
		{"zero", strings.Repeat("0", 64), "line 1: a number that is no private key"},
		{"too large", strings.Repeat("f", 64), "line 1: a number that is no private key"},
		{"twice", "0x" + keyA + "\n" + keyB + "\n\n" + strings.ToUpper(keyA), "line 4: the same key as in line 1"},
		{"endless line", keyA + "\n" + strings.Repeat(keyB, 1000), "line 2: longer than 4096 bytes"},
		{"binary", "\x00\x01\xff", "line 1: 3 characters"},
		{"only 0x", "0x", "line 1: 0 characters"},
		{"empty", "", "no key in it"},
		{"only comments", "# a\n\n", "no key in it"},
	} {
		_, err := ReadKeys("my.keys", strings.NewReader(x.text))
		if err == nil || fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: ReadKeys = %v, want a usage error with %q", x.name, err, x.want)
			continue
		}
		told := strings.ToLower(err.Error() + strings.Join(fault.HintsOf(err), " "))
		for _, secret := range []string{keyA[:8], keyB[:8]} {
			if strings.Contains(told, secret) {
				t.Errorf("%s: the error tells the key: %v", x.name, err)
			}
		}
	}
	broken := errors.New("disk gone")
	if _, err := ReadKeys("my.keys", io.MultiReader(strings.NewReader(keyA+"\n"), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("ReadKeys = %v, want %v", err, broken)
	}
}

func TestDerive(t *testing.T) {
	rich, err := ParseKey(keyA)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ParseKey(keyB)
	if err != nil {
		t.Fatal(err)
	}
	list := func(accounts []Account) (out []common.Address) {
		for _, a := range accounts {
			if crypto.PubkeyToAddress(a.Key.PublicKey) != a.Address {
				t.Errorf("%s is not the address of its key", a.Address)
			}
			out = append(out, a.Address)
		}
		return out
	}
	want := list(Derive(rich.Key, 1, 50))
	if got := list(Derive(rich.Key, 1, 20)); !slices.Equal(got, want[:20]) {
		t.Error("fewer accounts are other accounts")
	}
	seen := map[common.Address]bool{rich.Address: true}
	for _, a := range slices.Concat(want, list(Derive(rich.Key, 2, 50)), list(Derive(other.Key, 1, 50))) {
		if seen[a] {
			t.Errorf("%s comes twice", a)
		}
		seen[a] = true
	}
	// Money left on derived accounts must be found by later versions, too.
	if got := want[0]; got != common.HexToAddress("0x1b07726bd6b862edD9225bc89720f5fd223b85cC") {
		t.Errorf("the first account is %s", got)
	}
}

func FuzzReadKeys(f *testing.F) {
	f.Add("0x" + keyA + "\n# c\n\n" + keyB)
	f.Add(keyA[:60] + "\n")
	f.Add("\r\n\x00" + keyA)
	f.Fuzz(func(t *testing.T, text string) {
		accounts, err := ReadKeys("f", strings.NewReader(text))
		if (err == nil) != (len(accounts) > 0) {
			t.Fatalf("ReadKeys = %d accounts, %v", len(accounts), err)
		}
		if err != nil {
			for line := range strings.Lines(text) {
				if line = strings.TrimSpace(line); len(line) > 20 && strings.Contains(err.Error(), line) {
					t.Fatalf("the error tells a line: %v", err)
				}
			}
			return
		}
		// Written out again, the keys read the same.
		var again strings.Builder
		for _, a := range accounts {
			again.WriteString(hex.EncodeToString(crypto.FromECDSA(a.Key)) + "\n")
		}
		back, err := ReadKeys("f", strings.NewReader(again.String()))
		if err != nil || len(back) != len(accounts) {
			t.Fatalf("written and read again: %d of %d, %v", len(back), len(accounts), err)
		}
		for i := range back {
			if back[i].Address != accounts[i].Address {
				t.Fatalf("account %d is another after reading again", i)
			}
		}
	})
}
