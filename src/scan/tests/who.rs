use super::*;
use rstest::rstest;

fn user(name: &str) -> Value {
    json!({"kind": "User", "name": name})
}

fn rules(group: &str, resource: &str, verb: &str) -> Value {
    json!([{"apiGroups": [group], "resources": [resource], "verbs": [verb]}])
}

/// The lists in which `jane` stands who has these rules there, beside an agent in `ns` that uses Secret `s`.
fn lists(namespace: &str, rules: Value) -> Vec<&'static str> {
    let report = Scene::default().agent("a", key("s")).bound(namespace, rules, user("jane")).report();
    let of_jane = |h: &&crate::scan::report::Holding| h.holders.iter().any(|(who, _)| who == "user jane");
    report.holdings.iter().filter(of_jane).map(|h| h.id).collect()
}

#[rstest]
#[case("*", "*", "*", &["admin"], &["act-as", "read-secrets", "get-in"])]
#[case("", "secrets", "get", &["read-secrets"], &["read-secrets"])]
#[case::shown_by_an_empty_patch("", "secrets", "patch", &["read-secrets"], &["read-secrets"])]
#[case::shown_by_a_deletion_that_waits("", "secrets", "delete", &["read-secrets"], &["read-secrets"])]
#[case::shown_as_they_go("", "secrets", "deletecollection", &["read-secrets"], &["read-secrets"])]
#[case::answered_with_what_was_sent("", "secrets", "update", &[], &[])]
#[case("", "pods/exec", "create", &["get-in"], &["get-in"])]
#[case("", "pods/attach", "get", &["get-in"], &["get-in"])]
#[case("", "pods/portforward", "create", &["get-in"], &["get-in"])]
#[case("", "pods/proxy", "get", &["get-in"], &["get-in"])]
#[case::a_proxied_put("", "pods/proxy", "update", &["get-in"], &["get-in"])]
#[case("", "services/proxy", "create", &["get-in"], &["get-in"])]
#[case("", "*/proxy", "get", &["admin"], &["get-in"])]
#[case("", "serviceaccounts", "impersonate", &["admin"], &["act-as"])]
#[case::no_namespace_has_users("", "users", "impersonate", &["admin"], &[])]
#[case("authentication.k8s.io", "users", "impersonate:user-info", &["admin"], &[])]
#[case("authentication.k8s.io", "serviceaccounts", "impersonate:serviceaccount", &["admin"], &["act-as"])]
#[case("authentication.k8s.io", "nodes", "impersonate:arbitrary-node", &["admin"], &[])]
#[case("authentication.k8s.io", "nodes", "impersonate:associated-node", &["admin"], &[])]
#[case::of_another_mode("authentication.k8s.io", "serviceaccounts", "impersonate:user-info", &[], &[])]
#[case::of_another_group("", "users", "impersonate:user-info", &[], &[])]
#[case::what_for_and_not_as_whom("", "pods", "impersonate-on:serviceaccount:get", &[], &[])]
#[case("", "serviceaccounts/token", "create", &["admin"], &["act-as"])]
#[case("", "pods", "create", &["admin"], &["act-as"])]
#[case("rbac.authorization.k8s.io", "roles", "escalate", &["admin"], &["act-as"])]
#[case("rbac.authorization.k8s.io", "*", "bind", &["admin"], &["act-as"])]
#[case("", "nodes/proxy", "get", &["admin"], &[])]
#[case("certificates.k8s.io", "signers", "approve", &["admin"], &[])]
#[case("", "pods/ephemeralcontainers", "patch", &["get-in"], &["get-in"])]
#[case("", "pods", "patch", &["get-in"], &["get-in"])]
#[case("", "pods/status", "patch", &[], &[])]
#[case("", "pods", "delete", &[], &[])]
#[case("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "update", &["admin"], &[])]
#[case("admissionregistration.k8s.io", "validatingwebhookconfigurations", "create", &["admin"], &[])]
#[case("admissionregistration.k8s.io", "mutatingadmissionpolicies", "patch", &["admin"], &[])]
#[case("admissionregistration.k8s.io", "mutatingadmissionpolicybindings", "create", &["admin"], &[])]
#[case("admissionregistration.k8s.io", "validatingadmissionpolicies", "create", &[], &[])]
#[case("", "pods", "get", &[], &[])]
#[case("", "configmaps", "create", &[], &[])]
fn who_can_get_at_agents_everywhere_or_in_their_namespace(
    #[case] group: &str,
    #[case] resource: &str,
    #[case] verb: &str,
    #[case] everywhere: &[&str],
    #[case] there: &[&str],
) {
    let rules = || rules(group, resource, verb);
    assert_eq!(lists("", rules()), everywhere);
    assert_eq!(lists("ns", rules()), there);
    assert_eq!(lists("another", rules()), [""; 0], "no agent is there");
}

