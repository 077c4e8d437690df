{{/* Name of the application, in labels. */}}
{{- define "perpro.name" -}}
{{- .Values.nameOverride | default "perpro" }}
{{- end }}

{{/* First part of the names of our objects. Not made from the release's name: there is one release per cluster. */}}
{{- define "perpro.fullname" -}}
{{- .Values.fullnameOverride | default (include "perpro.name" .) }}
{{- end }}

{{/*
Name of both webhook configurations, and first part of the names of admission policies. Fixed: policies guard
these objects by name, and our processes look for them.
*/}}
{{- define "perpro.admission" -}}
perpro
{{- end }}

{{/* Namespace of everything that has one. */}}
{{- define "perpro.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace }}
{{- end }}

{{/* Name of a component's objects. Arguments: root, component. */}}
{{- define "perpro.component" -}}
{{ include "perpro.fullname" (index . 0) }}-{{ index . 1 }}
{{- end }}

{{/*
Name of a component's service account. The certificate hook has one of its own, which is there only while it
runs, unless the accounts are made by somebody else. Arguments: root, component.
*/}}
{{- define "perpro.account" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $values := (index $root.Values (trimSuffix "-hook" $component)).serviceAccount -}}
{{- if not $values.create -}}
{{- $values.name }}
{{- else if $values.name -}}
{{- printf "%s%s" $values.name (hasSuffix "-hook" $component | ternary "-hook" "") }}
{{- else -}}
{{- include "perpro.component" . }}
{{- end }}
{{- end }}

{{/* A component as the API server sees it when it calls. Arguments: root, component. */}}
{{- define "perpro.user" -}}
system:serviceaccount:{{ include "perpro.namespace" (index . 0) }}:{{ include "perpro.account" . }}
{{- end }}

{{/* Namespaces that are never governed, as a JSON list. */}}
{{- define "perpro.exempt" -}}
{{- list "kube-system" (include "perpro.namespace" .) | uniq | toJson }}
{{- end }}

{{/* Labels by which a component's pods are selected. Arguments: root, component. */}}
{{- define "perpro.selector" -}}
app.kubernetes.io/name: {{ include "perpro.name" (index . 0) }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Labels of an object. Ours win over the user's. Arguments: root, component, the user's further labels. */}}
{{- define "perpro.labels" -}}
{{- $root := index . 0 -}}
{{- $further := dict -}}
{{- if gt (len .) 2 }}{{ $further = index . 2 }}{{ end -}}
{{- $ours := include "perpro.selector" . | fromYaml | merge (dict
  "app.kubernetes.io/version" $root.Chart.AppVersion
  "app.kubernetes.io/part-of" "perpro"
  "app.kubernetes.io/managed-by" $root.Release.Service
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_")
) -}}
{{- toYaml (merge $ours $further $root.Values.commonLabels) }}
{{- end }}

{{/* Metadata of an object. Arguments: root, component, name, namespaced or cluster, annotations. */}}
{{- define "perpro.metadata" -}}
{{- $root := index . 0 -}}
name: {{ index . 2 }}
{{- if eq (index . 3) "namespaced" }}
namespace: {{ include "perpro.namespace" $root }}
{{- end }}
labels:
  {{- include "perpro.labels" (list $root (index . 1)) | nindent 2 }}
{{- if gt (len .) 4 }}
{{- with index . 4 }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}
