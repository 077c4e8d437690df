// invoice-bot is an agent: it looks for invoices that are overdue, to remind customers through a payment
// provider.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/perpro/perpro/examples/agents/internal/agent"
	"github.com/perpro/perpro/examples/agents/internal/invoices"
)

// The path in the AgentIdentity is payments/api-key.
const keyFile = "/run/secrets/perpro.dev/payments/api-key"

func main() {
	agent.Main(round)
}

func round(ctx context.Context, client kubernetes.Interface, namespace string) ([]slog.Attr, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := checkKey(); err != nil {
		return nil, err
	}
	configMap, err := client.CoreV1().ConfigMaps(namespace).Get(ctx, "invoices", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	report, err := invoices.Read(configMap.Data["list"], time.Now())
	if err != nil {
		return nil, fmt.Errorf("ConfigMap invoices, key list: %w", err)
	}
	return []slog.Attr{
		slog.Int("invoices", report.Invoices),
		slog.Any("overdue", report.Overdue),
		slog.String("open", fmt.Sprintf("%d.%02d", report.OpenCents/100, report.OpenCents%100)),
		slog.String("payments_key", "ok"),
	}, nil
}

// checkKey reads the file in each round: when the Secret's value is replaced, the file changes under the
// running agent.
func checkKey() error {
	key, err := os.ReadFile(keyFile)
	if err == nil && len(bytes.TrimSpace(key)) == 0 {
		err = errors.New(keyFile + " is empty")
	}
	return err
}
