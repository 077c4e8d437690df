// feedback-reader is an agent: it reads what customers said, has the tool beside it summarise that, and signs
// the result for the CRM.
package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/perpro/perpro/examples/agents/internal/agent"
	"github.com/perpro/perpro/examples/agents/internal/feedback"
	"github.com/perpro/perpro/examples/agents/internal/summary"
)

// The tool listens in the same pod. Who calls it needs no credential, and it has none.
const tool = "http://127.0.0.1:8080/summarise"

func main() {
	agent.Main(round)
}

func round(ctx context.Context, client kubernetes.Interface, namespace string) ([]slog.Attr, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	configMap, err := client.CoreV1().ConfigMaps(namespace).Get(ctx, "feedback", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	items, err := feedback.Parse(configMap.Data["items"])
	if err != nil {
		return nil, fmt.Errorf("ConfigMap feedback, key items: %w", err)
	}
	about, err := summarise(ctx, feedback.Text(items))
	if err != nil {
		return nil, err
	}
	signature, err := sign(strings.Join(about.Topics, " "))
	if err != nil {
		return nil, err
	}
	return []slog.Attr{
		slog.Int("items", len(items)),
		slog.String("stars", fmt.Sprintf("%.1f", feedback.Stars(items))),
		slog.Any("topics", about.Topics),
		slog.String("crm_key", "ok"),
		slog.String("signature", signature),
	}, nil
}

func summarise(ctx context.Context, text string) (summary.Summary, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, tool, strings.NewReader(text))
	if err != nil {
		return summary.Summary{}, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return summary.Summary{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return summary.Summary{}, fmt.Errorf("the tool answered %s", response.Status)
	}
	var about summary.Summary
	return about, json.NewDecoder(response.Body).Decode(&about)
}

// sign proves to the CRM who wrote the text. The key itself is never shown.
func sign(text string) (string, error) {
	key := os.Getenv("CRM_API_KEY")
	if key == "" {
		return "", errors.New("CRM_API_KEY is not set")
	}
	code := hmac.New(sha256.New, []byte(key))
	code.Write([]byte(text))
	return hex.EncodeToString(code.Sum(nil)[:8]), nil
}
