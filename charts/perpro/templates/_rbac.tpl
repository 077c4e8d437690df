{{/* A component's service account, unless somebody else makes it. Arguments: root, component, annotations of ours. */}}
{{- define "perpro.serviceAccount" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $values := (index $root.Values (trimSuffix "-hook" $component)).serviceAccount -}}
{{- if $values.create }}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- $annotations := merge (dict) (index . 2) $values.annotations }}
  {{- include "perpro.metadata" (list $root (trimSuffix "-hook" $component) (include "perpro.account" (list $root $component)) "namespaced" $annotations) | nindent 2 }}
automountServiceAccountToken: false
{{- end }}
{{- end }}

{{/*
A Role or ClusterRole and its binding to a component's account. `rules` is YAML.
Arguments: root, component in labels, account, name, namespaced or cluster, annotations, rules.
*/}}
{{- define "perpro.role" -}}
{{- $root := index . 0 -}}
{{- $name := index . 3 -}}
{{- $kind := eq (index . 4) "cluster" | ternary "ClusterRole" "Role" -}}
{{- if $root.Values.rbac.create }}
{{- $metadata := include "perpro.metadata" (list $root (index . 1) $name (index . 4) (index . 5)) }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}
metadata:
  {{- $metadata | nindent 2 }}
rules:
  {{- index . 6 | trim | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}Binding
metadata:
  {{- $metadata | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $kind }}
  name: {{ $name }}
subjects:
  - kind: ServiceAccount
    name: {{ index . 2 }}
    namespace: {{ include "perpro.namespace" $root }}
{{- end }}
{{- end }}
