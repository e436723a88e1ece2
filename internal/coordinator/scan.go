package coordinator

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
)

// Limits of what a Scanner keeps; what is longer is counted and passed over.
const (
	maxKept  = 512
	maxDepth = 512
)

// A Scanner reads a document of the protocol in pieces and keeps what names it:
// the tag, the small fields directly below it, and where its input stands. It
// builds no tree and its memory does not grow with the document. What is inside
// a field is not judged beyond its brackets and quotes, so that inputs of any
// version pass.
//
// It is an io.Writer that takes everything; what is wrong with the document is
// said by Message.
type Scanner struct {
	state state
	// level counts the open objects that are read field by field: 0 outside the
	// document, 1 among its tags, 2 among the fields of a tag.
	level int
	// closers are the brackets that the value below that level waits for.
	closers []byte
	escaped bool
	offset  int64
	bad     error

	// kept is the text of the key or value that is being read, complete unless
	// it is cut; begin is its offset.
	kept  []byte
	cut   bool
	begin int64

	key    string
	tags   int
	tag    string
	fields []field
}

// field is one field directly below the tag; raw is nil when it is long.
type field struct {
	name       string
	begin, end int64
	raw        []byte
}

type state int

const (
	wantValue state = iota
	wantKeyOrEnd
	wantKey
	wantColon
	wantCommaOrEnd
	inKey
	inText
	inLiteral
	inDeep
	inDeepText
	wantNothing
)

// Write reads the next piece of the document.
func (s *Scanner) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0 && s.bad == nil; {
		n := s.step(rest)
		rest = rest[n:]
		s.offset += int64(n)
	}
	return len(p), nil
}

