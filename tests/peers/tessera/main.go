// Tessera, as its users have it: its client and fsck on a folder of ours, and its POSIX driver for comparison.
//
//	tessera read FOLDER VKEY < QUESTIONS
//	tessera fsck FOLDER VKEY
//	tessera add FOLDER WRITERS SECONDS published|integrated
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "read":
		return read(args[1], args[2])
	case len(args) == 3 && args[0] == "fsck":
		return check(args[1], args[2])
	case len(args) == 5 && args[0] == "add":
		return add(args[1], args[2], args[3], args[4])
	}
	return fmt.Errorf("usage: tessera read|fsck FOLDER VKEY, or tessera add FOLDER WRITERS SECONDS published|integrated")
}

// check works the whole log out again, from its entries.
func check(folder, vkey string) error {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	source := &client.FileFetcher{Root: folder}
	return fsck.New(verifier.Name(), verifier, source, leafHashes, fsck.Opts{N: 2}).Check(context.Background())
}

func leafHashes(bundle []byte) ([][]byte, error) {
	entries := &api.EntryBundle{}
	if err := entries.UnmarshalText(bundle); err != nil {
		return nil, err
	}
	var hashes [][]byte
	for _, entry := range entries.Entries {
		hashes = append(hashes, rfc6962.DefaultHasher.HashLeaf(entry))
	}
	return hashes, nil
}
