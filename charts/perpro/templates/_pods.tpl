{{/* What the pods of all processes have in common. */}}

{{/* Metadata of pods. Arguments: root, values of the component, its name in labels. */}}
{{- define "perpro.podMetadata" -}}
{{- $values := index . 1 -}}
labels:
  {{- include "perpro.labels" (list (index . 0) (index . 2) $values.podLabels) | nindent 2 }}
{{- with $values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/*
Spec of pods but for what only one component has. `volumes` is a list of our own.
Arguments: root, values of the component, its name in labels, service account, volumes.
*/}}
{{- define "perpro.pod" -}}
{{- $root := index . 0 -}}
{{- $values := index . 1 -}}
serviceAccountName: {{ index . 3 }}
automountServiceAccountToken: true
enableServiceLinks: false
{{- with $values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat ($root.Values.imagePullSecrets | default list) (($root.Values.global).imagePullSecrets | default list) }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  {{- $selector := dict "matchLabels" (include "perpro.selector" (list $root (index $ 2)) | fromYaml) }}
  - {{- merge (dict) . (dict "labelSelector" $selector) | toYaml | nindent 4 }}
  {{- end }}
{{- end }}
{{- with concat (index . 4) ($values.extraVolumes | default list) }}
volumes:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/*
A container but for ports, probes and the like. The user's arguments, variables and mounts come after ours.
Arguments: root, values of the component, name, args, env, mounts.
*/}}
{{- define "perpro.container" -}}
{{- $root := index . 0 -}}
{{- $values := index . 1 -}}
name: {{ index . 2 }}
image: {{ include "perpro.image" $root }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
args:
  {{- concat (index . 3) ($values.extraArgs | default list) | toYaml | nindent 2 }}
env:
  {{- $format := dict "name" "PERPRO_LOG_FORMAT" "value" $root.Values.logFormat }}
  {{- concat (list $format) (index . 4) ($values.extraEnv | default list) | toYaml | nindent 2 }}
{{- with $values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat (index . 5) ($values.extraVolumeMounts | default list) }}
volumeMounts:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The image of all processes; a digest says more than a tag. */}}
{{- define "perpro.image" -}}
{{- $image := .Values.image -}}
{{- $registry := (.Values.global).imageRegistry | default $image.registry -}}
{{- with $registry }}{{ . }}/{{ end }}{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* An environment variable from the pod's own metadata. Arguments: name, field. */}}
{{- define "perpro.podField" -}}
name: {{ index . 0 }}
valueFrom:
  fieldRef:
    fieldPath: {{ index . 1 }}
{{- end }}
