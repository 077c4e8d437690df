{{/* Reads of our kinds. */}}
{{- define "perpro.people.view" -}}
- apiGroups: [perpro.dev]
  resources: [agentidentities, agentpolicies, governednamespaces]
  verbs: [get, list, watch]
{{- end }}
