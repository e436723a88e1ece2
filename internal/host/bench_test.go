package host_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/sshdtest"
)

// What a round trip over one warm connection on the loopback interface costs.
func BenchmarkSSH(b *testing.B) {
	fleet := sshdtest.Start(b, "server")
	h, err := host.NewSSH("server", host.SSHOptions{Config: fleet.Config})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	if err := h.Connect(b.Context()); err != nil {
		b.Fatal(err)
	}
	const size = 100 << 20
	content := strings.Repeat(strings.Repeat("x", 1023)+"\n", size>>10)
	if err := os.WriteFile(filepath.Join(fleet.Host("server").Home, "samples"), []byte(content), 0o600); err != nil {
		b.Fatal(err)
	}
	b.Run("Run", func(b *testing.B) {
		for b.Loop() {
			if _, err := h.Run(b.Context(), "true"); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, c := range []struct {
		name   string
		offset int64
	}{{"ReadFrom/begin", 0}, {"ReadFrom/100MiB", size - 1024}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				p, err := h.ReadFrom(b.Context(), "~/samples", c.offset, 1024)
				if err != nil || len(p) != 1024 {
					b.Fatal(len(p), err)
				}
			}
		})
	}
}
