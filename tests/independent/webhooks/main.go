// Command webhooks verifies messages with the reference library of Standard Webhooks for Go.
//
// It reads one JSON document from standard input and writes the type of each message that is verified, or ends with
// status 1 and what is wrong. It shares no code with xunji.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

type document struct {
	// Secret is the whsec_… text that the receiver holds.
	Secret   string    `json:"secret"`
	Messages []message `json:"messages"`
}

type message struct {
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

func main() {
	var given document
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		fail("the document: %v", err)
	}
	receiver, err := standardwebhooks.NewWebhook(given.Secret)
	if err != nil {
		fail("the secret: %v", err)
	}
	for _, each := range given.Messages {
		headers := http.Header{}
		for name, value := range each.Headers {
			headers.Set(name, value)
		}
		if err := receiver.Verify([]byte(each.Body), headers); err != nil {
			fail("%s: %v", each.Headers["webhook-id"], err)
		}
		var payload struct {
			Type string `json:"type"`
		}
		if err := json.Unmarshal([]byte(each.Body), &payload); err != nil {
			fail("the body: %v", err)
		}
		fmt.Println(payload.Type)
	}
}

func fail(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", arguments...)
	os.Exit(1)
}
