// A program for containers under test: it waits, is stubborn, or says what its container holds.
package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// Holdings is all that a container can see of its environment.
type Holdings struct {
	Env    map[string]string `json:"env"`
	Files  []string          `json:"files"`
	Mounts []string          `json:"mounts"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("say wait, ignore-term, holdings, tell, show FILE, or check NAME=VALUE")
	}
	switch args[0] {
	case "wait":
		return wait()
	case "ignore-term":
		signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGTERM)
		select {}
	case "holdings":
		return holdings()
	case "tell":
		if err := holdings(); err != nil {
			return err
		}
		return wait()
	case "show":
		content, err := os.ReadFile(args[1])
		fmt.Print(string(content))
		return err
	case "check":
		return check(args[1:])
	}
	return fmt.Errorf("no such command: %s", args[0])
}

func wait() error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	<-signals
	return nil
}

// check fails unless each variable, or file if the name begins with a slash, has its value.
func check(wanted []string) error {
	for _, pair := range wanted {
		name, value, _ := strings.Cut(pair, "=")
		have := os.Getenv(name)
		if strings.HasPrefix(name, "/") {
			content, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			have = string(content)
		}
		if have != value {
			return fmt.Errorf("%s is %q", name, have)
		}
	}
	return nil
}

func holdings() error {
	held := Holdings{Env: map[string]string{}, Files: []string{}, Mounts: []string{}}
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		held.Env[name] = value
	}
	// The image is two programs, so the whole file system is a short list.
	err := filepath.WalkDir("/", func(path string, entry fs.DirEntry, err error) error {
		if path == "/proc" || path == "/sys" || path == "/dev" {
			return fs.SkipDir
		}
		if err != nil || entry.IsDir() {
			return err
		}
		held.Files = append(held.Files, path)
		return nil
	})
	if err != nil {
		return err
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	for _, line := range strings.Split(strings.TrimSpace(string(mounts)), "\n") {
		held.Mounts = append(held.Mounts, strings.Fields(line)[1])
	}
	return json.NewEncoder(os.Stdout).Encode(held)
}
