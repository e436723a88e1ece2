package main

import (
	"path/filepath"
	"testing"

	"github.com/verdict-bench/verdict/internal/host"
	"github.com/verdict-bench/verdict/internal/sshdtest"
)

// What a poll transfers is what is new, and not more at the end of 10,000
// samples than at the beginning; here and over ssh.
func TestFollow(t *testing.T) {
	const total, batch = 10_000, 1000
	t.Setenv("HOME", t.TempDir()) // a login shell reads what is there
	fleet := sshdtest.Start(t, "server")
	server, err := host.NewSSH("server", host.SSHOptions{Config: fleet.Config})
	if err != nil {
		t.Fatal(err)
	}
	for _, machine := range []*host.Machine{host.Local(), server} {
		t.Run(machine.Name(), func(t *testing.T) {
			defer machine.Close()
			polls, err := follow(t.Context(), machine, filepath.Join(t.TempDir(), "samples.jsonl"), total, batch)
			if err != nil || len(polls) != total/batch {
				t.Fatalf("%d polls, %v", len(polls), err)
			}
			before := int64(0)
			for i, p := range polls {
				if p.read != p.size-before {
					t.Errorf("poll %d read %d bytes of a file that grew from %d to %d", i, p.read, before, p.size)
				}
				before = p.size
			}
			if first, last := polls[0].read, polls[len(polls)-1].read; last > first+first/50 {
				t.Errorf("the last poll read %d bytes, the first %d", last, first)
			}
		})
	}
}
