// Package agent is what the agents of the examples have in common: a client made of what the pod has, one round
// of work after another, and the questions that a person can have a running agent answer with `kubectl exec`.
package agent

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/perpro/perpro/examples/agents/internal/holdings"
)

// Where every client library for Kubernetes looks.
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount/"

// From the end of one round to the next.
const pause = 3 * time.Second

const usage = `usage: %[1]s
  Work, one round after another.
usage: %[1]s try --namespace N --configmap C
  Ask for a ConfigMap, and print what the API server answered.
usage: %[1]s self
  List what this container holds; never the values.
usage: %[1]s show-token
  Print the token. For the demo only, which shows that it is worth nothing once its pod has ended.
`

// Round does one piece of work in the agent's own namespace, and returns what to log of it.
type Round func(ctx context.Context, client kubernetes.Interface, namespace string) ([]slog.Attr, error)

// Main runs the program.
func Main(round Round) {
	if err := run(round, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(round Round, args []string) error {
	verb := ""
	if len(args) > 0 {
		verb = args[0]
	}
	switch {
	case len(args) == 0:
		return work(round)
	case verb == "try":
		return try(args[1:])
	case verb == "self" && len(args) == 1:
		held, err := holdings.Of(os.DirFS("/"), os.Environ())
		return printed(held, err)
	case verb == "show-token" && len(args) == 1:
		return showToken()
	}
	fmt.Fprintf(os.Stderr, usage, os.Args[0])
	return errors.New("nothing done")
}

// work goes on until the pod ends. A round that fails is told and tried again.
func work(round Round) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	client, namespace, err := surroundings()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	for {
		attrs, err := round(ctx, client, namespace)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			log.Error("round failed", "error", err.Error())
		default:
			log.LogAttrs(ctx, slog.LevelInfo, "round", attrs...)
		}
		select {
		case <-ctx.Done():
			log.Info("told to end")
			return nil
		case <-time.After(pause):
		}
	}
}

// surroundings is all that an agent needs to know of Kubernetes: nothing in it knows of perpro.
func surroundings() (kubernetes.Interface, string, error) {
	config, err := rest.InClusterConfig()
	if err != nil {
		return nil, "", err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, "", err
	}
	namespace, err := os.ReadFile(serviceAccount + "namespace")
	return client, string(namespace), err
}

func try(args []string) error {
	flags := flag.NewFlagSet("try", flag.ContinueOnError)
	namespace := flags.String("namespace", "", "namespace of the ConfigMap")
	name := flags.String("configmap", "", "its name")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *namespace == "" || *name == "" {
		return errors.New("name both --namespace and --configmap")
	}
	client, _, err := surroundings()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	answer, err := Try(ctx, client, *namespace, *name)
	return printed(answer, err)
}

func showToken() error {
	token, err := os.ReadFile(serviceAccount + "token")
	if err != nil {
		return err
	}
	fmt.Printf("%s\n", token)
	return nil
}

func printed(value any, err error) error {
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(value)
}
