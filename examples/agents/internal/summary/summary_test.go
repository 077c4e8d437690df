package summary

import (
	"reflect"
	"testing"
)

func TestTopicsAreTheLongerWordsThatComeMostOften(t *testing.T) {
	got := Of("Delivery was late. The delivery app: slow! Invoice wrong, invoice again, a late delivery")
	want := Summary{Words: 14, Topics: []string{"delivery", "invoice", "again"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAnEmptyTextHasNoTopics(t *testing.T) {
	if got := Of(" \n"); got.Words != 0 || len(got.Topics) != 0 {
		t.Errorf("got %v", got)
	}
}
