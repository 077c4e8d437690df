use super::*;
use rstest::rstest;

#[test]
fn a_secret_of_two_workloads_is_shared_and_that_of_one_is_not() {
    let (agents, found) = Scene::default()
        .agent("a", key("llm"))
        .plain("b", key("llm"))
        .agent("c", key("own"))
        .pod(json!({"metadata": {"name": "d", "namespace": "elsewhere"}, "spec": key("own")}))
        .found(Crack::SharedCredentials);
    assert_eq!((agents, found), (1, vec!["secret/llm in ns: used by 2 workloads: pod/a, pod/b".to_owned()]));
}

#[test]
fn replicas_are_one_workload() {
    let replica = |i: i32| {
        json!({"metadata": {"name": format!("bot-7d9-{i}"), "labels": {"pod-template-hash": "7d9", "perpro.dev/agent": "true"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "bot-7d9", "controller": true, "uid": "u"}]},
            "spec": {"serviceAccountName": "bot", "containers": unasked("bot")["containers"], "volumes": unasked("bot")["volumes"]}})
    };
    let ten = || (0..10).fold(Scene::default(), |scene, i| scene.pod(replica(i)));
    let report = ten().report();
    assert_eq!((report.workloads, report.pods, report.agents.len()), (1, 10, 1));
    assert_eq!(
        report.agents[0].at.to_string(),
        "deployment/bot in ns",
        "by the hash in the ReplicaSet's name"
    );
    for crack in [Crack::SharedCredentials, Crack::Untraceable] {
        assert_eq!(ten().agents_with(crack), 0, "{crack:?}");
    }
    let listed = json!({"metadata": {"namespace": "ns", "name": "bot-7d9",
        "ownerReferences": [{"kind": "Rollout", "name": "bot", "controller": true}]}});
    let scene = Scene::default().with(|l, o| l.maker("ReplicaSet", o), listed).pod(replica(0));
    assert_eq!(scene.report().agents[0].at.to_string(), "rollout/bot in ns");
}

#[test]
fn an_account_is_shared_by_those_who_hold_its_token() {
    let shared = || Scene::default().agent("a", unasked("x")).plain("b", unasked("x"));
    let what = "serviceaccount/x in ns: used by 2 workloads: pod/a, pod/b";
    assert_eq!(shared().found(Crack::SharedCredentials), (1, vec![what.to_owned()]));
    let what = "serviceaccount/x in ns: in the audit log the name of 2 workloads: pod/a, pod/b";
    assert_eq!(shared().found(Crack::Untraceable), (1, vec![what.to_owned()]));
    let without = json!({"serviceAccountName": "x", "automountServiceAccountToken": false});
    let innocent = || Scene::default().agent("a", without.clone()).plain("b", unasked("x"));
    assert_eq!(innocent().agents_with(Crack::SharedCredentials), 0);
    assert_eq!(innocent().agents_with(Crack::Untraceable), 0);
    // A vault sees whose token it is; the audit log of the API server does not see it at all.
    let vault = token("x", &json!({"audience": "vault", "path": "v"}));
    let scene = || Scene::default().agent("a", vault.clone()).plain("b", vault.clone());
    assert_eq!(scene().agents_with(Crack::SharedCredentials), 1);
    assert_eq!(scene().agents_with(Crack::Untraceable), 0);
}

#[test]
fn the_default_account_is_shared_as_soon_as_somebody_holds_its_token() {
    assert_eq!(Scene::default().agent("a", unasked("")).agents_with(Crack::SharedCredentials), 1);
    assert_eq!(Scene::default().agent("a", json!({})).agents_with(Crack::SharedCredentials), 0);
}

