// summarise-tool is a tool of an agent: it says what a text is about. It runs beside the agent, in the same
// pod, and gets none of what the agent gets.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/perpro/perpro/examples/agents/internal/holdings"
	"github.com/perpro/perpro/examples/agents/internal/summary"
)

// Only the containers of the pod reach it.
const address = "127.0.0.1:8080"

// A ConfigMap holds no more.
const longest = 1 << 20

func main() {
	var err error
	switch {
	case len(os.Args) == 1:
		err = serve()
	case len(os.Args) == 2 && os.Args[1] == "self":
		err = ask()
	default:
		err = errors.New("usage: summarise-tool [self]")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func serve() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	server := &http.Server{Addr: address, Handler: handler(), ReadTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /summarise", func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, longest))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer(w, summary.Of(string(text)))
	})
	mux.HandleFunc("GET /self", func(w http.ResponseWriter, _ *http.Request) {
		held, err := holdings.Of(os.DirFS("/"), os.Environ())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer(w, held)
	})
	return mux
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

// ask lets the running server say what it holds, for `kubectl exec`: the image has no shell and no curl.
func ask() error {
	response, err := http.Get("http://" + address + "/self")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(os.Stdout, response.Body)
	return err
}
