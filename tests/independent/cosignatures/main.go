// Command cosignatures checks the countersignatures of our witnesses, and countersigns as one, with
// github.com/transparency-dev/formats.
//
// It reads one JSON document from standard input. With `witness_key` it writes the time of each checkpoint's
// cosignature, in seconds; with `secret_key` it writes the signature line for each. Whatever does not hold ends it with
// status 1.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	cosigned "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

type document struct {
	VerifierKey string   `json:"verifier_key"`
	WitnessKey  string   `json:"witness_key"`
	SecretKey   string   `json:"secret_key"`
	Checkpoints []string `json:"checkpoints"`
}

func main() {
	var given document
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		fail("the document: %v", err)
	}
	log, err := note.NewVerifier(given.VerifierKey)
	if err != nil {
		fail("verifier key: %v", err)
	}
	for _, text := range given.Checkpoints {
		if given.SecretKey != "" {
			sign(text, log, given.SecretKey)
		} else {
			verify(text, log, given.WitnessKey)
		}
	}
}

func verify(text string, log note.Verifier, key string) {
	witness, err := cosigned.NewVerifierForCosignatureV1(key)
	if err != nil {
		fail("witness key: %v", err)
	}
	opened, err := note.Open([]byte(text), note.VerifierList(log, witness))
	if err != nil {
		fail("note: %v", err)
	}
	if len(opened.Sigs) != 2 {
		fail("%d signatures hold, of the log's and the witness's", len(opened.Sigs))
	}
	for _, each := range opened.Sigs {
		if each.Name == witness.Name() && each.Hash == witness.KeyHash() {
			at, err := cosigned.CoSigV1Timestamp(each)
			if err != nil {
				fail("time: %v", err)
			}
			fmt.Println(at.Unix())
		}
	}
}

func sign(text string, log note.Verifier, key string) {
	opened, err := note.Open([]byte(text), note.VerifierList(log))
	if err != nil {
		fail("note: %v", err)
	}
	signer, err := cosigned.NewSignerForCosignatureV1(key)
	if err != nil {
		fail("secret key: %v", err)
	}
	signed, err := note.Sign(&note.Note{Text: opened.Text}, signer)
	if err != nil {
		fail("signing: %v", err)
	}
	_, line, _ := strings.Cut(string(signed), "\n\n")
	fmt.Print(line)
}

func fail(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", arguments...)
	os.Exit(1)
}
