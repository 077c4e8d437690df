package holdings

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestAContainerThatGetsNothingHoldsNothing(t *testing.T) {
	held, err := Of(os.DirFS(t.TempDir()), []string{"PATH=/bin", "KUBERNETES_SERVICE_HOST=10.96.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	if want := (Holdings{Files: []string{}, Env: []string{"PATH"}}); !reflect.DeepEqual(held, want) {
		t.Errorf("got %v, want %v", held, want)
	}
}

func TestKeysAreFoundBehindTheLinksOfTheKubelet(t *testing.T) {
	root := t.TempDir()
	volume := filepath.Join(root, "run/secrets/perpro.dev")
	steps := []error{
		os.MkdirAll(filepath.Join(volume, "..2026_11/crm"), 0o755),
		os.WriteFile(filepath.Join(volume, "..2026_11/crm/api-key"), []byte("value"), 0o600),
		os.Symlink("..2026_11", filepath.Join(volume, "..data")),
		os.Symlink("..data/crm", filepath.Join(volume, "crm")),
	}
	for _, err := range steps {
		if err != nil {
			t.Fatal(err)
		}
	}
	held, err := Of(os.DirFS(root), []string{"CRM_API_KEY=value"})
	if err != nil {
		t.Fatal(err)
	}
	want := Holdings{Files: []string{"/run/secrets/perpro.dev/crm/api-key"}, Env: []string{"CRM_API_KEY"}}
	if !reflect.DeepEqual(held, want) {
		t.Errorf("got %v, want %v", held, want)
	}
}