#[rstest]
#[case::everything(json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]), "does everything")]
#[case::a_wildcard(json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}]), "* on configmaps")]
#[case::a_wild_subresource(json!([{"apiGroups": ["apps"], "resources": ["*/scale"], "verbs": ["get"]}]), "get on */scale.apps")]
#[case::secrets(json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}]), "reads Secrets")]
#[case::secrets_by_a_patch(json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["patch"]}]), "reads Secrets")]
#[case::escalate(json!([{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["escalate"]}]), "(escalate)")]
#[case::bind(json!([{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "verbs": ["bind"]}]), "(bind)")]
#[case::impersonate(json!([{"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["impersonate"]}]), "(impersonate)")]
#[case::impersonate_under_a_constraint(json!([{"apiGroups": ["authentication.k8s.io"], "resources": ["serviceaccounts"], "verbs": ["impersonate:serviceaccount"]}]), "(impersonate)")]
#[case::tokens(json!([{"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"]}]), "serviceaccounts/token")]
#[case::images(json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "update"]}]), "changes the images of pods")]
#[case::exec(json!([{"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]}]), "gets into pods")]
#[case::proxy(json!([{"apiGroups": [""], "resources": ["pods/proxy"], "verbs": ["get"]}]), "gets into pods")]
#[case::pods(json!([{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create"]}]), "runs pods")]
fn a_role_is_too_wide_wherever_it_is_bound(#[case] rules: Value, #[case] said: &str) {
    for namespace in ["", "ns"] {
        let scene = Scene::default().agent("a", unasked("x")).bound(namespace, rules.clone(), account("x"));
        let (agents, found) = scene.found(Crack::WideRoles);
        assert!(agents == 1 && found[0].contains(said), "{namespace:?} {found:?}");
    }
    // Nobody holds the account's token.
    let idle = json!({"serviceAccountName": "x"});
    assert_eq!(
        Scene::default().agent("a", idle).bound("", rules, account("x")).agents_with(Crack::WideRoles),
        0
    );
}

#[rstest]
#[case::a_task(json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]))]
#[case::one_secret(json!([{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["own"], "verbs": ["get"]}]))]
#[case::writing_secrets_blindly(json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "update"]}]))]
#[case::a_name_that_no_create_has(json!([{"apiGroups": [""], "resources": ["pods"], "resourceNames": ["p"], "verbs": ["create"]}]))]
#[case::secrets_of_another_group(json!([{"apiGroups": ["acme.example"], "resources": ["secrets"], "verbs": ["get"]}]))]
#[case::urls(json!([{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]))]
fn a_role_for_a_task_in_its_namespace_is_not_too_wide(#[case] rules: Value) {
    let scene = Scene::default().agent("a", unasked("x")).bound("ns", rules, account("x"));
    assert_eq!(scene.found(Crack::WideRoles), (0, vec![]));
}

#[rstest]
#[case::pods(json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]), 1)]
#[case::writing_nodes(json!([{"apiGroups": [""], "resources": ["nodes"], "verbs": ["patch"]}]), 1)]
#[case::reading_nodes(json!([{"apiGroups": [""], "resources": ["nodes", "namespaces"], "verbs": ["get", "list"]}]), 0)]
#[case::asking_who_somebody_is(json!([{"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]}]), 0)]
fn what_is_in_namespaces_is_reached_everywhere_by_a_cluster_role_binding(
    #[case] rules: Value,
    #[case] expected: usize,
) {
    let scene = Scene::default().agent("a", unasked("x")).bound("", rules, account("x"));
    assert_eq!(scene.agents_with(Crack::WideRoles), expected);
}

#[rstest]
#[case(json!({"kind": "User", "name": "system:serviceaccount:ns:x"}), 1)]
#[case(json!({"kind": "ServiceAccount", "name": "x"}), 1)]
#[case(json!({"kind": "Group", "name": "system:serviceaccounts"}), 1)]
#[case(json!({"kind": "Group", "name": "system:serviceaccounts:ns"}), 1)]
#[case(json!({"kind": "Group", "name": "system:authenticated"}), 1)]
#[case(json!({"kind": "Group", "name": "system:serviceaccounts:other"}), 0)]
#[case(json!({"kind": "ServiceAccount", "namespace": "other", "name": "x"}), 0)]
#[case(json!({"kind": "User", "name": "x"}), 0)]
fn an_account_has_what_is_bound_to_it_under_any_of_its_names(
    #[case] subject: Value,
    #[case] expected: usize,
) {
    let rules = json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]);
    let scene = Scene::default().agent("a", unasked("x")).bound("ns", rules, subject);
    assert_eq!(scene.agents_with(Crack::WideRoles), expected);
}

