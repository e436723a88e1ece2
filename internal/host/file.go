package host

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// readScript prints one line about $file, "missing" or its size, and then what it
// holds from $offset on, at most $limit bytes. tail seeks in a regular file.
const readScript = `
if ! [ -e "$file" ]; then echo missing; exit; fi
if ! [ -f "$file" ]; then echo "$file: not a regular file" >&2; exit 1; fi
size=$(wc -c <"$file") || exit
echo $((size))
if [ "$size" -le "$offset" ]; then exit; fi
tail -c +$((offset + 1)) -- "$file" | head -c "$limit"
`

// sums defines a function that prints the SHA-256 of its standard input.
const sums = `
sum() {
	if command -v sha256sum >/dev/null; then sha256sum
	elif command -v shasum >/dev/null; then shasum -a 256
	elif command -v openssl >/dev/null; then openssl dgst -sha256 -r
	else echo "sha256sum, shasum or openssl is needed" >&2; return 1
	fi | { read -r first rest; echo "$first"; }
}
`

// describeScript prints the size and the SHA-256 of $file, or "missing".
const describeScript = `
if ! [ -e "$file" ]; then echo missing; exit; fi
if ! [ -f "$file" ]; then echo "$file: not a regular file" >&2; exit 1; fi
size=$(wc -c <"$file") || exit
echo "$((size)) $(head -c "$size" -- "$file" | sum)"
`

// receiveScript writes standard input to $file, if it is what was sent: a connection
// that breaks looks like the end of the file.
const receiveScript = `
if [ -d "$file" ]; then echo "$file: is a directory" >&2; exit 1; fi
umask 077
mkdir -p -- "$dir" || exit
trap 'rm -f -- "$new"' EXIT
if ! cat >"$new"; then
	df -h -- "$dir" >&2
	exit 1
fi
got=$(sum <"$new") || exit
if [ "$got" != "$want" ]; then
	echo "$file: arrived with SHA-256 $got, sent was $want" >&2
	exit 1
fi
chmod "$mode" -- "$new" && mv -f -- "$new" "$file" || exit
trap - EXIT
`

// ReadFrom returns what the file holds from offset on, at most limit bytes.
func (m *Machine) ReadFrom(ctx context.Context, path string, offset int64, limit int) ([]byte, error) {
	if offset < 0 || limit < 0 {
		return nil, fmt.Errorf("%s: %s: offset %d and limit %d cannot be read", m.name, path, offset, limit)
	}
	out, err := m.Run(ctx, fmt.Sprintf("file=%s\noffset=%d\nlimit=%d\n", word(path), offset, limit)+readScript)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	line, data, _ := bytes.Cut(out, []byte("\n"))
	if string(line) == "missing" {
		return nil, m.missing(path)
	}
	size, err := strconv.ParseInt(string(line), 10, 64)
	if err != nil {
		return nil, unexpected(m.name, "read", line)
	}
	if size < offset {
		return nil, &ShrunkError{Path: path, Size: size, Offset: offset}
	}
	return data, nil
}

func (m *Machine) missing(path string) error {
	return fmt.Errorf("%s: %s: %w", m.name, path, fs.ErrNotExist)
}

// Put copies a file of this machine there. The directory is made when missing.
func (m *Machine) Put(ctx context.Context, local, remote string, mode fs.FileMode) error {
	file, err := os.Open(local)
	if err != nil {
		return err
	}
	defer file.Close()
	want, err := sumOf(file)
	if err != nil {
		return err
	}
	octal := fmt.Sprintf("%04o", mode.Perm())
	_, have, err := m.describe(ctx, remote)
	switch {
	case err == nil && have == want:
		_, err = m.Run(ctx, "chmod "+octal+" -- "+word(remote))
		return m.copying(local, remote, err)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return m.copying(local, remote, err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	target := word(remote)
	script := "file=" + target + "\ndir=$(dirname -- \"$file\")\nnew=$file.verdict-$BASHPID\n" +
		"want=" + want + "\nmode=" + octal + "\n" + sums + receiveScript
	return m.copying(local, remote, m.execute(ctx, script, file, io.Discard))
}

// copying says what an error was about.
func (m *Machine) copying(local, remote string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("copying %s to %s:%s: %w", local, m.name, remote, err)
}

// describe is the size in bytes and the SHA-256 of a file there.
func (m *Machine) describe(ctx context.Context, path string) (size int64, sum string, err error) {
	out, err := m.Run(ctx, "file="+word(path)+"\n"+sums+describeScript)
	if err != nil {
		return 0, "", err
	}
	line := strings.TrimSpace(string(out))
	if line == "missing" {
		return 0, "", m.missing(path)
	}
	number, sum, _ := strings.Cut(line, " ")
	if size, err = strconv.ParseInt(number, 10, 64); err != nil || len(sum) != 2*sha256.Size {
		return 0, "", unexpected(m.name, "sum", out)
	}
	return size, sum, nil
}

// Fetch copies a file from there. Of one that grows, it is what was there at
// the beginning.
func (m *Machine) Fetch(ctx context.Context, remote, local string) error {
	if err := m.fetch(ctx, remote, local); err != nil {
		return fmt.Errorf("copying %s:%s to %s: %w", m.name, remote, local, err)
	}
	return nil
}

func (m *Machine) fetch(ctx context.Context, remote, local string) (err error) {
	size, want, err := m.describe(ctx, remote)
	if err != nil {
		return err
	}
	if same(local, want) {
		return nil
	}
	file, err := os.CreateTemp(filepath.Dir(local), filepath.Base(local)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(file.Name())
		}
	}()
	sum := sha256.New()
	script := fmt.Sprintf("head -c %d -- %s", size, word(remote))
	err = m.execute(ctx, script, nil, io.MultiWriter(file, sum))
	if err = errors.Join(err, file.Chmod(0o644), file.Close()); err != nil {
		return err
	}
	if got := sumText(sum); got != want {
		return fmt.Errorf("arrived with SHA-256 %s, sent was %s", got, want)
	}
	return os.Rename(file.Name(), local)
}

// same reports whether the local file has that sum.
func same(path, want string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	got, err := sumOf(file)
	return err == nil && got == want
}

func sumOf(r io.Reader) (string, error) {
	h := sha256.New()
	_, err := io.Copy(h, r)
	return sumText(h), err
}

func sumText(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
