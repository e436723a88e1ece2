package setup

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Without a limit it is waited for as long as it takes; the default is not
// meant by it.
func TestAwait_forEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		c := &chain{limit: -1, say: func(string, ...any) {}}
		look := func() (int, error) {
			if time.Since(begin) > 24*time.Hour {
				return 0, nil
			}
			return 1, nil
		}
		err := c.await(t.Context(), "waiting", look, func(context.Context) string { return "stuck" })
		if err != nil || time.Since(begin) < 24*time.Hour {
			t.Errorf("await = %v after %v, want a day of patience", err, time.Since(begin))
		}
	})
}

func TestOpen_limit(t *testing.T) {
	node := well().client(t)
	for limit, want := range map[time.Duration]time.Duration{0: DefaultLimit, -1: -1, time.Second: time.Second} {
		c, err := open(t.Context(), node, 0, nil, limit)
		if err != nil || c.limit != want {
			t.Errorf("with a limit of %v the chain's is %+v, want %v: %v", limit, c, want, err)
			continue
		}
		if got := c.upTo(); (want < 0) != (got == "") || want > 0 && !strings.Contains(got, want.String()) {
			t.Errorf("with a limit of %v it waits%s", limit, got)
		}
	}
}
