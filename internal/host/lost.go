package host

import (
	"strings"

	"github.com/verdict-bench/verdict/internal/fault"
)

// cures are what ssh says when trying again will not help, in the order in
// which they are looked for: the first that is found is the cause, and what
// follows it in ssh's messages a consequence.
var cures = []struct {
	// said is part of a line; why replaces that line where it says more.
	said, why string
	// hint is for the alias NAME.
	hint string
}{
	{"REMOTE HOST IDENTIFICATION HAS CHANGED", "the host key has changed: it is another machine, a new installation, or an attack",
		"if you know why it has changed: ssh-keygen -R HOSTNAME, and then: ssh NAME"},
	{"host key is known for", "its host key is not known on this machine",
		"connect once by hand and compare the fingerprint: ssh NAME"},
	{"Host key verification failed", "the host key is not accepted", "ssh NAME"},
	{"UNPROTECTED PRIVATE KEY FILE", "the private key can be read by others, so ssh does not use it",
		"chmod 600 the key file that this names: ssh NAME"},
	{"Bad owner or permissions on", "", "make the file yours, and: chmod 600 FILE"},
	{"Can't open user config file", "", ""},
	{"bad configuration options", "", "ssh -G NAME"},
	{"Bad configuration option", "", "ssh -G NAME"},
	{"Could not resolve hostname", "", "give it an entry in ~/.ssh/config, or check the spelling: ssh NAME"},
	{"ermission denied", "", "this must work and not ask: ssh -o BatchMode=yes NAME true (ssh-add loads a key)"},
	{"Too many authentication failures", "", "name the key for this host in ~/.ssh/config: IdentityFile and IdentitiesOnly yes"},
	{"Unable to negotiate", "", "ssh -v NAME"},
}

// lost is the error of a connection about which ssh said lines.
func lost(alias string, lines []string) error {
	e := &LostError{Host: alias, Why: "ssh ended without a message"}
	if len(lines) > 0 {
		e.Why = clean(lines[len(lines)-1])
	}
	hint := "ssh NAME true"
	for _, cure := range cures {
		line := said(lines, cure.said)
		if line == "" {
			continue
		}
		// A name service that does not answer may answer later.
		e.Hopeless = !strings.Contains(line, "emporary failure")
		if e.Why, hint = clean(line), cure.hint; cure.why != "" {
			e.Why = cure.why
		}
		break
	}
	err := fault.Newf(fault.Prerequisite, "%w", e)
	if hint == "" {
		return err
	}
	return err.Hint("%s", strings.ReplaceAll(hint, "NAME", alias))
}

// said is the first line that holds part.
func said(lines []string, part string) string {
	for _, line := range lines {
		if strings.Contains(line, part) {
			return line
		}
	}
	return ""
}

// clean is a line of ssh without what only ssh needs.
func clean(line string) string {
	line = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, line)
	return strings.TrimPrefix(strings.TrimSpace(line), "ssh: ")
}
