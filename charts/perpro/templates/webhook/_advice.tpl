{{/*
What is only told: it refuses and changes nothing, fails open, and soon. A review does not show the labels of the
namespace; so each way to combine them that makes a difference is an entry, and no object meets two that say the same.
Values but "all" and "agents" select nothing.
*/}}

{{/* Namespaces by labels that have one of some values, or none of them. Arguments: root, then label, operator, values. */}}
{{- define "perpro.advice.namespaces" -}}
namespaceSelector:
  matchExpressions:
    {{- range rest . }}
    - key: perpro.dev/{{ index . 0 }}
      operator: {{ index . 1 }}
      values: {{ slice . 2 | toJson }}
    {{- end }}
    - key: kubernetes.io/metadata.name
      operator: NotIn
      values: {{ include "perpro.exempt" (index . 0) }}
{{- end }}

{{/* CEL: the pod template of an object. Argument: the object. */}}
{{- define "perpro.cel.template" -}}
(has({{ . }}.spec.jobTemplate) ? {{ . }}.spec.jobTemplate.spec.template : {{ . }}.spec.template)
{{- end }}

{{/*
CEL: which identity the labels above the template name, and whether they say that it is an agent's: those of the object,
and those of the jobs of a CronJob. Argument: the object.
*/}}
{{- define "perpro.cel.above" -}}
[{{ . }}.metadata.?labels, {{ . }}.spec.?jobTemplate.?metadata.?labels].map(l, [l[?'perpro.dev/identity'].orValue(''), string(l[?'perpro.dev/agent'].orValue('') == 'true')])
{{- end }}

{{/* CEL: whether nothing makes the object that is a workload itself. */}}
{{- define "perpro.cel.byNoWorkload" -}}
!object.metadata.?ownerReferences.orValue([]).exists(o, o.?controller.orValue(false)
&& o.kind in ['CronJob', 'DaemonSet', 'Deployment', 'Job', 'ReplicaSet', 'ReplicationController', 'StatefulSet'])
{{- end }}

{{/*
Workloads, when their template is written: by whoever can read the answer, so not those that a controller makes from
another workload. Where only agents are asked about, templates that name an identity, or say that they are agents; and
workloads that say so above their template, where pods do not have it from.
Argument: root.
*/}}
{{- define "perpro.advice.templates" -}}
{{- $root := . -}}
{{- $template := include "perpro.cel.template" "object" -}}
{{- $none := list "enforce" "NotIn" "all" "agents" -}}
{{- $entries := list
  (dict "name" "all" "path" "enforced" "labels" (list (list "enforce" "In" "all")))
  (dict "name" "agents" "path" "enforced" "agents" true "labels" (list (list "enforce" "In" "agents") (list "warn" "NotIn" "all")))
  (dict "name" "agents-warn" "path" "enforced" "labels" (list (list "enforce" "In" "agents") (list "warn" "In" "all")))
  (dict "name" "warn" "path" "warned" "labels" (list $none (list "warn" "In" "all")))
  (dict "name" "warn-agents" "path" "warned" "agents" true "labels" (list $none (list "warn" "In" "agents")))
-}}
{{- range $i, $_ := $entries }}
{{- if $i }}
{{ end -}}
- {{ include "perpro.webhook" (list $root (printf "%s.templates" .name) (printf "/advise/%s/%s" .path (default false .agents | ternary "agents" "all")) "None" "Ignore" 2) | indent 2 | trim }}
  rules:
    {{- range list (list "apps" "daemonsets" "deployments" "replicasets" "statefulsets") (list "batch" "cronjobs" "jobs") (list "" "replicationcontrollers") }}
    - apiGroups: [{{ first . | quote }}]
      apiVersions: [v1]
      operations: [CREATE, UPDATE]
      resources: {{ rest . | toJson }}
      scope: Namespaced
    {{- end }}
  {{- include "perpro.advice.namespaces" (prepend .labels $root) | nindent 2 }}
  matchConditions:
    - name: template-or-label-changes
      expression: >-
        oldObject == null || {{ $template }} != {{ include "perpro.cel.template" "oldObject" }}
        || {{ include "perpro.cel.above" "object" }} != {{ include "perpro.cel.above" "oldObject" }}
    - name: is-made-by-no-workload
      expression: >-
        {{ include "perpro.cel.byNoWorkload" . | nindent 8 | trim }}
    {{- if .agents }}
    - name: is-an-agents
      expression: >-
        {{ $template }}.?metadata.?labels[?'perpro.dev/identity'].hasValue()
        || {{ $template }}.?metadata.?labels[?'perpro.dev/agent'].orValue('') == 'true'
        || {{ include "perpro.cel.above" "object" }}.exists(l, l != ['', 'false'])
    {{- end }}
{{- end }}
{{- end }}

{{/*
Pods without identity, where nobody refuses them: who makes one is told, and the audit log of all, whoever makes them.
One that names an identity is looked at by enforcement, or refused by policy. Argument: root.
*/}}
{{- define "perpro.advice.pods" -}}
{{- $root := . -}}
{{- $none := dict "key" "perpro.dev/identity" "operator" "DoesNotExist" -}}
{{- $agent := dict "key" "perpro.dev/agent" "operator" "In" "values" (list "true") -}}
{{- range $i, $label := list "warn" "audit" }}
{{- range $j, $agents := list false true }}
{{- if or $i $j }}
{{ end -}}
- {{ include "perpro.webhook" (list $root (printf "%s%s.pods" $label ($agents | ternary "-agents" "")) (printf "/advise/%sed/pods" $label) "None" "Ignore" 2) | indent 2 | trim }}
  rules:
    - apiGroups: [""]
      apiVersions: [v1]
      operations: [CREATE]
      resources: [pods]
      scope: Namespaced
  {{- if $agents }}
  {{- include "perpro.advice.namespaces" (list $root (list "enforce" "NotIn" "all" "agents") (list $label "In" "agents")) | nindent 2 }}
  {{- else }}
  {{- include "perpro.advice.namespaces" (list $root (list "enforce" "NotIn" "all") (list $label "In" "all")) | nindent 2 }}
  {{- end }}
  objectSelector:
    matchExpressions:
      {{- $agents | ternary (list $agent $none) (list $none) | toYaml | nindent 6 }}
  matchConditions:
    - name: is-no-static-pod
      expression: >-
        !('system:nodes' in request.userInfo.?groups.orValue([])
        && object.metadata.?annotations[?'kubernetes.io/config.mirror'].hasValue())
    {{- if eq $label "warn" }}
    - name: is-made-by-no-controller
      expression: >-
        !object.metadata.?ownerReferences.orValue([]).exists(o, o.?controller.orValue(false))
    {{- end }}
{{- end }}
{{- end }}
{{- end }}
