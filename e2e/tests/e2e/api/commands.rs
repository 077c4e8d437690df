//! The commands for people, as the real program against a real API server.

use crate::common::perpro::Said;
use crate::common::{World, agent, gated, uid, when};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Resource, ResourceExt};
use perpro_e2e::install::NAMESPACE;
use perpro_e2e::wait;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A world with identity `bot` and one released pod of it, and the pod's account.
async fn running() -> (World, String) {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    let account = world.released_agent().await;
    (world, account)
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn instances_are_listed_with_their_accounts_and_their_power() {
    let (world, account) = running().await;
    let namespace = world.namespace.as_str();
    let said = world.perpro(&["instances", "-n", namespace]).await;
    let lines: Vec<_> = said.out.lines().map(|l| l.split_whitespace().collect::<Vec<_>>()).collect();
    assert_eq!(lines[0], ["IDENTITY", "POD", "ACCOUNT", "POWER", "STATUS", "AGE"], "{said:?}");
    assert_eq!(lines[1][..5], ["bot", "pod", account.as_str(), "Live", "Pending"], "{said:?}");

    let said = world.perpro(&["instances", "-A", "-o", "json"]).await;
    let all: Value = serde_json::from_str(&said.out).unwrap();
    let ours: Vec<_> =
        all["instances"].as_array().unwrap().iter().filter(|i| i["namespace"] == namespace).collect();
    assert_eq!(ours.len(), 1);
    let pod = world.pods().get("pod").await.unwrap();
    assert_eq!(ours[0]["podUid"], json!(uid(&pod)));
    assert_eq!(ours[0]["owner"], json!("User:jane@example.com"));
    assert_eq!(ours[0]["expiresAt"], json!("2036-01-01T00:00:00Z"));

    // As a kubelet says it; there is none here.
    let waiting =
        json!({"waiting": {"reason": "CreateContainerConfigError", "message": "couldn't find key x"}});
    let agent = json!({"name": "agent", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": waiting});
    let status = json!({"status": {"containerStatuses": [agent]}});
    world.pods().patch_status("pod", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    let said = world.perpro(&["instances", "-n", namespace]).await;
    let why = "pod: container \"agent\": CreateContainerConfigError: couldn't find key x";
    assert_eq!(said.out.lines().last(), Some(why), "{said:?}");

    world.identity("idle", json!({"secrets": null, "containers": null})).await;
    let said = world.perpro(&["instances", "idle", "-n", namespace]).await;
    assert_eq!((said.code, said.out.as_str()), (Some(0), ""), "{said:?}");
    assert_eq!(said.err, format!("No instances found in {namespace} namespace.\n"));
    let said = world.perpro(&["instances", "idle", "-A"]).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), "No instances found.\n"), "{said:?}");
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_suspended_agent_has_no_power_when_the_command_says_so_and_a_resumed_one_is_ready() {
    let (world, account) = running().await;
    let namespace = world.namespace.as_str();
    let said = world.perpro(&["suspend", "bot", "-n", namespace]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(world.accounts().get_opt(&account).await.unwrap().is_none(), "{said:?}");
    assert!(!world.may(&account, "get", "configmaps").await);
    assert!(
        said.out.starts_with(&format!("{namespace}/bot is suspended: no new pod of it starts\n")),
        "{said:?}"
    );
    assert!(said.out.contains("power of 1 instance ended after "), "{said:?}");
    assert!(said.out.contains("replace crm in the systems"), "{said:?}");
    world.rejects(&agent(json!({"metadata": {"name": "new"}})), "AID006").await;

    let said = world.perpro(&["suspend", "bot", "-n", namespace]).await;
    assert!(
        said.out.contains("was suspended already") && said.out.contains("no instance had power"),
        "{said:?}"
    );

    let said = world.perpro(&["resume", "bot", "-n", namespace]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.starts_with(&format!("{namespace}/bot is resumed\nit is Ready")), "{said:?}");
    world
        .eventually("a new pod should be accepted", async || {
            let mut pod = agent(json!({}));
            pod.metadata.name = Some("again".to_owned());
            match world.pods().create(&PostParams::default(), &pod).await {
                Ok(pod) if gated(&pod) => wait::ready(()),
                Ok(_) => wait::not_yet("it has no gate"),
                Err(error) => wait::not_yet(error),
            }
        })
        .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_resumed_agent_that_is_still_not_ready_is_told_why() {
    let world = World::new("all").await;
    world
        .identity(
            "bot",
            json!({"suspended": true, "secrets": [{"name": "crm", "rotateBy": "2020-01-01T00:00:00Z"}]}),
        )
        .await;
    let said = world.perpro(&["resume", "bot", "-n", &world.namespace]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("it is not Ready (RotationOverdue): "), "{said:?}");
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn revoking_asks_first_and_then_ends_everything() {
    let (world, account) = running().await;
    let namespace = world.namespace.as_str();
    let said = world.perpro(&["revoke", "bot", "-n", namespace]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("pass --yes where nobody can be asked"), "{said:?}");
    assert!(world.identities().get_opt("bot").await.unwrap().is_some());

    let said = world.perpro(&["revoke", "bot", "--yes", "-n", namespace]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("is deleted") && said.out.contains("power of 1 instance ended"), "{said:?}");
    assert!(world.identities().get_opt("bot").await.unwrap().is_none());
    assert!(world.accounts().get_opt(&account).await.unwrap().is_none());
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_is_not_there_is_told_with_the_next_step() {
    let world = World::new("").await;
    for verb in ["suspend", "resume", "instances"] {
        let said = world.perpro(&[verb, "nobody", "-n", &world.namespace]).await;
        let expected = format!(
            "perpro: there is no AgentIdentity \"nobody\" in namespace \"{}\"; `kubectl get aid -A` lists all\n",
            world.namespace
        );
        assert_eq!((said.code, said.err), (Some(1), expected));
    }
    let said = world.perpro(&["instances", "nobody", "-A", "-o", "json"]).await;
    let expected =
        "perpro: there is no AgentIdentity \"nobody\" in any namespace; `kubectl get aid -A` lists all\n";
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(1), "", expected));
    let said = world.perpro(&["instances", "--context", "elsewhere"]).await;
    assert!(said.code == Some(1) && said.err.contains("pass --kubeconfig and --context"), "{said:?}");
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn who_may_suspend_and_not_look_has_suspended() {
    let (world, account) = running().await;
    let namespace = world.namespace.as_str();
    create::<Role>(
        &world,
        json!({"metadata": {"name": "responder"}, "rules": [
            {"apiGroups": ["perpro.dev"], "resources": ["agentidentities"], "verbs": ["get", "patch"]}]}),
    )
    .await;
    create::<RoleBinding>(
        &world,
        json!({"metadata": {"name": "responder"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "responder"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "responder"}]}),
    )
    .await;
    let as_responder = |kubeconfig: &mut Value| kubeconfig["users"][0]["user"]["as"] = json!("responder");
    let said = world.perpro_changed(as_responder, &["suspend", "bot", "-n", namespace]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.out.starts_with(&format!("{namespace}/bot is suspended: no new pod of it starts\n"))
            && said.out.contains("can't tell how many instances end, or when: "),
        "{said:?}"
    );
    world
        .eventually("the power should end", async || {
            when(world.accounts().get_opt(&account).await.unwrap().is_none(), "the account is there")
        })
        .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn an_api_server_that_is_not_there_is_one_line_with_what_to_do() {
    let world = World::new("").await;
    let nowhere = |kubeconfig: &mut Value| {
        kubeconfig["clusters"][0]["cluster"]["server"] = json!("https://127.0.0.1:1")
    };
    let said = world.perpro_changed(nowhere, &["instances"]).await;
    assert_eq!((said.code, said.out.as_str(), said.err.lines().count()), (Some(1), "", 1), "{said:?}");
    for part in
        ["perpro: can't reach the API server https://127.0.0.1:1/: ", "refused", "kubectl cluster-info"]
    {
        assert!(said.err.contains(part), "{said:?}");
    }
}

async fn create<K>(world: &World, object: Value)
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + serde::Serialize
        + std::fmt::Debug,
{
    let api = Api::<K>::namespaced(world.client.clone(), &world.namespace);
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
}

/// The Deployment of a component as the chart installs it, with one pod that says it is ready.
async fn ready_deployment(world: &World, component: &str) {
    let labels = json!({"app.kubernetes.io/name": "perpro", "app.kubernetes.io/part-of": "perpro",
        "app.kubernetes.io/component": component, "app.kubernetes.io/version": "0.1.0"});
    let container = json!({"name": component, "image": "perpro", "securityContext": {
        "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}});
    create::<Deployment>(
        world,
        json!({"metadata": {"name": format!("perpro-{component}"), "labels": labels}, "spec": {
            "replicas": 1, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container],
                "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}}}}}}),
    )
    .await;
    let selected = ListParams::default().labels(&format!("app.kubernetes.io/component={component}"));
    let pod = world
        .eventually("the Deployment should have its pod", async || {
            match world.pods().list(&selected).await.unwrap().items.pop() {
                Some(pod) => wait::ready(pod.name_any()),
                None => wait::not_yet("there is none"),
            }
        })
        .await;
    let ready = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    world.pods().patch_status(&pod, &PatchParams::default(), &Patch::Merge(ready)).await.unwrap();
}

/// Lines of problems about what the test controls; namespaces and instances belong to all tests.
fn problems(said: &Said) -> Vec<&str> {
    let about = |l: &&str| ["webhook", "controller", "certificate", "in force"].iter().any(|w| l.contains(w));
    said.out.lines().filter(|l| l.starts_with("problem: ")).filter(about).collect()
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn status_sees_what_works_and_what_does_not() {
    // Processes of this machine have no Deployment, which is a problem that a person must know.
    let world = World::new("").await;
    let said = world.perpro(&["status"]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    let missing = format!("there is no Deployment of the webhook in namespace \"{NAMESPACE}\"");
    assert!(problems(&said).iter().any(|p| p.contains(&missing)), "{said:?}");

    for component in ["webhook", "controller"] {
        ready_deployment(&world, component).await;
    }
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
    create::<Lease>(
        &world,
        json!({"metadata": {"name": "perpro-controller"},
        "spec": {"holderIdentity": "somebody", "renewTime": now, "leaseDurationSeconds": 15}}),
    )
    .await;
    let mut certificate = CertificateParams::new(vec!["perpro-webhook".to_owned()]).unwrap();
    certificate.not_after = date_time_ymd(2036, 1, 1);
    let key = KeyPair::generate().unwrap();
    let pem = certificate.self_signed(&key).unwrap().pem();
    let data = json!({"tls.crt": ByteString(pem.into_bytes()), "tls.key": ByteString(Vec::new())});
    create::<Secret>(
        &world,
        json!({"metadata": {"name": "perpro-webhook-tls"}, "type": "kubernetes.io/tls", "data": data}),
    )
    .await;

    let args = ["status", "--release-namespace", &world.namespace];
    world
        .eventually("nothing should be wrong", async || {
            let said = world.perpro(&args).await;
            let line = ["webhook      1/1 ready, certificate ", "controller   1/1 ready, leader somebody\n"];
            if line.iter().all(|l| said.out.contains(l)) && problems(&said).is_empty() {
                wait::ready(())
            } else {
                wait::not_yet(format!("{said:?}"))
            }
        })
        .await;

    let leases = Api::<Lease>::namespaced(world.client.clone(), &world.namespace);
    leases.delete("perpro-controller", &DeleteParams::default()).await.unwrap();
    let said = world.perpro(&args).await;
    assert_eq!(said.code, Some(1));
    assert!(matches!(problems(&said)[..], [problem] if problem.contains("no controller leads")), "{said:?}");
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn status_names_what_somebody_changed_in_a_policy() {
    let world = World::new("").await;
    let policies = Api::<ValidatingAdmissionPolicy>::all(world.client.clone());
    let change = async |conditions: Value| {
        let patch = Patch::Merge(json!({"spec": {"matchConditions": conditions}}));
        policies.patch("perpro-pods", &PatchParams::default(), &patch).await.unwrap();
    };
    let facts = async || -> Value {
        let said = world.perpro(&["status", "-o", "json"]).await;
        assert_eq!(said.code, Some(1), "{said:?}");
        serde_json::from_str(&said.out).unwrap()
    };
    let named = |facts: &Value| facts["policies"]["inForce"].to_string().contains("perpro-pods");
    assert!(named(&facts().await));

    // It changes nothing for the tests beside this one.
    change(json!([{"name": "somebody", "expression": "true"}])).await;
    let facts_then = facts().await;
    change(json!(null)).await;
    let problem = "ValidatingAdmissionPolicy perpro-pods: spec.matchConditions was added; restore it by ";
    assert!(!named(&facts_then), "{facts_then}");
    let problems = facts_then["problems"].as_array().unwrap();
    assert!(problems.iter().any(|p| p.as_str().unwrap().starts_with(problem)), "{facts_then}");
    assert!(named(&facts().await));
}
