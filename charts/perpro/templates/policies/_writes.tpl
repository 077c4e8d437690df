{{/*
Every write of our processes, as [group, resource, subresource, operation]; a patch is an UPDATE, or the CREATE
that server-side apply makes of it. RBAC grants these and no others; a test compares. Access reviews and dry runs
leave nothing behind, and policies never see reviews. The uninstall Job runs as the controller. A JSON map from user to writes. Argument: root.
*/}}
{{- define "perpro.writes" -}}
{{- $core := "" -}}
{{- $rbac := "rbac.authorization.k8s.io" -}}
{{- $certs := list
  (list $core "secrets" "" "CREATE")
  (list $core "secrets" "" "UPDATE")
  (list "admissionregistration.k8s.io" "mutatingwebhookconfigurations" "" "UPDATE")
  (list "admissionregistration.k8s.io" "validatingwebhookconfigurations" "" "UPDATE")
-}}
{{- $writes := dict
  "webhook" (list
    (list $core "serviceaccounts" "" "CREATE"))
  "controller" (list
    (list $core "serviceaccounts" "" "UPDATE")
    (list $core "serviceaccounts" "" "DELETE")
    (list $rbac "rolebindings" "" "CREATE")
    (list $rbac "rolebindings" "" "DELETE")
    (list $rbac "roles" "" "CREATE")
    (list $rbac "roles" "" "UPDATE")
    (list $core "pods" "" "UPDATE")
    (list $core "pods" "" "DELETE")
    (list "perpro.dev" "agentidentities" "status" "UPDATE")
    (list "perpro.dev" "governednamespaces" "" "CREATE")
    (list "perpro.dev" "governednamespaces" "" "UPDATE")
    (list "perpro.dev" "governednamespaces" "" "DELETE")
    (list "coordination.k8s.io" "leases" "" "CREATE")
    (list "coordination.k8s.io" "leases" "" "UPDATE")
    (list "events.k8s.io" "events" "" "CREATE")
    (list "events.k8s.io" "events" "" "UPDATE")
    (list $core "services" "" "DELETE")
    (list $core "secrets" "" "DELETE"))
-}}
{{- if not .Values.certs.certManager.enabled }}
  {{- $writes = merge $writes (dict "certs" $certs "certs-hook" $certs) }}
{{- end }}
{{- $byUser := dict -}}
{{- range $component, $list := $writes }}
  {{- /* Accounts that somebody else makes may be one for several. */}}
  {{- $user := include "perpro.user" (list $ $component) }}
  {{- $_ := set $byUser $user (concat (dig $user list $byUser) $list | uniq) }}
{{- end }}
{{- toJson $byUser }}
{{- end }}
