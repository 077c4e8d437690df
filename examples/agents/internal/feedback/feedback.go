// Package feedback reads what customers said.
package feedback

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Item is what one customer said.
type Item struct {
	Stars int    `json:"stars"`
	Text  string `json:"text"`
}

// Parse reads items, one JSON object after another.
func Parse(data string) ([]Item, error) {
	decoder := json.NewDecoder(strings.NewReader(data))
	decoder.DisallowUnknownFields()
	var items []Item
	for {
		var item Item
		err := decoder.Decode(&item)
		if errors.Is(err, io.EOF) {
			return items, nil
		}
		if err != nil {
			return nil, fmt.Errorf("item %d: %w", len(items)+1, err)
		}
		if item.Stars < 1 || item.Stars > 5 {
			return nil, fmt.Errorf("item %d has %d stars, not 1 to 5", len(items)+1, item.Stars)
		}
		items = append(items, item)
	}
}

// Stars is the mean, 0 without items.
func Stars(items []Item) float64 {
	sum := 0
	for _, item := range items {
		sum += item.Stars
	}
	return float64(sum) / float64(max(len(items), 1))
}

// Text is what was said, one line per item.
func Text(items []Item) string {
	var text strings.Builder
	for _, item := range items {
		text.WriteString(item.Text)
		text.WriteByte('\n')
	}
	return text.String()
}
