package agent

import (
	"context"
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Answer is what the API server said.
type Answer struct {
	// Status is that of HTTP.
	Status int `json:"status"`
	// Message says why not.
	Message string `json:"message,omitempty"`
}

// Try asks for a ConfigMap. A refusal is an answer; an error means that there was none.
func Try(ctx context.Context, client kubernetes.Interface, namespace, configMap string) (Answer, error) {
	_, err := client.CoreV1().ConfigMaps(namespace).Get(ctx, configMap, metav1.GetOptions{})
	if err == nil {
		return Answer{Status: http.StatusOK}, nil
	}
	var refusal apierrors.APIStatus
	if errors.As(err, &refusal) {
		status := refusal.Status()
		return Answer{Status: int(status.Code), Message: status.Message}, nil
	}
	return Answer{}, err
}