// step reads at least one byte unless it only ends a literal, whose delimiter
// belongs to the next state.
func (s *Scanner) step(p []byte) int {
	c := p[0]
	switch s.state {
	case inKey, inText:
		return s.text(p)
	case inDeep:
		return s.deep(p)
	case inDeepText:
		return s.deepText(p)
	case inLiteral:
		if !isSpace(c) && c != ',' && c != '}' && c != ']' {
			s.keep(p[:1])
			return 1
		}
		s.endLiteral()
		return 0
	}
	if isSpace(c) {
		return 1
	}
	switch {
	case s.state == wantValue:
		s.startValue(c)
	case (s.state == wantKey || s.state == wantKeyOrEnd) && c == '"':
		s.start(inKey, c)
	case s.state == wantColon && c == ':':
		s.state = wantValue
	case s.state == wantCommaOrEnd && c == ',':
		s.state = wantKey
	case (s.state == wantCommaOrEnd || s.state == wantKeyOrEnd) && c == '}':
		s.level--
		s.endObject()
	default:
		s.unexpected(c)
	}
	return 1
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

func (s *Scanner) unexpected(c byte) {
	s.bad = fmt.Errorf("byte %d: unexpected %q", s.offset, c)
}

// start begins a key or value with its first byte.
func (s *Scanner) start(st state, c byte) {
	s.state, s.begin, s.cut = st, s.offset, false
	s.kept = append(s.kept[:0], c)
}

// keep remembers the next bytes of the key or value, as far as they are kept.
func (s *Scanner) keep(p []byte) {
	room := maxKept - len(s.kept)
	if len(p) > room {
		p, s.cut = p[:room], true
	}
	s.kept = append(s.kept, p...)
}

func (s *Scanner) startValue(c byte) {
	switch {
	case c == '{' && s.level < 2:
		s.level++
		s.state = wantKeyOrEnd
	case c == '{':
		s.start(inDeep, c)
		s.closers = append(s.closers[:0], '}')
	case c == '[':
		s.start(inDeep, c)
		s.closers = append(s.closers[:0], ']')
	case c == '"':
		s.start(inText, c)
	case c == ',' || c == ':' || c == '}' || c == ']':
		s.unexpected(c)
	default:
		s.start(inLiteral, c)
	}
}

// text reads a key or a text value up to its closing quote.
func (s *Scanner) text(p []byte) int {
	for i, c := range p {
		switch {
		case s.escaped:
			s.escaped = false
		case c == '\\':
			s.escaped = true
		case c == '"':
			s.keep(p[:i+1])
			s.offset += int64(i + 1)
			s.endText()
			s.offset -= int64(i + 1)
			return i + 1
		}
	}
	s.keep(p)
	return len(p)
}

// endText takes what was kept, with the offset behind the closing quote.
func (s *Scanner) endText() {
	var text string
	if !s.cut {
		if err := json.Unmarshal(s.kept, &text); err != nil {
			s.bad = fmt.Errorf("byte %d: malformed text: %w", s.begin, err)
			return
		}
	}
	if s.state == inText {
		if s.level == 0 && !s.cut {
			s.tag, s.tags = text, 1
		}
		s.endValue()
		return
	}
	s.state = wantColon
	s.key = text
	if s.level == 1 {
		if s.tags++; s.tags == 1 {
			s.tag = text
		}
	}
}

func (s *Scanner) endLiteral() {
	if !s.cut && !json.Valid(s.kept) {
		s.bad = fmt.Errorf("byte %d: malformed value %q", s.begin, s.kept)
		return
	}
	s.endValue()
}

// endValue takes a text, literal or bracketed value that ends at the offset.
func (s *Scanner) endValue() {
	if s.level == 2 && s.tags == 1 && slices.Contains(wanted, s.key) {
		f := field{name: s.key, begin: s.begin, end: s.offset}
		if !s.cut {
			f.raw = slices.Clone(s.kept)
		}
		if slices.ContainsFunc(s.fields, func(o field) bool { return o.name == f.name }) {
			s.bad = fmt.Errorf("byte %d: a second %s", s.begin, f.name)
			return
		}
		s.fields = append(s.fields, f)
	}
	s.endObject()
}

// endObject sets what follows a value at this level.
func (s *Scanner) endObject() {
	s.state = wantCommaOrEnd
	if s.level == 0 {
		s.state = wantNothing
	}
}

// structural marks the bytes that matter inside a bracketed value.
var structural = [256]bool{'"': true, '[': true, ']': true, '{': true, '}': true}

// plain is the length of a beginning of p without structural bytes, in steps of
// eight: every one of them has the bit 0x40, except the quote, and no digit,
// comma or blank has it.
func plain(p []byte) int {
	const ones = 0x0101010101010101
	i := 0
	for ; i+8 <= len(p); i += 8 {
		x := binary.LittleEndian.Uint64(p[i:])
		quotes := x ^ '"'*ones
		if x&(0x40*ones) != 0 || (quotes-ones)&^quotes&(0x80*ones) != 0 {
			break
		}
	}
	return i
}

// deep reads inside brackets. Inputs are almost all numbers and commas, which
// are passed over eight at a time.
func (s *Scanner) deep(p []byte) int {
	i := plain(p)
	for i < len(p) && !structural[p[i]] {
		i++
	}
	if i == len(p) {
		s.keep(p)
		return i
	}
	s.keep(p[:i+1])
	switch c := p[i]; c {
	case '"':
		s.state = inDeepText
	case '[', '{':
		if len(s.closers) == maxDepth {
			s.bad = fmt.Errorf("byte %d: nested deeper than %d", s.offset+int64(i), maxDepth)
			return i + 1
		}
		s.closers = append(s.closers, c+2) // ] and } stand two behind [ and {
	default:
		last := len(s.closers) - 1
		if s.closers[last] != c {
			s.bad = fmt.Errorf("byte %d: unexpected %q", s.offset+int64(i), c)
			return i + 1
		}
		if s.closers = s.closers[:last]; last == 0 {
			s.offset += int64(i + 1)
			s.endValue()
			s.offset -= int64(i + 1)
		}
	}
	return i + 1
}

func (s *Scanner) deepText(p []byte) int {
	if s.escaped {
		s.escaped = false
		s.keep(p[:1])
		return 1
	}
	end := bytes.IndexByte(p, '"')
	n := end + 1
	if end < 0 {
		n = len(p)
	}
	if i := bytes.IndexByte(p[:n], '\\'); i >= 0 {
		s.escaped = true
		s.keep(p[:i+1])
		return i + 1
	}
	if end >= 0 {
		s.state = inDeep
	}
	s.keep(p[:n])
	return n
}

// Message says what the document was, once all of it was written. The error
// says where it is malformed or that it ends too soon; what was understood up
// to there is in the message.
func (s *Scanner) Message() (Message, error) {
	if s.bad == nil && s.level == 0 && s.state == inLiteral {
		s.endLiteral()
	}
	m := s.message()
	switch {
	case s.bad != nil:
		return m, fmt.Errorf("malformed document: %w", s.bad)
	case s.state == wantValue && s.level == 0:
		m.Kind = Empty
	case s.state != wantNothing:
		return m, fmt.Errorf("the document ends too soon, after %d bytes", s.offset)
	}
	return m, nil
}
