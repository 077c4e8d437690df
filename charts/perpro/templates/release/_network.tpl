{{/* Rule for one port, by name. Arguments: port, peers. */}}
{{- define "perpro.ingress" -}}
- ports:
    - protocol: TCP
      port: {{ index . 0 }}
  {{- with index . 1 }}
  from:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* Arguments: root, component, name, annotations, ingress rules as YAML. */}}
{{- define "perpro.networkPolicy" -}}
{{- $root := index . 0 -}}
{{- if $root.Values.networkPolicy.enabled }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "perpro.metadata" (list $root (index . 1) (index . 2) "namespaced" (index . 3)) | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "perpro.selector" (list $root (index . 1)) | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    {{- index . 4 | nindent 4 }}
  egress:
    {{- toYaml $root.Values.networkPolicy.egress | nindent 4 }}
{{- end }}
{{- end }}
