//! What is kept of what an account holds, and what is left out.

use super::*;
use rstest::rstest;
use serde_json::json;

fn role(kind: &str, name: &str, rules: Value) -> Value {
    json!({"kind": kind, "metadata": {"name": name, "namespace": if kind == "Role" { "ns" } else { "" }}, "rules": rules})
}

fn binding(kind: &str, namespace: &str, role: &str, role_name: &str, subject: Value) -> Value {
    json!({"kind": kind, "metadata": {"name": "b", "namespace": namespace},
        "roleRef": {"kind": role, "name": role_name}, "subjects": [subject]})
}

fn bot() -> Value {
    json!({"kind": "ServiceAccount", "name": "bot", "namespace": "ns"})
}

fn rule(group: &str, resource: &str, verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": [resource], "verbs": verbs})
}

/// Rules in one line each, and what was left out.
fn told(objects: &[Value]) -> (Vec<String>, Vec<String>) {
    let held = held("bot", "ns", objects);
    let line = |r: &PermissionRule| {
        let names =
            if r.resource_names.is_empty() { String::new() } else { format!(" {:?}", r.resource_names) };
        format!("{}/{}{names} {}", r.api_groups.join(","), r.resources.join(","), r.verbs.join(","))
    };
    (held.rules.iter().map(line).collect(), held.left_out)
}

fn of_role(rules: Value) -> (Vec<String>, Vec<String>) {
    told(&[role("Role", "r", rules), binding("RoleBinding", "ns", "Role", "r", bot())])
}

#[rstest]
#[case::a_role("RoleBinding", "ns", "Role", bot(), true)]
#[case::a_cluster_role_here("RoleBinding", "ns", "ClusterRole", bot(), true)]
#[case::a_cluster_role_everywhere("ClusterRoleBinding", "", "ClusterRole", bot(), true)]
#[case::as_a_user("RoleBinding", "ns", "Role", json!({"kind": "User", "name": "system:serviceaccount:ns:bot"}), true)]
#[case::a_subject_without_namespace("RoleBinding", "ns", "Role", json!({"kind": "ServiceAccount", "name": "bot"}), true)]
#[case::a_subject_that_is_nowhere("ClusterRoleBinding", "", "ClusterRole", json!({"kind": "ServiceAccount", "name": "bot"}), false)]
#[case::a_namesake("RoleBinding", "ns", "Role", json!({"kind": "ServiceAccount", "name": "bot", "namespace": "other"}), false)]
#[case::another("RoleBinding", "ns", "Role", json!({"kind": "ServiceAccount", "name": "bot2", "namespace": "ns"}), false)]
#[case::its_group("RoleBinding", "ns", "Role", json!({"kind": "Group", "name": "system:serviceaccounts:ns"}), false)]
fn what_a_binding_gives_is_found(
    #[case] kind: &str,
    #[case] namespace: &str,
    #[case] role_kind: &str,
    #[case] subject: Value,
    #[case] found: bool,
) {
    let objects = [
        role(role_kind, "r", json!([rule("", "configmaps", &["get"])])),
        binding(kind, namespace, role_kind, "r", subject),
    ];
    let held = held("bot", "ns", &objects);
    assert_eq!((held.rules.len(), held.anything), (usize::from(found), found), "{held:?}");
    assert_eq!(held.told.len(), usize::from(found && kind == "ClusterRoleBinding"), "{held:?}");
}

#[rstest]
#[case::every_resource(rule("", "*", &["get"]), "get * (Role r)", "AID030")]
#[case::every_group(rule("*", "configmaps", &["get"]), "get configmaps.* (Role r)", "AID030")]
#[case::part_of_one(rule("apps", "*/scale", &["get"]), "get */scale.apps (Role r)", "AID030")]
#[case::cluster_scoped(rule("", "nodes", &["get", "list"]), "get, list nodes (Role r)", "AID032")]
#[case::secrets(rule("", "secrets", &["*"]), "* secrets (Role r)", "AID033")]
#[case::exec(rule("", "pods/exec", &["create"]), "create pods/exec (Role r)", "AID033")]
#[case::another_verb(rule("policy", "podsecuritypolicies", &["use"]), "use podsecuritypolicies.policy (Role r)", "AID031")]
#[case::urls(json!({"nonResourceURLs": ["/metrics"], "verbs": ["get"]}), "get /metrics (Role r)", "no resource")]
#[case::of_names(json!({"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["s"], "verbs": ["get"]}), "get secrets \"s\" (Role r)", "AID033")]
fn what_no_identity_can_have_is_left_out_and_told(
    #[case] rule: Value,
    #[case] what: &str,
    #[case] why: &str,
) {
    let (rules, left) = of_role(json!([rule]));
    assert_eq!(rules, Vec::<String>::new());
    assert!(left.len() == 1 && left[0].starts_with(what) && left[0].contains(why), "{left:?}");
}

#[test]
fn the_ordinary_part_of_a_rule_is_kept() {
    let (rules, left) = of_role(json!([rule("apps", "deployments", &["*"])]));
    assert_eq!(rules, ["apps/deployments get,list,watch,delete,deletecollection"]);
    assert!(left[0].starts_with("create, update, patch deployments.apps (Role r): "), "{left:?}");
}

#[test]
fn a_role_of_another_namespace_and_one_that_is_not_there_are_told() {
    let objects = [
        binding("RoleBinding", "other", "Role", "r", bot()),
        binding("RoleBinding", "ns", "Role", "gone", bot()),
    ];
    let (rules, left) = told(&objects);
    assert_eq!(rules, Vec::<String>::new());
    assert!(left[0].starts_with("Role gone: it could not be found"), "{left:?}");
    assert!(left[1].starts_with("Role r: it is in namespace other"), "{left:?}");
}

#[test]
fn rules_are_joined_and_nothing_is_said_twice() {
    let (rules, left) = of_role(json!([
        rule("", "configmaps", &["get"]), rule("", "configmaps", &["list"]), rule("", "services", &["list", "get"]),
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a", "b"], "verbs": ["get", "patch"]},
        {"apiGroups": ["", "x.io"], "resources": ["widgets"], "verbs": ["get", "list"]},
    ]));
    assert_eq!(
        rules,
        [
            "/configmaps,services,widgets get,list",
            "/configmaps [\"a\", \"b\"] patch",
            "x.io/widgets get,list",
        ]
    );
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn more_than_an_identity_takes_is_left_out() {
    let many: Vec<_> = (0..40).map(|i| rule("x.io", &format!("r{i}"), &["*"])).collect();
    let (rules, left) = of_role(json!(many));
    let size: usize = rules.iter().map(|r| r.split(' ').next().unwrap().split(',').count() * 8).sum();
    assert!(size <= 200 && !rules.is_empty() && left[0].contains("AID035"), "{rules:?} {left:?}");
}
