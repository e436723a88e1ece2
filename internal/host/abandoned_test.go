package host

import (
	"context"
	"path/filepath"
	"testing"
	"time"
)

// A start whose caller goes away at any moment leaves a program that runs, or
// none: never one that has ended because nobody read that it was recorded.
func TestStart_abandoned(t *testing.T) {
	m := Local()
	dir := t.TempDir()
	const tries = 40
	for i := range tries {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*2*time.Millisecond)
		name := string(rune('a'+i/26)) + string(rune('a'+i%26))
		m.Start(ctx, Program{Dir: dir, Name: name, Argv: []string{"sleep", "600"}})
		cancel()
	}
	for i := range tries {
		name := string(rune('a'+i/26)) + string(rune('a'+i%26))
		id, st, err := m.Find(t.Context(), dir, name)
		if err != nil {
			t.Fatal(err)
		}
		if st.Phase == Running {
			defer m.Stop(context.Background(), id, 9, 0)
		}
		if st.Phase == Ended {
			t.Errorf("start %d left a program that has ended with status %d; log %s", i, st.Exit, filepath.Join(dir, name+".log"))
		}
	}
}
