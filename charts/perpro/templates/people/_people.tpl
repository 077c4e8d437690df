{{/* Reads of our kinds. */}}
{{- define "perpro.people.view" -}}
- apiGroups: [perpro.dev]
  resources: [agentidentities, agentpolicies]
  verbs: [get, list, watch]
{{- end }}
