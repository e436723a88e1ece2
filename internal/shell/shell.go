// Package shell writes values into shell scripts. Every value that comes from a
// user or a server, a ref, a path, a host, a network, goes through Quote, Path
// or Join on its way into a script; no other package builds one by hand.
package shell

import "strings"

// Quote is s as one word of a POSIX shell: the shell reads back exactly s,
// whatever bytes it holds. A NUL byte, which no argument can hold, is left out.
func Quote(s string) string {
	s = strings.ReplaceAll(s, "\x00", "")
	if s != "" && strings.IndexFunc(s, special) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// special reports whether a shell may read r as more than itself. A tilde and
// an equals sign matter at some places only; they are quoted at all.
func special(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return false
	}
	return !strings.ContainsRune("_-./:,+@%", r)
}

// Path is a path on a host as one word. A leading ~/ stands for the home
// directory there, and everything behind it for itself.
func Path(p string) string {
	if p == "~" {
		return `"$HOME"`
	}
	if rest, ok := strings.CutPrefix(p, "~/"); ok {
		if rest == "" {
			return `"$HOME"/`
		}
		return `"$HOME"/` + Quote(rest)
	}
	return Quote(p)
}

// Join is an argument vector as one command.
func Join(argv ...string) string {
	words := make([]string, len(argv))
	for i, arg := range argv {
		words[i] = Quote(arg)
	}
	return strings.Join(words, " ")
}