#[test]
fn a_key_is_long_lived_unless_its_identity_says_by_when_it_is_replaced() {
    let (agents, found) = Scene::default().agent("a", key("llm")).found(Crack::LongLivedKeys);
    let what = "pod/a in ns: Secret llm in the environment, with no date to replace it";
    assert_eq!((agents, found), (1, vec![what.to_owned()]));

    let labels = json!({"perpro.dev/identity": "bot"});
    let mut spec = key("llm");
    spec["serviceAccountName"] = json!("aid-bot-0123456789");
    let governed = |rotated: Value| {
        let identity = json!({"metadata": {"namespace": "ns", "name": "bot"},
            "spec": {"owner": {"kind": "User", "name": "jane"}, "secrets": rotated}});
        Scene::default()
            .with(Listing::identity, identity)
            .pod(json!({"metadata": {"name": "a", "labels": labels}, "spec": spec}))
    };
    let dated = json!([{"name": "llm", "rotateBy": "2030-01-01T00:00:00Z"}]);
    assert_eq!(governed(dated.clone()).agents_with(Crack::LongLivedKeys), 0);
    assert_eq!(governed(dated).agents_with(Crack::Unmapped), 0);
    assert_eq!(governed(json!([])).agents_with(Crack::LongLivedKeys), 1);
    // The label alone is a claim.
    let claimed =
        Scene::default().pod(json!({"metadata": {"name": "a", "labels": labels}, "spec": key("llm")}));
    assert_eq!(claimed.agents_with(Crack::Unmapped), 1);
}

#[rstest]
#[case::unasked(json!({"expirationSeconds": 3607, "path": "t"}), 1)]
#[case::an_hour(json!({"expirationSeconds": 3600, "path": "t"}), 0)]
#[case::for_a_vault(json!({"audience": "vault", "expirationSeconds": 3607, "path": "t"}), 0)]
fn the_token_that_pods_get_unasked_is_valid_for_a_year(#[case] asked: Value, #[case] expected: usize) {
    assert_eq!(Scene::default().agent("a", token("x", &asked)).agents_with(Crack::LongLivedKeys), expected);
}

#[test]
fn a_certificate_without_its_key_is_no_secret() {
    let spec = container(
        &json!({"env": [{"name": "CA", "valueFrom": {"secretKeyRef": {"name": "s", "key": "ca.crt"}}}]}),
    );
    let scene = || Scene::default().agent("a", spec.clone()).plain("b", spec.clone());
    for crack in Crack::ALL.into_iter().filter(|c| *c != Crack::Unmapped) {
        assert_eq!(scene().agents_with(crack), 0, "{crack:?}");
    }
}

#[test]
fn a_secret_with_a_token_of_an_agents_account_is_told_also_when_no_pod_names_it() {
    let of = |account: &str| json!({"metadata": {"namespace": "ns", "name": "t", "annotations": {"kubernetes.io/service-account.name": account}}});
    let scene = |a: &str| {
        Scene::default().with(Listing::token_secret, of(a)).agent("a", json!({"serviceAccountName": "x"}))
    };
    let what = "pod/a in ns: Secret t has a token of account x that never ends";
    assert_eq!(scene("x").found(Crack::LongLivedKeys), (1, vec![what.to_owned()]));
    assert_eq!(scene("y").agents_with(Crack::LongLivedKeys), 0);
}

#[rstest]
#[case(json!({"a8r.io/owner": "team-x"}), "no expiry, no justification; owner team-x (a8r.io/owner)")]
#[case(json!({"backstage.io/kubernetes-owner": "group:x"}), "no expiry, no justification; owner group:x (backstage.io/kubernetes-owner)")]
#[case(json!({"a8r.io/owner": " "}), "no owner, no expiry, no justification")]
fn an_owner_named_by_other_conventions_is_named(#[case] annotations: Value, #[case] expected: &str) {
    let agent = || json!({"name": "a", "labels": {"perpro.dev/agent": "true"}});
    let mut marked = agent();
    marked["annotations"] = annotations.clone();
    let said = |scene: Scene| scene.found(Crack::Unmapped).1;
    assert_eq!(
        said(Scene::default().pod(json!({"metadata": marked, "spec": {}}))),
        [format!("pod/a in ns: {expected}")]
    );
    // The same on the namespace, or on the account.
    let named = json!({"metadata": {"name": "ns", "annotations": annotations}});
    let scene = Scene::default().with(Listing::namespace, named);
    assert_eq!(said(scene.agent("a", json!({}))), [format!("pod/a in ns: {expected}")]);
    let named = json!({"metadata": {"namespace": "ns", "name": "x", "annotations": annotations}});
    let scene = Scene::default().with(Listing::account, named);
    assert_eq!(
        said(scene.agent("a", json!({"serviceAccountName": "x"}))),
        [format!("pod/a in ns: {expected}")]
    );
}

