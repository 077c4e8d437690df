{{/* Secrets of the certificate authority and of the webhook. */}}
{{- define "perpro.certs.ca" -}}
{{ include "perpro.fullname" . }}-ca
{{- end }}
{{- define "perpro.certs.tls" -}}
{{ include "perpro.component" (list . "webhook") }}-tls
{{- end }}

{{- define "perpro.certs.secrets" }}
# RBAC can't name the object of a create.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ include "perpro.certs.ca" . }}, {{ include "perpro.certs.tls" . }}]
  verbs: [get, update]
{{- end }}

{{- define "perpro.certs.trust" }}
- apiGroups: [admissionregistration.k8s.io]
  resources: [mutatingwebhookconfigurations, validatingwebhookconfigurations]
  resourceNames: [{{ include "perpro.admission" . }}]
  verbs: [get, update]
{{- end }}

{{/* What a certificate Job may do. Arguments: root, component of the account, annotations. */}}
{{- define "perpro.certs.access" -}}
{{- $root := index . 0 -}}
{{- $annotations := index . 2 -}}
{{- $account := include "perpro.account" . -}}
{{- $name := include "perpro.component" . -}}
{{- include "perpro.serviceAccount" . }}
{{- include "perpro.role" (list $root "certs" $account $name "namespaced" $annotations (include "perpro.certs.secrets" $root)) }}
{{- include "perpro.role" (list $root "certs" $account $name "cluster" $annotations (include "perpro.certs.trust" $root)) }}
{{- end }}

{{/* Spec of the Job that looks after certificates; running it twice does no harm. Arguments: root, account. */}}
{{- define "perpro.certs.job" -}}
{{- $root := index . 0 -}}
{{- $values := $root.Values.certs -}}
{{- $args := list "certs"
  "--namespace=$(POD_NAMESPACE)"
  (printf "--service=%s" (include "perpro.component" (list $root "webhook")))
  (printf "--ca-secret=%s" (include "perpro.certs.ca" $root))
  (printf "--tls-secret=%s" (include "perpro.certs.tls" $root))
  (printf "--configuration=%s" (include "perpro.admission" $root))
-}}
{{- $env := list (include "perpro.podField" (list "POD_NAMESPACE" "metadata.namespace") | fromYaml) -}}
backoffLimit: 3
activeDeadlineSeconds: 600
template:
  metadata:
    {{- include "perpro.podMetadata" (list $root $values "certs") | nindent 4 }}
  spec:
    {{- include "perpro.pod" (list $root $values "certs" (index . 1) list) | nindent 4 }}
    restartPolicy: Never
    containers:
      - {{- include "perpro.container" (list $root $values "certs" $args $env list) | nindent 8 }}
{{- end }}
