package main

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func TestTheToolSummarisesAndSaysWhatItHolds(t *testing.T) {
	for _, c := range []struct{ method, path, body, want string }{
		{"POST", "/summarise", "slow delivery", `{"words":2,"topics":["delivery"]}`},
		{"GET", "/self", "", `"env":[`},
		{"GET", "/summarise", "", "Method Not Allowed"},
		{"POST", "/summarise", strings.Repeat("x", longest+1), "too large"},
	} {
		recorder := httptest.NewRecorder()
		handler().ServeHTTP(recorder, httptest.NewRequest(c.method, c.path, strings.NewReader(c.body)))
		if got := recorder.Body.String(); !strings.Contains(got, c.want) {
			t.Errorf("%s %s: got %q, want %q", c.method, c.path, got, c.want)
		}
	}
}