#[test]
fn who_says_it_all_in_other_words_is_mapped() {
    let marks =
        json!({"a8r.io/owner": "x", "janitor/expires": "2027-01-01", "kubernetes.io/description": "why"});
    let pod = json!({"metadata": {"name": "a", "labels": {"perpro.dev/agent": "true"}, "annotations": marks}, "spec": {}});
    assert_eq!(Scene::default().pod(pod).agents_with(Crack::Unmapped), 0);
}

#[rstest]
#[case::all_of_a_secret(container(&json!({"envFrom": [{"secretRef": {"name": "s"}}]})), "all of Secret s by envFrom")]
#[case::a_volume_of_all(json!({"volumes": [{"name": "v", "secret": {"secretName": "s"}}]}), "all of Secret s by a volume")]
#[case::the_node(json!({"volumes": [{"name": "v", "hostPath": {"path": "/var"}}]}), "hostPath /var")]
#[case::privileged(container(&json!({"securityContext": {"privileged": true}})), "privileged")]
#[case::processes(json!({"shareProcessNamespace": true}), "shareProcessNamespace")]
fn more_than_its_own_keys(#[case] spec: Value, #[case] expected: &str) {
    assert_eq!(
        Scene::default().agent("a", spec).found(Crack::BroadKeys),
        (1, vec![format!("pod/a in ns: {expected}")])
    );
}

#[rstest]
#[case::configuration(container(&json!({"envFrom": [{"configMapRef": {"name": "c"}}]})))]
#[case::one_key(key("s"))]
#[case::keys_by_volume(json!({"volumes": [{"name": "v", "secret": {"secretName": "s", "items": [{"key": "k", "path": "k"}]}}]}))]
#[case::where_it_runs(json!({"nodeName": "n"}))]
#[case::somebody_who_looks_in(json!({"ephemeralContainers": [{"name": "debug"}]}))]
#[case::a_network_share(json!({"volumes": [{"name": "v", "nfs": {"server": "s", "path": "/"}}]}))]
fn no_more_than_its_own_keys(#[case] spec: Value) {
    assert_eq!(Scene::default().agent("a", spec).agents_with(Crack::BroadKeys), 0);
}

#[test]
fn power_is_what_nobody_had_to_ask_for() {
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]);
    let none = Scene::default().agent("a", json!({})).bound("ns", rules.clone(), account("default"));
    let report = none.report();
    assert!(report.rows.iter().filter(|r| !r.crack.can_be_closed()).all(|r| r.agents == 0));
    // A token that may do nothing names nobody, and is no power.
    let idle = || Scene::default().agent("a", unasked("x"));
    assert_eq!((idle().agents_with(Crack::NoOnBehalfOf), idle().agents_with(Crack::NoDelegation)), (1, 0));
    assert_eq!(idle().bound("ns", rules, account("x")).agents_with(Crack::NoDelegation), 1);
    assert_eq!(Scene::default().agent("a", key("s")).agents_with(Crack::NoDelegation), 1);
}

#[test]
fn others_are_counted_beside_agents_and_kubernetes_itself_is_not() {
    let row = Scene::default()
        .plain("a", json!({"shareProcessNamespace": true}))
        .pod(json!({"metadata": {"name": "mcp", "namespace": "kube-system"}, "spec": {"shareProcessNamespace": true}}))
        .row(Crack::BroadKeys);
    assert_eq!((row.agents, row.workloads, row.findings.len()), (0, Some(1), 0));
}

#[test]
fn to_impersonate_is_more_than_to_ask_who_somebody_is() {
    let rules = |resource: &str, verb: &str| json!([{"apiGroups": ["authentication.k8s.io"], "resources": [resource], "verbs": [verb]}]);
    let standing = |rules: Value| {
        let scene = Scene::default().agent("a", unasked("x")).bound("", rules, account("x"));
        scene.agents_with(Crack::NoDelegation)
    };
    assert_eq!(standing(rules("users", "impersonate:user-info")), 1);
    assert_eq!(standing(rules("tokenreviews", "create")), 0);
}
