package fault

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
)

func TestKindOf(t *testing.T) {
	inner := Newf(Prerequisite, "no server: %w", io.EOF).Hint("start it")
	for _, c := range []struct {
		err  error
		want Kind
	}{
		{io.EOF, Failed},
		{inner, Prerequisite},
		{fmt.Errorf("side test: %w", inner), Prerequisite},
		{As(Usage, inner), Usage},
		{errors.Join(io.EOF, inner), Prerequisite},
	} {
		if got := KindOf(c.err); got != c.want {
			t.Errorf("KindOf(%v) = %d, want %d", c.err, got, c.want)
		}
		if c.err != io.EOF && !errors.Is(c.err, io.EOF) {
			t.Errorf("%v lost its cause", c.err)
		}
	}
	if As(Usage, nil) != nil {
		t.Error("As makes an error of nil")
	}
}

func TestHintsOf(t *testing.T) {
	inner := Newf(Failed, "inner").Hint("first %d", 1).Hint("second")
	outer := Newf(Usage, "outer: %w", inner).Hint("outermost")
	if got, want := HintsOf(fmt.Errorf("x: %w", outer)), []string{"outermost", "first 1", "second"}; !slices.Equal(got, want) {
		t.Errorf("HintsOf = %q, want %q", got, want)
	}
	if got := HintsOf(io.EOF); got != nil {
		t.Errorf("HintsOf an ordinary error = %q", got)
	}
}
