package agent

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

func TestARefusalIsAnAnswerAndSilenceIsAnError(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/api/v1/namespaces/support/configmaps/feedback" {
			fmt.Fprint(w, `{"kind":"ConfigMap","apiVersion":"v1"}`)
			return
		}
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"no"}`)
	}))
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	for namespace, want := range map[string]Answer{
		"support": {Status: 200},
		"billing": {Status: 403, Message: "no"},
	} {
		if got, err := Try(t.Context(), client, namespace, "feedback"); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", namespace, got, err, want)
		}
	}
	server.Close()
	if got, err := Try(t.Context(), client, "support", "feedback"); err == nil {
		t.Errorf("no server answered %v", got)
	}
}
