package jsonstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/iotest"
)

func TestBytes_limit(t *testing.T) {
	for _, c := range []struct {
		doc   string
		limit int
		ok    bool
	}{
		{"[]", 0, true}, {"[1]", 0, false}, {"[1]", 1, true}, {"[1,2]", 1, false},
		{"[ 1 , 2 ]", 2, true}, {"[ 1 , 2 ]", 1, false}, {"[1,2,3,4,5]", 5, true}, {"[1,2,3,4,5]", 4, false},
	} {
		_, err := NewReader(strings.NewReader(c.doc)).Bytes(nil, c.limit)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrLong) {
			t.Errorf("Bytes of %s with limit %d: %v", c.doc, c.limit, err)
		}
	}
}

func TestReader_maxToken(t *testing.T) {
	for _, c := range []struct {
		length int
		ok     bool
	}{{Chunk, true}, {3 * Chunk, false}} {
		r := NewReader(strings.NewReader(`"` + strings.Repeat("x", c.length) + `"`))
		r.MaxToken = 2 * Chunk
		if text, err := r.String(); (err == nil) != c.ok || c.ok && len(text) != c.length {
			t.Errorf("a text of %d bytes: %d bytes, %v", c.length, len(text), err)
		}
	}
}

// FuzzBytes holds Bytes against encoding/json, whole and in single bytes.
func FuzzBytes(f *testing.F) {
	for _, doc := range []string{"[]", "[0,10,255]", " [ 1 ,\n2 ] ", "[1,]", "[256]", "[01]", "[-0]", "[1 2]", "[1e2]", "[", "[1"} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		var want []json.RawMessage
		good := json.Unmarshal(doc, &want) == nil && want != nil
		var bytesWanted []byte
		for _, raw := range want {
			var b uint8
			// encoding/json also takes null for a number, and -0.
			if json.Unmarshal(raw, &b) != nil || raw[0] == 'n' || raw[0] == '-' {
				good = false
			}
			bytesWanted = append(bytesWanted, b)
		}
		whole, single := NewReader(bytes.NewReader(doc)), NewReader(iotest.OneByteReader(bytes.NewReader(doc)))
		for _, r := range []*Reader{whole, single} {
			got, err := r.Bytes(nil, len(doc))
			if err == nil {
				err = r.Finish()
			}
			if (err == nil) != good || good && !bytes.Equal(got, bytesWanted) {
				t.Errorf("Bytes of %q = %v, %v, want %v, %v", doc, got, err, bytesWanted, good)
			}
		}
	})
}
