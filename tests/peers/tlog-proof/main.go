// Asks torchwood about receipts (c2sp.org/tlog-proof).
//
//	tlog-proof VKEY < CASES
//
// A case is a line of JSON: the receipt and the entry. For each a line is printed: ok, or why not.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"os"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	verifier, err := note.NewVerifier(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	policy := torchwood.ThresholdPolicy(2, torchwood.OriginPolicy(verifier.Name()), torchwood.SingleVerifierPolicy(verifier))
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var asked struct{ Receipt, Entry []byte }
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			log.Fatal(err)
		}
		if err := torchwood.VerifyProof(policy, tlog.RecordHash(asked.Entry), asked.Receipt); err != nil {
			fmt.Printf("%q\n", err)
			continue
		}
		fmt.Println("ok")
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
}
