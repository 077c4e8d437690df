//! `perpro scan`: what it says of a namespace, as whom, and that it writes nothing.

use crate::common::{World, pod, when};
use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::Api;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The rules that docs/scan.md prints.
fn documented_rules() -> Value {
    let page = include_str!("../../../../docs/scan.md");
    let yaml = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let role: Value = serde_yaml::from_str(yaml).unwrap();
    assert_eq!(role["kind"], "ClusterRole");
    let mut rules = role["rules"].as_array().unwrap().iter();
    assert!(
        rules.all(|r| r["verbs"] == json!(["list"])),
        "whoever has these rules can write nothing: {role}"
    );
    role["rules"].clone()
}

/// A user who has exactly these rules, everywhere.
struct Reader {
    name: String,
    roles: Api<ClusterRole>,
    bindings: Api<ClusterRoleBinding>,
}

impl Reader {
    async fn new(world: &World, suffix: &str, rules: &Value) -> Self {
        let name = format!("{}-{suffix}", world.namespace);
        let (roles, bindings) = (Api::all(world.client.clone()), Api::all(world.client.clone()));
        let reader = Self { name, roles, bindings };
        let name = &reader.name;
        let role = json!({"metadata": {"name": name}, "rules": rules});
        let binding = json!({"metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}]});
        let params = PostParams::default();
        reader.roles.create(&params, &serde_json::from_value(role).unwrap()).await.unwrap();
        reader.bindings.create(&params, &serde_json::from_value(binding).unwrap()).await.unwrap();
        let pods = Api::<Pod>::all(world.as_user(name, &[]).await);
        world
            .eventually("the reader should see pods", async || {
                when(pods.list(&ListParams::default().limit(1)).await.is_ok(), "it does not")
            })
            .await;
        reader
    }

    async fn gone(self) {
        let params = DeleteParams::default();
        self.bindings.delete(&self.name, &params).await.unwrap();
        self.roles.delete(&self.name, &params).await.unwrap();
    }
}

impl World {
    /// Runs the scan of this namespace as a user; exit code and report.
    async fn scan(&self, user: &str, more: &[&str]) -> (Option<i32>, Value, String) {
        let mut args = vec!["scan", "-n", &self.namespace, "-o", "json"];
        args.extend(more);
        let as_user = |kubeconfig: &mut Value| {
            for user_entry in kubeconfig["users"].as_array_mut().unwrap() {
                user_entry["user"]["as"] = json!(user);
            }
        };
        let said = self.perpro_changed(as_user, &args).await;
        (said.code, serde_json::from_str(&said.out).unwrap_or_default(), said.err)
    }

    /// Versions of what a scan reads in the namespace. Of pods their UID: the scheduler writes their status meanwhile.
    async fn versions(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let mut take = |kind: &str, metadata: ObjectMeta| {
            let name = format!("{kind} {}", metadata.name.unwrap_or_default());
            found.insert(name, metadata.resource_version.unwrap_or_default());
        };
        let all = ListParams::default();
        let pods = self.pods().list(&all).await.unwrap();
        pods.into_iter()
            .for_each(|o| take("pod", ObjectMeta { resource_version: o.metadata.uid.clone(), ..o.metadata }));
        self.accounts().list(&all).await.unwrap().into_iter().for_each(|o| take("account", o.metadata));
        self.roles().list(&all).await.unwrap().into_iter().for_each(|o| take("role", o.metadata));
        self.bindings().list(&all).await.unwrap().into_iter().for_each(|o| take("binding", o.metadata));
        let secrets = Api::<Secret>::namespaced(self.client.clone(), &self.namespace);
        secrets.list(&all).await.unwrap().into_iter().for_each(|o| take("secret", o.metadata));
        found
    }

    /// Two agents that share an account and a key, one that does neither, and something else.
    async fn borrowers(&self) {
        let account = json!({"metadata": {"name": "shared", "namespace": self.namespace}});
        let params = PostParams::default();
        self.accounts()
            .create(&params, &serde_json::from_value::<ServiceAccount>(account).unwrap())
            .await
            .unwrap();
        self.grant(
            &format!("system:serviceaccount:{}:shared", self.namespace),
            json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}]),
        )
        .await;
        let key =
            json!([{"name": "OPENAI_API_KEY", "valueFrom": {"secretKeyRef": {"name": "llm", "key": "k"}}}]);
        for name in ["support-agent", "sales-agent"] {
            let change = json!({"metadata": {"name": name}, "spec": {"serviceAccountName": "shared",
                "automountServiceAccountToken": true, "containers": [{"name": "agent", "env": key}]}});
            self.accepts(&pod(change)).await;
        }
        let quiet = json!({"metadata": {"name": "quiet-agent", "annotations": {"a8r.io/owner": "team-x"}},
            "spec": {"automountServiceAccountToken": false}});
        self.accepts(&pod(quiet)).await;
        let other = json!({"metadata": {"name": "node-agent"},
            "spec": {"automountServiceAccountToken": false}});
        self.accepts(&pod(other)).await;
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_reader_with_the_documented_rules_is_told_everything_and_writes_nothing() {
    let world = World::new("").await;
    world.borrowers().await;
    let reader = Reader::new(&world, "scan", &documented_rules()).await;
    let before = world.versions().await;
    let (code, report, err) = world.scan(&reader.name, &[]).await;
    assert_eq!(code, Some(1), "{report:#} {err}");
    assert_eq!((&report["workloads"], &report["pods"]), (&json!(4), &json!(4)), "{report:#}");
    let agents: Vec<_> =
        report["agents"].as_array().unwrap().iter().map(|a| a["object"]["name"].as_str().unwrap()).collect();
    assert_eq!(agents, ["quiet-agent", "sales-agent", "support-agent"]);
    let counts: Vec<_> =
        report["cracks"].as_array().unwrap().iter().map(|r| r["agents"].as_u64().unwrap()).collect();
    assert_eq!(counts, [2, 2, 2, 3, 2, 2, 0, 2], "{report:#}");
    let found =
        |crack: usize| report["cracks"][crack - 1]["findings"][0]["message"].as_str().unwrap().to_owned();
    assert!(found(2).contains("reads Secrets in"), "{}", found(2));
    assert!(found(3).contains("valid for a year"), "the API server's own default is known: {}", found(3));
    assert_eq!(report["unreadable"], json!([]), "{report:#}");
    // Secrets are not among the rules, and that is told.
    let notes = report["notes"].to_string();
    assert!(notes.contains("Secrets could not be listed (secrets is forbidden: "), "{notes}");
    assert_eq!(world.versions().await, before);

    let (code, ..) = world.scan(&reader.name, &["--fail-on", "7"]).await;
    assert_eq!(code, Some(0), "no agent has crack 7");
    let (code, ..) = world.scan(&reader.name, &["--fail-on", "none"]).await;
    assert_eq!(code, Some(0));
    reader.gone().await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_may_not_be_listed_is_told_and_is_no_zero() {
    let world = World::new("").await;
    world.borrowers().await;
    let roles: Api<ClusterRole> = Api::all(world.client.clone());
    let view = serde_json::to_value(roles.get("view").await.unwrap()).unwrap();
    let reader = Reader::new(&world, "view", &view["rules"]).await;
    let (code, report, err) = world.scan(&reader.name, &["--fail-on", "none"]).await;
    assert_eq!(code, Some(2), "{report:#} {err}");
    let gaps = report["unreadable"].to_string();
    for kind in ["Roles", "ClusterRoles", "RoleBindings", "ClusterRoleBindings"] {
        let said = format!(
            "{kind} could not be listed ({}.rbac.authorization.k8s.io is forbidden: ",
            kind.to_lowercase()
        );
        assert!(gaps.contains(&said), "{gaps}");
    }
    assert_eq!(report["cracks"][0]["agents"], 2, "what may be listed is counted");
    reader.gone().await;

    let (code, report, err) = world.scan("nobody@example.com", &[]).await;
    assert_eq!(code, Some(2), "{report:#} {err}");
    assert!(report["unreadable"].to_string().contains("Pods could not be listed"), "{report:#}");
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_page_is_written_where_it_is_asked_for_and_holds_no_markup_of_others() {
    let world = World::new("").await;
    world.borrowers().await;
    let file = world.cluster.kubeconfig().with_file_name(format!("{}.html", world.namespace));
    let path = file.to_str().unwrap().to_owned();
    let said = world.perpro(&["scan", "-n", &world.namespace, "--html", &path]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("CRACK") && said.out.contains("1 shared credentials"), "{said:?}");
    let page = std::fs::read_to_string(&file).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("support-agent"), "{page}");
    std::fs::remove_file(file).unwrap();
}
