// Package summary says in a few words what a text is about.
package summary

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// Topics is how many words a summary names.
const topics = 3

// Shorter words say little about a text.
const shortest = 5

// Summary is what a text is about.
type Summary struct {
	Words  int      `json:"words"`
	Topics []string `json:"topics"`
}

// Of counts words and picks those that come most often; the alphabet decides between equals.
func Of(text string) Summary {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	counts := map[string]int{}
	for _, word := range words {
		if len(word) >= shortest {
			counts[word]++
		}
	}
	ranked := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	return Summary{Words: len(words), Topics: ranked[:min(topics, len(ranked))]}
}
