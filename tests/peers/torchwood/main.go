// Command torchwood asks filippo.io/torchwood, the reference of C2SP's tlog-policy and tlog-cosignature, for its opinion;
// and makes a log known to a litewitness, as its witnessctl does (which needs more modules than we want to pin).
package main

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"os"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

const usage = `usage: torchwood verify POLICY CHECKPOINT   who signed it, once the policy is satisfied
       torchwood judge                      a line "POLICY CHECKPOINT", both in base64, a line of answer each
       torchwood add-log DATABASE ORIGIN VKEY`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "verify":
		policy, err := os.ReadFile(args[1])
		if err != nil {
			return err
		}
		checkpoint, err := os.ReadFile(args[2])
		if err != nil {
			return err
		}
		said, err := verify(policy, checkpoint)
		if err == nil {
			fmt.Print(said)
		}
		return err
	case len(args) == 1 && args[0] == "judge":
		return judge()
	case len(args) == 4 && args[0] == "add-log":
		return addLog(args[1], args[2], args[3])
	}
	fmt.Fprintln(os.Stderr, usage)
	os.Exit(2)
	return nil
}

func verify(text, checkpoint []byte) (said string, err error) {
	// ParsePolicy panics at a line of nothing but a space of another alphabet.
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v", cause)
		}
	}()
	policy, err := torchwood.ParsePolicy(text)
	if err != nil {
		return "", fmt.Errorf("policy: %w", err)
	}
	opened, err := note.Open(checkpoint, policy)
	if err != nil {
		return "", fmt.Errorf("note: %w", err)
	}
	parsed, err := torchwood.ParseCheckpoint(opened.Text)
	if err != nil {
		return "", fmt.Errorf("checkpoint: %w", err)
	}
	if err := policy.Check(parsed.Origin, opened.Sigs); err != nil {
		return "", fmt.Errorf("quorum: %w", err)
	}
	said = fmt.Sprintf("%s %d\n", parsed.Origin, parsed.N)
	for _, sig := range opened.Sigs {
		if at, err := torchwood.CosignatureTimestamp(sig); err == nil && sig.Name != parsed.Origin {
			said += fmt.Sprintf("%s %s\n", sig.Name, time.Unix(at, 0).UTC().Format(time.RFC3339))
		}
	}
	return said, nil
}

func judge() error {
	in, out := bufio.NewScanner(os.Stdin), bufio.NewWriter(os.Stdout)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var first, second string
		if _, err := fmt.Sscan(in.Text(), &first, &second); err != nil {
			return err
		}
		policy, err := base64.StdEncoding.DecodeString(first)
		if err != nil {
			return err
		}
		checkpoint, err := base64.StdEncoding.DecodeString(second)
		if err != nil {
			return err
		}
		if _, err := verify(policy, checkpoint); err != nil {
			fmt.Fprintf(out, "%q\n", err.Error())
		} else {
			fmt.Fprintln(out, "satisfied")
		}
	}
	if err := in.Err(); err != nil {
		return err
	}
	return out.Flush()
}

func addLog(database, origin, vkey string) error {
	if _, err := note.NewVerifier(vkey); err != nil {
		return err
	}
	db, err := sqlite.OpenConn(database, sqlite.OpenReadWrite)
	if err != nil {
		return err
	}
	defer db.Close()
	const empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
	do := func(query string, args ...any) error {
		return sqlitex.Execute(db, query, &sqlitex.ExecOptions{Args: args})
	}
	if err := do("INSERT INTO log (origin, tree_size, tree_hash) VALUES (?, 0, ?)", origin, empty); err != nil {
		return err
	}
	return do("INSERT INTO key (origin, key) VALUES (?, ?)", origin, vkey)
}
