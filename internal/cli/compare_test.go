package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/intake"
)

const proverLog = `2026-02-20T14:03:07.141501Z  INFO Proved batch 1 in 47.12s batch=1 proving_time_s=47 proving_time_ms=47123
2026-02-20T14:04:12.025772Z  INFO Proved batch 2 in 59.87s batch=2 proving_time_s=59 proving_time_ms=59871
`

// at writes a file and returns its path.
func at(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A metrics page is fetched from where it is served; what may be a credential
// in its URL is not repeated.
func TestCompare_metricsURL(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" || r.Method != http.MethodGet {
			http.NotFound(w, r)
			return
		}
		io.WriteString(w, "batch_gas_used{batch_number=\"1\"} 4093824\nbatch_gas_used{batch_number=\"2\"} 17850000\n")
	}))
	defer server.Close()
	a, b := at(t, "a.log", proverLog), at(t, "b.log", strings.ReplaceAll(proverLog, "7", "8"))
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for _, c := range []struct {
		url            string
		status         int
		stdout, stderr string
	}{
		{server.URL + "/metrics", 5, `"gas": 17850000`, "too few batches"},
		{server.URL + "/secret", 4, "", "/…: HTTP status 404 Not Found"},
		{gone.URL + "/secret", 4, "", "connection refused"},
		{"http://[::1", 2, "", "not a URL"},
	} {
		var stdout, stderr bytes.Buffer
		status := Main(context.Background(), World{
			Args: []string{"compare", a, b, "--json", "--baseline-metrics", c.url}, Stdin: strings.NewReader(""),
			Stdout: &stdout, Stderr: &stderr, Getenv: func(string) string { return "" },
		})
		if status != c.status || !strings.Contains(stdout.String(), c.stdout) || !strings.Contains(stderr.String(), c.stderr) {
			t.Errorf("%s: status %d, want %d; stdout %q, want %q; stderr %q, want %q", c.url, status, c.status, stdout.String(), c.stdout, stderr.String(), c.stderr)
		}
		if strings.Contains(stderr.String(), "secret") {
			t.Errorf("%s: the path of the URL is in %q", c.url, stderr.String())
		}
	}
}

// A prover log is reported with the page of the L2 where that is served, as the
// old script did it, but for one that is not there.
func TestReport_metricsURL(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "batch_gas_used{batch_number=\"2\"} 17850000\nbatch_tx_count{batch_number=\"2\"} 850\nbatch_size{batch_number=\"2\"} 12\n")
	}))
	log := at(t, "prover.log", proverLog)
	report := func(url string) (status int, stdout, stderr string) {
		var out, errs bytes.Buffer
		status = Main(context.Background(), World{
			Args: []string{"report", "--format", "md", log, "--metrics", url}, Stdin: strings.NewReader(""),
			Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" },
		})
		return status, out.String(), errs.String()
	}
	if status, stdout, stderr := report(server.URL + "/metrics"); status != 0 || !strings.Contains(stdout, "| 17850000 | 850 | 12 |") {
		t.Errorf("status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
	server.Close()
	if status, _, stderr := report(server.URL + "/metrics"); status != 4 || !strings.Contains(stderr, "connection refused") {
		t.Errorf("of a page that is gone: status %d, stderr %q", status, stderr)
	}
}

// An interrupt ends the command although nothing ever comes from standard
// input.
func TestCompare_interrupt(t *testing.T) {
	silent, keep := io.Pipe()
	defer keep.Close()
	signals := make(chan os.Signal, 1)
	signals <- syscall.SIGINT
	var stderr bytes.Buffer
	status := Main(context.Background(), World{
		Args: []string{"compare", at(t, "a.csv", "1,2\n"), "-"}, Stdin: silent,
		Stdout: io.Discard, Stderr: &stderr, Getenv: func(string) string { return "" }, Signals: signals,
	})
	if status != 130 || !strings.Contains(stderr.String(), "interrupted by signal") {
		t.Errorf("status %d, stderr %q, want 130 for an interrupt", status, stderr.String())
	}
}

// Whatever an input holds, it is refused with a reason or has measurements.
func FuzzReadMeasurements(f *testing.F) {
	for _, seed := range []string{
		"", "\n", "1,2\n", "block,ms\n1,2\n", `{"v":1,"sample":{"number":1,"status":"ok","total_ns":5}}` + "\n",
		`{"v":1,"attempt":{"batch":1,"status":"accepted","proving_ns":5}}` + "\n", "Proved batch 1\n",
		`{"v":1,"gap":{"reason":"x"}}` + "\n" + `{"v":1,"sa`, `{"v":`, `{ "v": 1, "gap": {} }` + "\n", "\x1f\x8b\x08", proverLog,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := readMeasurements("input", bytes.NewReader(data))
		if err != nil {
			if kind := fault.KindOf(err); kind != fault.Usage && kind != fault.Invalid && !errors.Is(err, intake.ErrNoProof) {
				t.Errorf("error %v is of kind %d", err, kind)
			}
			return
		}
		if (m.Series == nil) == (m.Records == nil) {
			t.Errorf("series %v, %d records: want one of them", m.Series, len(m.Records))
		}
	})
}
