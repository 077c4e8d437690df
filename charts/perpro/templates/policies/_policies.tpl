{{/*
A policy and its binding. What it guards is the template "perpro.policy.NAME"; its "binding" is what the binding says
besides. Nobody is exempt but by name in there; what errs, refuses, unless it says otherwise. Refusals are 403: a 422 is
a policy that is broken.
Arguments: root, name.
*/}}
{{- define "perpro.policy" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $full := printf "%s-%s" (include "perpro.admission" $root) $name -}}
{{- $guards := include (printf "perpro.policy.%s" $name) $root | fromYaml -}}
{{- with $guards.Error }}{{ fail . }}{{ end -}}
{{- include "perpro.policy.explained" $guards -}}
{{- $spec := merge (omit $guards "binding") (dict "failurePolicy" "Fail") -}}
{{- $binding := merge ($guards.binding | default dict) (dict "policyName" $full "validationActions" (list "Deny")) -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  {{- include "perpro.metadata" (list $root "policies" $full "cluster" (include "perpro.rendered" $spec | fromYaml)) | nindent 2 }}
spec:
  {{- toYaml $spec | nindent 2 }}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  {{- include "perpro.metadata" (list $root "policies" $full "cluster" (include "perpro.rendered" $binding | fromYaml)) | nindent 2 }}
spec:
  {{- toYaml $binding | nindent 2 }}
{{- end }}

{{/* Ends each refusal of a policy with how to learn more, in place. A code that is put together stands in a variable. Argument: spec. */}}
{{- define "perpro.policy.explained" -}}
{{- $code := "AID[0-9]{3}" -}}
{{- $spec := . -}}
{{- range .validations -}}
{{- $said := get . "messageExpression" | default .message -}}
{{- $more := printf " (kubectl perpro explain %s)" (regexFind $code $said | default (regexFind $code (toJson $spec.variables))) -}}
{{- if .messageExpression -}}
{{- $_ := set . "messageExpression" (printf "(%s) + '%s'" $said $more) -}}
{{- else -}}
{{- $_ := set . "message" (print $said $more) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/*
Annotation that says what the chart made of an object, so that "perpro status" sees what somebody changed by hand.
Argument: that part of the object.
*/}}
{{- define "perpro.rendered" -}}
perpro.dev/rendered: {{ toJson . | quote }}
{{- end }}

{{/* Accounts of kube-controller-manager, as a JSON list; with all controllers under one account, that one. Arguments: controllers. */}}
{{- define "perpro.kubernetes" -}}
{{- $users := list "system:kube-controller-manager" -}}
{{- range . }}{{ $users = append $users (printf "system:serviceaccount:kube-system:%s" .) }}{{ end -}}
{{- toJson $users }}
{{- end }}

{{/* CEL: whether two maps under the same name in object and oldObject agree under perpro.dev/. Argument: labels or annotations. */}}
{{- define "perpro.cel.sameMarks" -}}
{{- $new := printf "object.metadata.?%s" . -}}
{{- $old := printf "oldObject.metadata.?%s" . -}}
{{- /*
Equal first, which is cheap, and no more than a person ever sets: looking at each of very many takes an API server
seconds, and a kubelet writes often.
*/ -}}
{{ $new }} == {{ $old }}
|| ([{{ $new }}, {{ $old }}].all(m, m.orValue({}).size() <= 1000)
&& {{ $new }}.orValue({}).all(k, !k.startsWith('perpro.dev/') || {{ $new }}[?k] == {{ $old }}[?k])
&& {{ $old }}.orValue({}).all(k, !k.startsWith('perpro.dev/') || {{ $new }}[?k].hasValue()))
{{- end }}

{{/* CEL: whether object and oldObject have the same metadata, but for what the API server keeps and for the fields named. */}}
{{- define "perpro.cel.sameMetadata" -}}
{{- $but := concat (list "managedFields" "resourceVersion" "generation") . | toJson -}}
dyn(object.metadata).transformMap(k, v, !(k in {{ $but }}), v)
== dyn(oldObject.metadata).transformMap(k, v, !(k in {{ $but }}), v)
{{- end }}

{{/* CEL: whether object and oldObject are the same outside of metadata, but for the fields named. */}}
{{- define "perpro.cel.sameBody" -}}
{{- $but := prepend . "metadata" | toJson -}}
dyn(object).transformMap(k, v, !(k in {{ $but }}), v) == dyn(oldObject).transformMap(k, v, !(k in {{ $but }}), v)
{{- end }}

{{/* CEL: whether an update of an AgentIdentity leaves it suspended, and the rest of its spec as it was. */}}
{{- define "perpro.cel.suspends" -}}
{{- $rest := "transformMap(k, v, k != 'suspended', v)" -}}
oldObject != null && object.spec.?suspended.orValue(false)
&& dyn(object.spec).{{ $rest }} == dyn(oldObject.spec).{{ $rest }}
{{- end }}

{{/* CEL: whether agents are governed in the namespace of the request, which has one. Argument: root. */}}
{{- define "perpro.cel.governed" -}}
!(request.namespace in {{ include "perpro.exempt" . }})
&& namespaceObject.metadata.?labels[?'perpro.dev/enforce'].orValue('') in ['all', 'agents']
{{- end }}
