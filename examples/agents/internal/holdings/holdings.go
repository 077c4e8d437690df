// Package holdings lists what a container can read that might be a credential: files where tokens and Secrets
// are mounted, and the names of environment variables. Values are never looked at.
package holdings

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Where Kubernetes tokens and Secret files are mounted. In images where /var/run links to /run, a
// file is found twice.
var folders = []string{"run/secrets", "var/run/secrets"}

// Holdings is what one container has.
type Holdings struct {
	// Files under /run/secrets and /var/run/secrets.
	Files []string `json:"files"`
	// Env holds names of environment variables, without those that every pod has (KUBERNETES_*).
	Env []string `json:"env"`
}

// Of looks at a file system and an environment as os.Environ gives it.
func Of(root fs.FS, environ []string) (Holdings, error) {
	held := Holdings{Files: []string{}, Env: []string{}}
	for _, folder := range folders {
		files, err := filesUnder(root, folder)
		if err != nil {
			return Holdings{}, err
		}
		held.Files = append(held.Files, files...)
	}
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, "KUBERNETES_") {
			held.Env = append(held.Env, name)
		}
	}
	slices.Sort(held.Env)
	return held, nil
}

// filesUnder follows links, as readers of a file do: the kubelet mounts keys as links into a folder `..data`,
// which it exchanges as a whole.
func filesUnder(root fs.FS, folder string) ([]string, error) {
	entries, err := fs.ReadDir(root, folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found []string
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), "..") {
			continue
		}
		name := path.Join(folder, entry.Name())
		info, err := fs.Stat(root, name)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			found = append(found, "/"+name)
			continue
		}
		below, err := filesUnder(root, name)
		if err != nil {
			return nil, err
		}
		found = append(found, below...)
	}
	return found, nil
}
