{{/*
What the webhooks of both configurations share. Arguments: root, name, path, side effects, failure policy, and, if it
is not 10, the time that the API server waits, in seconds.
*/}}
{{- define "perpro.webhook" -}}
name: {{ index . 1 }}.perpro.dev
clientConfig:
  service:
    name: {{ include "perpro.component" (list (index . 0) "webhook") }}
    namespace: {{ include "perpro.namespace" (index . 0) }}
    path: {{ index . 2 }}
    port: 443
failurePolicy: {{ index . 4 }}
matchPolicy: Equivalent
sideEffects: {{ index . 3 }}
timeoutSeconds: {{ if gt (len .) 5 }}{{ index . 5 }}{{ else }}10{{ end }}
admissionReviewVersions: [v1]
{{- end }}

{{/*
Writes of AgentIdentities, in every namespace. Not those that suspend one and do nothing else: whoever pulls the plug
must not need us. What else is written meanwhile is judged: whoever resumes the identity may not look. Arguments:
root, verb of the path.
*/}}
{{- define "perpro.webhook.identities" -}}
- {{ include "perpro.webhook" (list (index . 0) "identities" (printf "/%s/identities" (index . 1)) "None" "Fail") | indent 2 | trim }}
  rules:
    - apiGroups: [perpro.dev]
      apiVersions: [v1alpha1]
      operations: [CREATE, UPDATE]
      resources: [agentidentities]
      scope: Namespaced
  matchConditions:
    - name: does-not-only-suspend
      expression: >-
        !({{ include "perpro.cel.suspends" . | nindent 8 | trim }})
    - name: is-not-being-deleted
      expression: oldObject == null || !has(object.metadata.deletionTimestamp) || object.spec != oldObject.spec
  {{- if eq (index . 1) "mutate" }}
  reinvocationPolicy: Never
  {{- end }}
{{- end }}

{{/*
Whoever gets into a running agent: a request to connect has no labels to select by, so for every pod of a governed
namespace the webhook is asked; for containers that are added, of agents alone. Both fail closed. Groups that break
glass are not asked about, so our outage does not keep them out. Arguments: root.
*/}}
{{- define "perpro.webhook.sessions" -}}
{{- $root := index . 0 -}}
{{- range list "connect" "debug" }}
{{- if eq . "debug" }}
{{ end -}}
- {{ include "perpro.webhook" (list $root (printf "%s.pods" .) "/validate/sessions" "None" "Fail") | indent 2 | trim }}
  rules:
    - apiGroups: [""]
      apiVersions: [v1]
      {{- if eq . "connect" }}
      operations: [CONNECT]
      resources: [pods/attach, pods/exec, pods/portforward, pods/proxy]
      {{- else }}
      operations: [UPDATE]
      resources: [pods/ephemeralcontainers]
      {{- end }}
      scope: Namespaced
  {{- include "perpro.webhook.governed" (list $root "all" "agents") | nindent 2 }}
  {{- if eq . "debug" }}
  objectSelector:
    matchExpressions:
      - key: perpro.dev/identity
        operator: Exists
  {{- end }}
  {{- with $root.Values.breakGlassGroups }}
  matchConditions:
    - name: breaks-no-glass
      expression: >-
        !request.userInfo.?groups.orValue([]).exists(g, g in {{ toJson . }})
  {{- end }}
{{- end }}
{{- end }}

{{/* Selects governed namespaces by what they enforce. Arguments: root, then those values. */}}
{{- define "perpro.webhook.governed" -}}
namespaceSelector:
  matchExpressions:
    - key: perpro.dev/enforce
      operator: In
      values: {{ rest . | toJson }}
    - key: kubernetes.io/metadata.name
      operator: NotIn
      values: {{ include "perpro.exempt" (index . 0) }}
{{- end }}

{{/* What is only told, or could never count: it fails open. Arguments: root. */}}
{{- define "perpro.webhook.advice" -}}
- {{ include "perpro.webhook" (list (index . 0) "deleted-identities" "/validate/identities" "None" "Ignore" 2) | indent 2 | trim }}
  rules:
    - apiGroups: [perpro.dev]
      apiVersions: [v1alpha1]
      operations: [DELETE]
      resources: [agentidentities]
      scope: Namespaced
- {{ include "perpro.webhook" (list (index . 0) "policies" "/validate/policies" "None" "Ignore" 2) | indent 2 | trim }}
  rules:
    - apiGroups: [perpro.dev]
      apiVersions: [v1alpha1]
      operations: [CREATE, UPDATE, DELETE]
      resources: [agentpolicies]
      scope: Cluster
{{- end }}

{{/*
The webhooks for pod CREATE. A pod meets at most one of them: all pods of a namespace, or in a
namespace with enforce=agents those with an identity, and those that say they are agents and have
none. No caBundle: the certificate Job, or cert-manager, owns that field, and an upgrade leaves it alone.
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
- {{ include "perpro.webhook" (list $root (printf "%s.pods" .name) (printf "/%s/pods" $verb) $sideEffects "Fail") | indent 2 | trim }}
  rules:
    - apiGroups: [""]
      apiVersions: [v1]
      operations: [CREATE]
      resources: [pods]
      scope: Namespaced
  {{- include "perpro.webhook.governed" (list $root .enforce) | nindent 2 }}
  {{- with .labels }}
  objectSelector:
    matchExpressions:
      {{- toYaml . | nindent 6 }}
  {{- end }}
  {{- if eq $verb "mutate" }}
  {{- if ne .name "agents" }}
  # Who may not use an identity has no accounts made for it; the policy pods refuses the pod.
  matchConditions:
    - name: may-use
      expression: >-
        !object.metadata.?labels[?'perpro.dev/identity'].hasValue()
        || !({{ include "perpro.use.people" $root }})
        || {{ include "perpro.use.allowed" "object.metadata.labels['perpro.dev/identity']" }}
  {{- end }}
  reinvocationPolicy: Never
  {{- end }}
{{- end }}
{{- end }}
