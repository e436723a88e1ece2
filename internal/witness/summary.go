package witness

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"

	"github.com/verdict-bench/verdict/internal/sample"
)

// Summary says what a witness holds without holding it.
type Summary struct {
	// Counts are the numbers of distinct elements, null elements left out.
	sample.Counts
	// Digest identifies state, codes and headers as sets: two answers that
	// differ only in order, in repetitions, in null elements or in how they
	// are written have the same digest. It is part of the files on disk and
	// does not change between versions. With || for concatenation:
	//
	//	element(b) = SHA-256(b)
	//	part(name) = SHA-256("verdict/witness/v1/" || name || 0x00 || n ||
	//	             e1 || ... || en)
	//	Digest     = SHA-256("verdict/witness/v1" || 0x00 ||
	//	             part("state") || part("codes") || part("headers"))
	//
	// where e1 < ... < en are the distinct element hashes of the part in
	// ascending byte order, n is their number as 8 bytes, big-endian, and a
	// header counts as its RLP. Null elements (see Nulls) are left out. The
	// form is 0x and 64 lower-case digits.
	Digest string `json:"digest"`
	// KeysDigest is part("keys") in the same form. It stands apart because
	// clients differ in the keys they list for the same block.
	KeysDigest string `json:"keys_digest"`
	// Bytes are the sizes of the decoded parts as served, repetitions and
	// null elements included.
	Bytes Parts `json:"bytes"`
	// Nulls count elements that say nothing: the empty string, and among the
	// state the empty node 0x80.
	Nulls Parts `json:"nulls"`
	// Duplicates count elements equal to an earlier one of the same part.
	// Among the keys they are normal: two accounts may have the same slot.
	Duplicates Parts `json:"duplicates"`
}

// Parts holds one number for each part of a witness.
type Parts struct {
	State   int64 `json:"state"`
	Codes   int64 `json:"codes"`
	Keys    int64 `json:"keys"`
	Headers int64 `json:"headers"`
}

// Total is the sum over all parts.
func (p Parts) Total() int64 { return p.State + p.Codes + p.Keys + p.Headers }

func perPart(of func(part) int64) Parts {
	return Parts{State: of(state), Codes: of(codes), Keys: of(keys), Headers: of(headers)}
}

const digestDomain = "verdict/witness/v1"

// summer sums up elements as they come.
type summer struct {
	sets   [parts]set
	bytes  [parts]int64
	nulls  [parts]int64
	served [parts]int64 // without the nulls
}

func (s *summer) add(p part, b []byte) {
	s.bytes[p] += int64(len(b))
	if p.null(b) {
		s.nulls[p]++
		return
	}
	s.served[p]++
	s.sets[p].add(sha256.Sum256(b))
}

func (s *summer) summary() Summary {
	var digests [parts][sha256.Size]byte
	for p := range parts {
		digests[p] = s.sets[p].digest(p.String())
	}
	whole := sha256.New()
	whole.Write([]byte(digestDomain + "\x00"))
	for _, p := range [...]part{state, codes, headers} {
		whole.Write(digests[p][:])
	}
	count := func(p part) int { return len(s.sets[p].sums) }
	return Summary{
		Counts: sample.Counts{
			StateNodes: count(state),
			Codes:      count(codes),
			Keys:       count(keys),
			Headers:    count(headers),
		},
		Digest:     "0x" + hex.EncodeToString(whole.Sum(nil)),
		KeysDigest: "0x" + hex.EncodeToString(digests[keys][:]),
		Bytes:      perPart(func(p part) int64 { return s.bytes[p] }),
		Nulls:      perPart(func(p part) int64 { return s.nulls[p] }),
		Duplicates: perPart(func(p part) int64 { return s.served[p] - int64(count(p)) }),
	}
}

// set collects hashes. Repetitions are taken out when it would otherwise grow,
// so that its size follows the number of distinct hashes.
type set struct {
	sums [][sha256.Size]byte
}

func (s *set) add(sum [sha256.Size]byte) {
	if len(s.sums) == cap(s.sums) {
		s.compact()
		if len(s.sums) > cap(s.sums)/2 || cap(s.sums) == 0 {
			s.sums = slices.Grow(s.sums, max(64, len(s.sums)/2))
		}
	}
	s.sums = append(s.sums, sum)
}

// compact sorts the set and drops repetitions.
func (s *set) compact() {
	slices.SortFunc(s.sums, func(a, b [sha256.Size]byte) int { return bytes.Compare(a[:], b[:]) })
	s.sums = slices.Compact(s.sums)
}

func (s *set) digest(name string) (sum [sha256.Size]byte) {
	s.compact()
	h := sha256.New()
	h.Write([]byte(digestDomain + "/" + name + "\x00"))
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s.sums))))
	for i := range s.sums {
		h.Write(s.sums[i][:])
	}
	h.Sum(sum[:0])
	return sum
}
