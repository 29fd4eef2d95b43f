// Command proofs checks what xunji signs and proves with libraries that others have written: signed notes with
// golang.org/x/mod/sumdb/note, Merkle proofs with github.com/transparency-dev/merkle.
//
// It reads one JSON document from standard input and writes one line per statement that holds, or ends with status 1
// and what does not hold. It shares no code with xunji and takes nothing from its database.
package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
)

type document struct {
	// VerifierKeys are the keys of which one at least must have signed each checkpoint.
	VerifierKeys []string `json:"verifier_keys"`
	// Checkpoints are signed notes, by the size they say.
	Checkpoints []string      `json:"checkpoints"`
	Inclusion   []inclusion   `json:"inclusion"`
	Consistency []consistency `json:"consistency"`
	// Events, if given, are all of the book's, from which the root of each checkpoint is computed anew.
	Events []string `json:"events"`
}

type inclusion struct {
	Event    string   `json:"event"`
	Sequence uint64   `json:"sequence"`
	Size     uint64   `json:"size"`
	Hashes   []string `json:"hashes"`
}

type consistency struct {
	First  uint64   `json:"first"`
	Second uint64   `json:"second"`
	Hashes []string `json:"hashes"`
}

func main() {
	var given document
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		fail("the document: %v", err)
	}
	roots := map[uint64][]byte{}
	for _, text := range given.Checkpoints {
		size, root := open(text, given.VerifierKeys)
		roots[size] = root
		fmt.Printf("checkpoint %d\n", size)
	}
	for _, each := range given.Inclusion {
		leaf := rfc6962.DefaultHasher.HashLeaf([]byte(each.Event))
		err := proof.VerifyInclusion(
			rfc6962.DefaultHasher, each.Sequence-1, each.Size, leaf, decode(each.Hashes), roots[each.Size])
		if err != nil {
			fail("inclusion of %d in %d: %v", each.Sequence, each.Size, err)
		}
		fmt.Printf("inclusion %d %d\n", each.Sequence, each.Size)
	}
	for _, each := range given.Consistency {
		err := proof.VerifyConsistency(
			rfc6962.DefaultHasher, each.First, each.Second, decode(each.Hashes), roots[each.First], roots[each.Second])
		if err != nil {
			fail("consistency of %d with %d: %v", each.First, each.Second, err)
		}
		fmt.Printf("consistency %d %d\n", each.First, each.Second)
	}
	if len(given.Events) > 0 {
		for size, root := range roots {
			if computed := rootOf(given.Events[:size]); string(computed) != string(root) {
				fail("root of %d: computed %x, signed %x", size, computed, root)
			}
			fmt.Printf("root %d\n", size)
		}
	}
}

// open gives size and root of a checkpoint that one of the keys has signed.
func open(text string, keys []string) (uint64, []byte) {
	var verifiers []note.Verifier
	for _, key := range keys {
		verifier, err := note.NewVerifier(key)
		if err != nil {
			fail("verifier key: %v", err)
		}
		verifiers = append(verifiers, verifier)
	}
	opened, err := note.Open([]byte(text), note.VerifierList(verifiers...))
	if err != nil {
		fail("note: %v", err)
	}
	lines := strings.Split(opened.Text, "\n")
	if lines[0] != opened.Sigs[0].Name {
		fail("note: the origin %q is not the signer %q", lines[0], opened.Sigs[0].Name)
	}
	size, err := strconv.ParseUint(lines[1], 10, 64)
	if err != nil {
		fail("size: %v", err)
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != rfc6962.DefaultHasher.Size() {
		fail("root of %d: %v", size, err)
	}
	return size, root
}

// rootOf computes the tree's root by the RFC's own definition, from the events' bytes.
func rootOf(events []string) []byte {
	if len(events) == 0 {
		return rfc6962.DefaultHasher.EmptyRoot()
	}
	if len(events) == 1 {
		return rfc6962.DefaultHasher.HashLeaf([]byte(events[0]))
	}
	left := 1
	for left*2 < len(events) {
		left *= 2
	}
	return rfc6962.DefaultHasher.HashChildren(rootOf(events[:left]), rootOf(events[left:]))
}

func decode(hashes []string) [][]byte {
	var decoded [][]byte
	for _, text := range hashes {
		hash, err := hex.DecodeString(text)
		if err != nil {
			fail("hash: %v", err)
		}
		decoded = append(decoded, hash)
	}
	return decoded
}

func fail(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", arguments...)
	os.Exit(1)
}
