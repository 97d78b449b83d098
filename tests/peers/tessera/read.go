package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/client"
	"golang.org/x/mod/sumdb/note"
)

// question asks for an entry of the log as it was at a size, and for the proofs that it is there, and that the log now begins
// with what it was at an older size.
type question struct {
	Index, Size uint64
	Root        []byte
	Older       uint64
	OlderRoot   []byte
}

// answer holds what was worked out from the folder alone. The proofs were verified.
type answer struct {
	Entry       []byte   `json:"entry"`
	Inclusion   [][]byte `json:"inclusion"`
	Consistency [][]byte `json:"consistency"`
}

// read answers questions about the log, after its checkpoint was verified.
func read(folder, vkey string) error {
	ctx := context.Background()
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	source := &client.FileFetcher{Root: folder}
	now, _, _, err := client.FetchCheckpoint(ctx, source.ReadCheckpoint, verifier, verifier.Name())
	if err != nil {
		return err
	}
	latest, err := client.NewProofBuilder(ctx, now.Size, source.ReadTile)
	if err != nil {
		return err
	}
	questions := json.NewDecoder(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	for {
		var asked question
		if err := questions.Decode(&asked); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		given, err := include(ctx, source, asked)
		if err != nil {
			return fmt.Errorf("entry %d at %d: %w", asked.Index, asked.Size, err)
		}
		given.Consistency, err = latest.ConsistencyProof(ctx, asked.Older, now.Size)
		if err == nil {
			err = proof.VerifyConsistency(rfc6962.DefaultHasher, asked.Older, now.Size, given.Consistency, asked.OlderRoot, now.Hash)
		}
		if err != nil {
			return fmt.Errorf("since %d: %w", asked.Older, err)
		}
		if err := answers.Encode(given); err != nil {
			return err
		}
	}
}

func include(ctx context.Context, source *client.FileFetcher, asked question) (*answer, error) {
	bundle, err := client.GetEntryBundle(ctx, source.ReadEntryBundle, asked.Index/256, asked.Size)
	if err != nil {
		return nil, err
	}
	entry := bundle.Entries[asked.Index%256]
	builder, err := client.NewProofBuilder(ctx, asked.Size, source.ReadTile)
	if err != nil {
		return nil, err
	}
	inclusion, err := builder.InclusionProof(ctx, asked.Index)
	if err != nil {
		return nil, err
	}
	leaf := rfc6962.DefaultHasher.HashLeaf(entry)
	err = proof.VerifyInclusion(rfc6962.DefaultHasher, asked.Index, asked.Size, leaf, inclusion, asked.Root)
	return &answer{Entry: entry, Inclusion: inclusion}, err
}
