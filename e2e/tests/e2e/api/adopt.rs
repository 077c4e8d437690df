//! `perpro adopt`: what it writes of a workload is applied as it is, by the real kubectl.

use crate::common::perpro::Said;
use crate::common::{World, account_of, gated, pod};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DynamicObject, ListParams, PostParams};
use kube::discovery::ApiResource;
use perpro_e2e::command::command;
use perpro_e2e::wait;
use serde_json::{Value, json};
use std::process::Stdio;
use tokio::io::AsyncWriteExt;

/// What a person says of the agent.
const SAID: [&str; 6] = [
    "--owner",
    "user:jane@example.com",
    "--expires",
    "90d",
    "--justification",
    "Reads feedback and answers it.",
];

/// The values of the Secrets, which nobody may ever see.
const VALUE: &str = "dmVyeS1zZWNyZXQtdmFsdWU=";

impl World {
    async fn make(&self, version: &str, kind: &str, object: Value) {
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let gvk = kube::core::GroupVersionKind::gvk(group, version, kind);
        let api = Api::<DynamicObject>::namespaced_with(
            self.client.clone(),
            &self.namespace,
            &ApiResource::from_gvk(&gvk),
        );
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }

    /// A Deployment with an account of its own and Secrets in every form, made without kubectl.
    async fn workload(&self) {
        for (name, keys) in [
            ("crm", &["api-key"] as &[_]),
            ("llm", &["OPENAI_API_KEY", "MODEL"]),
            ("tls", &["tls.crt", "tls.key"]),
        ] {
            let data: serde_json::Map<_, _> = keys.iter().map(|k| ((*k).to_owned(), json!(VALUE))).collect();
            self.make("v1", "Secret", json!({"metadata": {"name": name}, "data": data})).await;
        }
        self.make("v1", "ServiceAccount", json!({"metadata": {"name": "bot"}})).await;
        let rules = json!([
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]},
            {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
        ]);
        let rbac = "rbac.authorization.k8s.io/v1";
        self.make(rbac, "Role", json!({"metadata": {"name": "bot"}, "rules": rules})).await;
        let binding = json!({"metadata": {"name": "bot"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "bot"},
            "subjects": [{"kind": "ServiceAccount", "name": "bot", "namespace": self.namespace}]});
        self.make(rbac, "RoleBinding", binding).await;
        let spec = serde_json::to_value(pod(json!({"spec": {
            "serviceAccountName": "bot",
            "containers": [{"name": "agent",
                "env": [{"name": "CRM_KEY", "valueFrom": {"secretKeyRef": {"name": "crm", "key": "api-key"}}}],
                "envFrom": [{"secretRef": {"name": "llm"}}],
                "volumeMounts": [{"name": "tls", "mountPath": "/tls"}]}],
            "volumes": [{"name": "tls", "secret": {"secretName": "tls"}}]}})).spec).unwrap();
        let deployment = json!({"metadata": {"name": "bot"}, "spec": {
            "selector": {"matchLabels": {"app": "bot"}},
            "template": {"metadata": {"labels": {"app": "bot"}}, "spec": spec}}});
        self.make("apps/v1", "Deployment", deployment).await;
    }

    async fn adopt(&self, more: &[&str]) -> Said {
        let namespace = self.namespace.clone();
        let mut args = vec!["adopt", "deploy/bot", "-n", &namespace];
        args.extend(more);
        let said = self.perpro(&args).await;
        assert!(!said.out.contains(VALUE) && !said.err.contains(VALUE), "a value of a Secret was shown");
        assert!(!said.out.contains("very-secret-value") && !said.err.contains("very-secret-value"));
        said
    }

    /// `kubectl apply -f -`; whether it worked, and all that it said.
    async fn apply(&self, documents: &str) -> (bool, String) {
        let mut kubectl = command(self.cluster.kubectl());
        kubectl.arg("--kubeconfig").arg(self.cluster.kubeconfig()).args(["apply", "-f", "-"]);
        kubectl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = kubectl.spawn().unwrap();
        let mut input = running.stdin.take().unwrap();
        input.write_all(documents.as_bytes()).await.unwrap();
        drop(input);
        let output = running.wait_with_output().await.unwrap();
        let said = [output.stdout, output.stderr].map(|b| String::from_utf8(b).unwrap()).concat();
        (output.status.success(), said)
    }

    /// A pod of the Deployment that is past its gate.
    async fn running(&self) -> Pod {
        self.eventually("a pod of the Deployment should be released", async || {
            let params = ListParams::default().labels("app=bot");
            let pods = self.pods().list(&params).await.unwrap().items;
            match pods.into_iter().find(|p| !gated(p) && account_of(p).starts_with("aid-bot-")) {
                Some(pod) => wait::ready(pod),
                None => wait::not_yet("there is none"),
            }
        })
        .await
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_workload_that_is_adopted_runs_under_its_identity_and_gets_what_it_used() {
    let world = World::new("all").await;
    world.workload().await;
    let said = world.adopt(&SAID).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.err.contains("admission would admit deployment/bot under AgentIdentity \"bot\""),
        "{said:?}"
    );
    assert!(said.err.contains("it has the keys MODEL, OPENAI_API_KEY"), "{said:?}");
    assert!(said.err.contains("left out: get secrets (Role bot)"), "{said:?}");

    let (applied, told) = world.apply(&said.out).await;
    assert!(applied, "{told}\n{}", said.out);
    let pod = world.running().await;
    let account = account_of(&pod);
    assert!(world.may(&account, "get", "configmaps").await);
    assert!(world.may(&account, "list", "configmaps").await);
    assert!(!world.may(&account, "get", "secrets").await);
    let spec = serde_json::to_value(pod.spec).unwrap();
    let agent = spec["containers"].as_array().unwrap().iter().find(|c| c["name"] == "agent").unwrap();
    let mut env: Vec<_> =
        agent["env"].as_array().unwrap().iter().map(|e| e["name"].as_str().unwrap()).collect();
    env.sort_unstable();
    assert_eq!(env, ["CRM_KEY", "MODEL", "OPENAI_API_KEY"]);
    assert!(agent["envFrom"].as_array().is_none_or(Vec::is_empty), "{agent}");
    let tls = spec["volumes"].as_array().unwrap().iter().find(|v| v["name"] == "tls").unwrap();
    let items = json!([{"key": "tls.crt", "path": "tls.crt"}, {"key": "tls.key", "path": "tls.key"}]);
    assert_eq!(tls["secret"]["items"], items);

    let again = world.adopt(&[]).await;
    assert_eq!((again.code, again.out.as_str()), (Some(0), ""), "{again:?}");
    assert_eq!(again.err, "deployment/bot runs under AgentIdentity \"bot\" already: nothing is left to do\n");
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_only_a_person_knows_is_refused_in_words_until_they_say_it() {
    let world = World::new("all").await;
    world.workload().await;
    let said = world.adopt(&[]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.err
            .starts_with("fill in what only you know, or say it by --owner, --expires, --justification: "),
        "{said:?}"
    );
    // The owner, the end, why, and a date for each of three Secrets.
    assert!(said.err.ends_with("admission would refuse 6 things\n"), "{said:?}");
    let (applied, told) = world.apply(&said.out).await;
    assert!(!applied, "{told}");
    assert!(told.contains("spec.expiresAt") && told.contains("FILL IN until when"), "{told}");
    assert!(world.identities().get_opt("bot").await.unwrap().is_none());
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn who_may_not_read_a_secret_is_told_that_its_keys_are_not_known() {
    let world = World::new("all").await;
    world.workload().await;
    world
        .grant(
            "mia",
            json!([{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list"]}]),
        )
        .await;
    let args =
        ["adopt", "deploy/bot", "-n", &world.namespace, SAID[0], SAID[1], SAID[2], SAID[3], SAID[4], SAID[5]];
    let said = world.perpro_changed(|config| config["users"][0]["user"]["as"] = json!("mia"), &args).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("its keys can't be listed: you may not read it"), "{said:?}");
    assert!(said.err.contains("what service account \"bot\" holds is not known"), "{said:?}");
    assert!(said.out.contains("# AID012: container \"agent\" takes all of Secret \"llm\""), "{said:?}");
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_is_not_there_is_told_and_what_another_made_is_not_adopted() {
    let world = World::new("all").await;
    world.workload().await;
    let said = world.perpro(&["adopt", "deploy/nobody", "-n", &world.namespace]).await;
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(
        said.err.contains(&format!("there is no deployment/nobody in namespace \"{}\"", world.namespace)),
        "{said:?}"
    );
    let replica_set = world
        .eventually("the Deployment should have made a ReplicaSet", async || {
            let gvk = kube::core::GroupVersionKind::gvk("apps", "v1", "ReplicaSet");
            let resource = ApiResource::from_gvk(&gvk);
            let api =
                Api::<DynamicObject>::namespaced_with(world.client.clone(), &world.namespace, &resource);
            match api.list(&ListParams::default()).await.unwrap().items.pop() {
                Some(found) => wait::ready(found.metadata.name.unwrap()),
                None => wait::not_yet("there is none"),
            }
        })
        .await;
    let said = world.perpro(&["adopt", "rs", &replica_set, "-n", &world.namespace]).await;
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("is made by deployment/bot: adopt that"), "{said:?}");
}
