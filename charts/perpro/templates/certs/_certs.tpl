{{/* Metadata of an object for certificates. Arguments: root, name, annotations, whether it is namespaced. */}}
{{- define "perpro.certs.metadata" -}}
{{- $root := index . 0 -}}
name: {{ index . 1 }}
{{- if index . 3 }}
namespace: {{ $root.Release.Namespace }}
{{- end }}
labels:
  {{- include "perpro.labels" (list $root "certs") | nindent 2 }}
{{- with index . 2 }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The account of a certificate Job and what it may do. Arguments: root, name, annotations. */}}
{{- define "perpro.certs.access" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "perpro.certs.metadata" (append . true) | nindent 2 }}
automountServiceAccountToken: false
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  {{- include "perpro.certs.metadata" (append . true) | nindent 2 }}
rules:
  # RBAC can't name the object of a create.
  - apiGroups: [""]
    resources: [secrets]
    verbs: [create]
  - apiGroups: [""]
    resources: [secrets]
    resourceNames: [perpro-ca, perpro-webhook-tls]
    verbs: [get, update]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  {{- include "perpro.certs.metadata" (append . true) | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ $name }}
subjects:
  - kind: ServiceAccount
    name: {{ $name }}
    namespace: {{ $root.Release.Namespace }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  {{- include "perpro.certs.metadata" (append . false) | nindent 2 }}
rules:
  - apiGroups: [admissionregistration.k8s.io]
    resources: [mutatingwebhookconfigurations, validatingwebhookconfigurations]
    resourceNames: [perpro]
    verbs: [get, update]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  {{- include "perpro.certs.metadata" (append . false) | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ $name }}
subjects:
  - kind: ServiceAccount
    name: {{ $name }}
    namespace: {{ $root.Release.Namespace }}
{{- end }}

{{/* Spec of the Job that looks after certificates; running it twice does no harm. Arguments: root, account. */}}
{{- define "perpro.certs.job" -}}
{{- $root := index . 0 -}}
backoffLimit: 3
activeDeadlineSeconds: 600
template:
  metadata:
    {{- include "perpro.podMetadata" (list $root "certs") | nindent 4 }}
  spec:
    {{- include "perpro.pod" (list $root "certs" (index . 1)) | nindent 4 }}
    restartPolicy: Never
    containers:
      - {{- include "perpro.container" (list $root "certs") | nindent 8 }}
        args:
          - certs
          - --namespace=$(POD_NAMESPACE)
          {{- with $root.Values.certs.extraArgs }}
          {{- toYaml . | nindent 10 }}
          {{- end }}
        env:
          - name: PERPRO_LOG_FORMAT
            value: {{ $root.Values.logFormat }}
          - name: POD_NAMESPACE
            valueFrom:
              fieldRef:
                fieldPath: metadata.namespace
          {{- with $root.Values.certs.extraEnv }}
          {{- toYaml . | nindent 10 }}
          {{- end }}
{{- end }}
