{{/*
The webhooks for pod CREATE. A pod meets at most one of them: all pods of a namespace, or in a
namespace with enforce=agents those with an identity, and those that say they are agents and have
none. No caBundle: the certificate Job owns that field, and an upgrade leaves it alone.
Arguments: root, verb of the path, side effects.
*/}}
{{- define "perpro.webhooks" -}}
{{- $root := index . 0 -}}
{{- $verb := index . 1 -}}
{{- $sideEffects := index . 2 -}}
{{- $entries := list
  (dict "name" "all" "enforce" "all")
  (dict "name" "identities" "enforce" "agents" "labels" (list
    (dict "key" "perpro.dev/identity" "operator" "Exists")))
  (dict "name" "agents" "enforce" "agents" "labels" (list
    (dict "key" "perpro.dev/agent" "operator" "In" "values" (list "true"))
    (dict "key" "perpro.dev/identity" "operator" "DoesNotExist")))
-}}
{{- range $i, $_ := $entries }}
{{- if $i }}
{{ end -}}
- name: {{ .name }}.pods.perpro.dev
  clientConfig:
    service:
      name: perpro-webhook
      namespace: {{ $root.Release.Namespace }}
      path: /{{ $verb }}/pods
      port: 443
  rules:
    - apiGroups: [""]
      apiVersions: [v1]
      operations: [CREATE]
      resources: [pods]
      scope: Namespaced
  namespaceSelector:
    matchExpressions:
      - key: perpro.dev/enforce
        operator: In
        values: [{{ .enforce }}]
      - key: kubernetes.io/metadata.name
        operator: NotIn
        values: {{ include "perpro.exempt" $root }}
  {{- with .labels }}
  objectSelector:
    matchExpressions:
      {{- toYaml . | nindent 6 }}
  {{- end }}
  failurePolicy: Fail
  matchPolicy: Equivalent
  sideEffects: {{ $sideEffects }}
  {{- if eq $verb "mutate" }}
  reinvocationPolicy: Never
  {{- end }}
  timeoutSeconds: 10
  admissionReviewVersions: [v1]
{{- end }}
{{- end }}
