package feedback

import "testing"

func TestItemsAreCountedAndAveraged(t *testing.T) {
	items, err := Parse("{\"stars\": 5, \"text\": \"fast\"}\n{\"stars\": 2, \"text\": \"late\"}\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(items) != 2 || Stars(items) != 3.5 || Text(items) != "fast\nlate\n" {
		t.Errorf("got %v, %v stars, text %q", items, Stars(items), Text(items))
	}
	if Stars(nil) != 0 {
		t.Errorf("no items have %v stars", Stars(nil))
	}
}

func TestRubbishIsRefused(t *testing.T) {
	for name, data := range map[string]string{
		"no JSON":        "five stars",
		"cut off":        `{"stars": 5, "text": "fa`,
		"too many stars": `{"stars": 6, "text": "fast"}`,
		"no stars":       `{"text": "fast"}`,
		"another field":  `{"stars": 5, "text": "fast", "phone": "1"}`,
	} {
		if items, err := Parse(data); err == nil {
			t.Errorf("%s: accepted as %v", name, items)
		}
	}
}
