//! `perpro check --cluster`: identity and policy are in the cluster, manifests in a file, and the verdict is admission's.

use crate::common::{World, agent, pod, when};
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use serde_json::{Value, json};
use std::fs;

impl World {
    /// The exit code, and what is said of this manifest: codes, how severe, and where.
    async fn check(&self, manifest: &Value) -> (Option<i32>, Vec<(String, String, String)>) {
        let file = self.cluster.kubeconfig().with_file_name(format!("{}-check.json", self.namespace));
        fs::write(&file, manifest.to_string()).unwrap();
        let args = ["check", file.to_str().unwrap(), "--cluster", "-n", &self.namespace, "-o", "json"];
        let said = self.perpro(&args).await;
        fs::remove_file(file).unwrap();
        let report: Value = serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {said:?}"));
        assert_eq!((&report["pods"], &report["unreadable"]), (&json!(1), &json!([])), "{said:?}");
        let text = |finding: &Value, field: &str| finding[field].as_str().unwrap().to_owned();
        let told = |f: &Value| (text(f, "code"), text(f, "severity"), text(f, "path"));
        (said.code, report["findings"].as_array().unwrap().iter().map(told).collect())
    }

    /// The same of a pod, which the API server is asked about too: with errors it refuses the pod for the first of them,
    /// and else it takes it.
    async fn check_and_try(&self, pod: &Pod) -> Vec<(String, String, String)> {
        let (code, told) = self.check(&serde_json::to_value(pod).unwrap()).await;
        let error = told.iter().find(|(_, severity, _)| severity == "error");
        assert_eq!(code, Some(i32::from(error.is_some())), "{told:?}");
        match error {
            Some((first, _, path)) => {
                let said = self.rejects(pod, first).await;
                assert!(told.len() == 1 || said.contains("more: "), "{said} {told:?}");
                assert!(!path.is_empty());
            }
            None => {
                self.accepts_dry(pod).await;
            }
        }
        told
    }
}

fn errors(of: &[(&str, &str)]) -> Vec<(String, String, String)> {
    of.iter().map(|(code, path)| ((*code).to_owned(), "error".to_owned(), (*path).to_owned())).collect()
}

const LABEL: &str = "metadata.labels[perpro.dev/identity]";

#[tokio::test]
#[ignore = "needs a cluster"]
async fn check_says_of_a_manifest_what_admission_says_under_the_identity_and_policy_that_are_there() {
    let world = World::new("all").await;
    let permissions = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]);
    world.set_ceiling(json!({"images": ["perpro-tests"], "permissions": permissions})).await;
    let images =
        json!([{"name": "agent", "images": ["perpro-tests"]}, {"name": "tool", "images": ["perpro-tests"]}]);
    world.identity("bot", json!({"containers": images})).await;

    let image = agent(json!({"spec": {"containers": [{"name": "tool", "image": "elsewhere/tool:1"}]}}));
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    world
        .eventually("the policy should count", async || {
            let said = world.pods().create(&dry, &image).await.unwrap_err().to_string();
            when(said.contains("AID057"), &said)
        })
        .await;

    let clean = agent(json!({}));
    assert_eq!(world.check_and_try(&clean).await, []);
    // What it holds is compared with what the identity in the cluster lists.
    let key = json!({"name": "K", "valueFrom": {"secretKeyRef": {"name": "crm", "key": "unlisted"}}});
    let more = agent(json!({"spec": {"containers": [{"name": "agent", "env": [key]}]}}));
    assert_eq!(world.check_and_try(&more).await, errors(&[("AID021", "spec.containers[0].env[K]")]));
    // Images are those of the identity, under those of the policy.
    let expected = errors(&[("AID057", "spec.containers[1].image"), ("AID020", "spec.containers[1].image")]);
    assert_eq!(world.check_and_try(&image).await, expected);
    let nobody = pod(json!({}));
    assert_eq!(world.check_and_try(&nobody).await, errors(&[("AID001", LABEL)]));
    let other = pod(json!({"metadata": {"labels": {"perpro.dev/identity": "other"}}}));
    assert_eq!(world.check_and_try(&other).await, errors(&[("AID002", LABEL)]));

    // A workload is judged by its template.
    let template = json!({"metadata": more.metadata, "spec": more.spec});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {
        "selector": {"matchLabels": {"perpro.dev/identity": "bot"}}, "template": template}});
    let expected = errors(&[("AID021", "spec.template.spec.containers[0].env[K]")]);
    assert_eq!(world.check(&deployment).await, (Some(1), expected));
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn check_knows_how_the_cluster_governs_the_namespace() {
    let agents = World::new("agents").await;
    assert_eq!(agents.check(&serde_json::to_value(pod(json!({}))).unwrap()).await, (Some(0), vec![]));
    let nobody = World::new("").await;
    nobody.identity("bot", json!({})).await;
    let labelled = serde_json::to_value(agent(json!({}))).unwrap();
    assert_eq!(nobody.check(&labelled).await, (Some(1), errors(&[("AID010", LABEL)])));
    nobody.rejects(&agent(json!({})), "AID010").await;
}
