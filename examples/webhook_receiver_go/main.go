// Command webhook_receiver receives notices (webhooks) in Go, with the reference library of Standard Webhooks.
//
//	XUNJI_WEBHOOK_SECRET=whsec_… go run . 9000
//
// Each notice that is verified and new is written as a line of JSON. Three things matter, in this order: verify the
// exact bytes that came, drop what came before (webhook-id stays the same in every attempt), answer 2xx at once and do
// the work afterwards. Put a web server with a certificate in front of it: xunji posts to https only.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const (
	maxBodyBytes = 256 * 1024
	readTimeout  = 30 * time.Second
	// Ids that are remembered to drop repetitions; a real receiver keeps them in its database, with what it did.
	remembered = 10_000
)

type receiver struct {
	webhook *standardwebhooks.Webhook
	lock    sync.Mutex
	seen    map[string]bool
	order   []string
}

func (r *receiver) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(answer, request.Body, maxBodyBytes))
	if err != nil {
		answer.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	if err := r.webhook.Verify(body, request.Header); err != nil {
		answer.WriteHeader(http.StatusUnauthorized)
		return
	}
	isNew := r.remember(request.Header.Get("webhook-id"))
	answer.WriteHeader(http.StatusNoContent)
	if isNew {
		fmt.Println(string(body))
	}
}

// remember says whether the id is new.
func (r *receiver) remember(id string) bool {
	r.lock.Lock()
	defer r.lock.Unlock()
	if r.seen[id] {
		return false
	}
	r.seen[id] = true
	r.order = append(r.order, id)
	if len(r.order) > remembered {
		delete(r.seen, r.order[0])
		r.order = r.order[1:]
	}
	return true
}

func main() {
	webhook, err := standardwebhooks.NewWebhook(os.Getenv("XUNJI_WEBHOOK_SECRET"))
	if err != nil {
		log.Fatalf("XUNJI_WEBHOOK_SECRET: %v", err)
	}
	if len(os.Args) != 2 {
		log.Fatal("usage: webhook_receiver PORT")
	}
	server := http.Server{
		Addr:        "127.0.0.1:" + os.Args[1],
		Handler:     &receiver{webhook: webhook, seen: map[string]bool{}},
		ReadTimeout: readTimeout,
	}
	log.Fatal(server.ListenAndServe())
}