#[test]
fn a_secret_by_name_counts_if_an_agent_uses_it() {
    let rules = |name: &str| json!([{"apiGroups": [""], "resources": ["secrets"], "resourceNames": [name], "verbs": ["get"]}]);
    assert_eq!(lists("ns", rules("s")), ["read-secrets"]);
    assert_eq!(lists("ns", rules("t")), [""; 0]);
}

#[test]
fn a_name_that_no_request_to_create_has_gives_nothing() {
    let rules =
        json!([{"apiGroups": [""], "resources": ["pods"], "resourceNames": ["p"], "verbs": ["create"]}]);
    assert_eq!(lists("ns", rules.clone()), [""; 0]);
    assert_eq!(lists("", rules), [""; 0]);
}

#[test]
fn a_role_that_is_not_there_gives_nothing() {
    let report = Scene::default().agent("a", key("s")).binding("", "gone", user("jane")).report();
    assert!(report.holdings.iter().all(|h| h.holders.is_empty()));
}

#[test]
fn kubernetes_itself_is_counted_and_not_named() {
    let scene = |labels: Value, subject: Value| {
        let role = json!({"metadata": {"name": "all"}, "rules": rules("*", "*", "*")});
        let binding = json!({"metadata": {"labels": labels}, "roleRef": {"kind": "ClusterRole", "name": "all"}, "subjects": [subject]});
        let report = Scene::default().with(Listing::role, role).with(Listing::binding, binding).report();
        (report.holdings[0].holders.len(), report.holdings[0].built_in)
    };
    let own = json!({"kubernetes.io/bootstrapping": "rbac-defaults"});
    assert_eq!(scene(own.clone(), json!({"kind": "Group", "name": "system:masters"})), (0, 1));
    // Somebody added themselves, or bound an account of kube-system to everything.
    assert_eq!(scene(own.clone(), user("jane")), (1, 0));
    assert_eq!(scene(own, json!({"kind": "Group", "name": "system:authenticated"})), (1, 0));
    let tiller = json!({"kind": "ServiceAccount", "namespace": "kube-system", "name": "tiller"});
    assert_eq!(scene(json!({}), tiller), (1, 0));
}

#[test]
fn an_account_that_neither_a_pod_nor_a_template_names_is_unused() {
    let named = |namespace: &str, name: &str| json!({"metadata": {"namespace": namespace, "name": name}});
    let deployment = json!({"metadata": {"namespace": "ns", "name": "d"}, "spec": {"replicas": 0, "template": {"spec": {"serviceAccountName": "asleep"}}}});
    let scene = [
        ("ns", "default"),
        ("ns", "used"),
        ("ns", "asleep"),
        ("ns", "idle"),
        ("ns", "bound"),
        ("kube-system", "gc"),
    ]
    .into_iter()
    .fold(Scene::default(), |s, (namespace, name)| s.with(Listing::account, named(namespace, name)));
    let report = scene
        .plain("a", json!({"serviceAccountName": "used"}))
        .with(|l, o| l.workload("Deployment", o), deployment)
        .bound("ns", rules("", "pods", "get"), account("bound"))
        .report();
    let unused: Vec<_> = report.unused.iter().map(|u| (u.at.name.as_str(), u.roles.join(","))).collect();
    assert_eq!(unused, [("bound", "ClusterRole r0 in ns".to_owned()), ("idle", String::new())]);
}
