package tui

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"unicode"

	"github.com/verdict-bench/verdict/internal/spec"
)

// questions are those of a live run with nothing said, and the one that has a
// default.
func questions() []spec.Question {
	w := spec.Defaults(spec.Live)
	return append(w.Missing(), spec.Synced())
}

func plain(input string) (Terminal, *bytes.Buffer) {
	var out bytes.Buffer
	return Terminal{In: strings.NewReader(input), Out: &out, Plain: true}, &out
}

func TestAsk_plain(t *testing.T) {
	term, out := plain("server-1\n\nserver-1\nserver-2\nhoodi\n6157\nperhaps\ny\n")
	answers, err := term.Ask(t.Context(), "What shall be compared?", questions())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"baseline-host": "server-1", "test-host": "server-2", "network": "hoodi", "test": "6157", "synced": "true"}
	for flag, text := range want {
		if answers[flag] != text {
			t.Errorf("the answer to %s is %q, want %q", flag, answers[flag], text)
		}
	}
	for _, text := range []string{"What shall be compared?\n", "Baseline server (the ssh alias", "an answer is needed", "this one has the baseline", "[y/N]", "please try again"} {
		if !strings.Contains(out.String(), text) {
			t.Errorf("%q was not shown:\n%s", text, out)
		}
	}
}

// Plain lines hold text and nothing that moves or colors it.
func TestPlain_noEscapes(t *testing.T) {
	term, out := plain("server-1\n\nserver-1\nserver-2\nhoodi\n6157\nperhaps\ny\n")
	if _, err := term.Ask(t.Context(), "What shall be compared?", questions()); err != nil {
		t.Fatal(err)
	}
	term, chosen := plain("3\n2\n")
	if _, err := term.Choose(t.Context(), "Which?", []Option{{"a", "the first"}, {"b", "the second"}}); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{out.String(), chosen.String()} {
		control := func(r rune) bool { return r != '\n' && unicode.IsControl(r) }
		if i := strings.IndexFunc(text, control); i >= 0 || text == "" {
			t.Errorf("byte %d is a control character:\n%q", i, text)
		}
	}
}

// An empty line takes the default where there is one.
func TestAsk_default(t *testing.T) {
	term, _ := plain("\n")
	answers, err := term.Ask(t.Context(), "", []spec.Question{spec.Synced()})
	if err != nil || answers["synced"] != "false" {
		t.Errorf("the answers are %v, %v, want the default", answers, err)
	}
}

func TestChoose_plain(t *testing.T) {
	options := []Option{{"a", "the first"}, {"b", "the second"}}
	for input, want := range map[string]string{"2\n": "b", "\n": "a", "3\nx\n2\n": "b"} {
		term, out := plain(input)
		got, err := term.Choose(t.Context(), "Which?", options)
		if err != nil || got != want || !strings.Contains(out.String(), "2. the second\n") {
			t.Errorf("%q chooses %q, %v, want %q:\n%s", input, got, err, want, out)
		}
	}
}

// Answers that end too early are none at all.
func TestAsk_ends(t *testing.T) {
	for _, input := range []string{"", "server-1\n", "server-1\nserver-2\nhoodi\n1\n"} {
		term, _ := plain(input)
		if answers, err := term.Ask(t.Context(), "", questions()); !errors.Is(err, ErrAborted) || answers != nil {
			t.Errorf("%q gives %v, %v, want ErrAborted", input, answers, err)
		}
	}
}

// An interrupt ends a question that nobody answers.
func TestAsk_interrupted(t *testing.T) {
	in, typed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer typed.Close()
	cause := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	// The question is there when it is interrupted.
	out, shown := io.Pipe()
	go func() {
		out.Read(make([]byte, 1))
		cancel(cause)
		io.Copy(io.Discard, out)
	}()
	term := Terminal{In: in, Out: shown, Plain: true}
	if answers, err := term.Ask(ctx, "", questions()); !errors.Is(err, cause) || answers != nil {
		t.Errorf("Ask = %v, %v, want the cause", answers, err)
	}
	shown.Close()
}
