//! Webhooks of others that are asked after perpro's, and creates that are tried again: nobody is refused for what is
//! harmless, nothing gets past, and what is left of a refused pod has no power.

use std::collections::BTreeSet;

use futures::future::join_all;
use kube::ResourceExt;
use kube::api::PostParams;
use perpro_core::names;
use perpro_e2e::wait;
use serde_json::{Value, json};

use crate::common::later::{Answer, Later};
use crate::common::{World, account_of, agent, message, when};

/// Says which change a pod is to suffer.
const CHANGE: &str = "later.test/change";

/// The changes, by name.
fn change(pod: &Value) -> Answer {
    let place = |list: &str, name: &str| {
        let of = |value: &Value| value["name"].as_str().is_some_and(|it| it.starts_with(name));
        pod["spec"][list].as_array().and_then(|list| list.iter().position(of)).unwrap_or_default()
    };
    let remove = |path: &str| json!([{"op": "remove", "path": path}]);
    let add = |path: &str, value: Value| json!([{"op": "add", "path": path, "value": value}]);
    let annotation = |name: &str| format!("/metadata/annotations/{}", name.replace('/', "~1"));
    let container = |name: &str| {
        json!({"name": name, "image": "perpro-tests", "securityContext":
            {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}})
    };
    let agent = place("containers", "agent");
    let token = json!({"name": "istio-token", "projected": {"sources": [
        {"serviceAccountToken": {"audience": "istio-ca", "path": "token", "expirationSeconds": 3600}}]}});
    Answer::Patch(match pod["metadata"]["labels"][CHANGE].as_str() {
        Some("removes-gate") => remove("/spec/schedulingGates"),
        Some("removes-stamp") => remove(&annotation(names::IDENTITY_UID)),
        Some("forges-stamp") => add(&annotation(names::IDENTITY_UID), json!("other")),
        Some("removes-mount") => {
            let mounts = &pod["spec"]["containers"][agent]["volumeMounts"];
            let at =
                mounts.as_array().and_then(|m| m.iter().position(|m| m["mountPath"] == names::TOKEN_DIR));
            remove(&format!("/spec/containers/{agent}/volumeMounts/{}", at.unwrap_or_default()))
        }
        Some("removes-key") => remove(&format!("/spec/containers/{agent}/env/{}", 0)),
        Some("changes-account") => json!([
            {"op": "replace", "path": "/spec/serviceAccountName", "value": "default"},
            {"op": "replace", "path": "/spec/serviceAccount", "value": "default"}]),
        Some("mounts-default-token") => add("/spec/automountServiceAccountToken", json!(true)),
        Some("adds-foreign-token") => add("/spec/volumes/-", token),
        Some("adds-whole-secret") => {
            add(&format!("/spec/containers/{agent}/envFrom"), json!([{"secretRef": {"name": "crm"}}]))
        }
        Some("adds-mark") => add("/metadata/labels/perpro.dev~1owner", json!("jane")),
        Some("adds-sidecar") => add("/spec/containers/-", container("mesh")),
        Some("adds-native-sidecar") => {
            let mut mesh = container("mesh");
            mesh["restartPolicy"] = json!("Always");
            add("/spec/initContainers", json!([mesh]))
        }
        Some("adds-scratch-space") => add("/spec/volumes/-", json!({"name": "mesh", "emptyDir": {}})),
        Some("adds-variable") => {
            add(&format!("/spec/containers/{agent}/env/-"), json!({"name": "MESH", "value": "on"}))
        }
        Some("adds-annotation") => add("/metadata/annotations/mesh.test~1injected", json!("true")),
        Some("adds-toleration") => add("/spec/tolerations/-", json!({"key": "spot", "operator": "Exists"})),
        Some("adds-gate") => add("/spec/schedulingGates/-", json!({"name": "quota.test/queue"})),
        Some("rewrites-image") => json!([{"op": "replace", "path": format!("/spec/containers/{agent}/image"),
            "value": "mirror.test/perpro-tests"}]),
        _ => return Answer::Allow,
    })
}

fn judge(pod: &Value) -> Answer {
    if pod["metadata"]["labels"][CHANGE] == "denies" {
        Answer::Deny("not on a Friday")
    } else {
        Answer::Allow
    }
}

fn suffering(change: &str) -> k8s_openapi::api::core::v1::Pod {
    agent(json!({"metadata": {"name": change, "labels": {CHANGE: change}}}))
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn whatever_a_later_webhook_does_no_power_gets_past_and_nothing_harmless_is_refused() {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    let later = Later::start(&world, change, judge).await;
    world
        .eventually("the later webhooks should be asked", async || {
            let params = PostParams { dry_run: true, ..PostParams::default() };
            match world.pods().create(&params, &suffering("denies")).await.map_err(message) {
                Err(error) if error.contains("Friday") => wait::ready(()),
                other => wait::not_yet(format!("{:?}", other.map(|_| ()))),
            }
        })
        .await;
    assert!(world.instance_accounts().await.is_empty(), "a dry run left an account");

    let refused = [
        ("denies", "Friday"),
        ("removes-gate", "AID019"),
        ("removes-stamp", "AID019"),
        ("forges-stamp", "AID009"),
        ("removes-mount", "AID023"),
        ("removes-key", "AID023"),
        ("changes-account", "AID018"),
        ("mounts-default-token", "AID019"),
        ("adds-foreign-token", "AID011"),
        ("adds-whole-secret", "AID012"),
        ("adds-mark", "AID009"),
    ];
    for (change, why) in refused {
        let created = world.pods().create(&PostParams::default(), &suffering(change)).await;
        let told = created.map(|pod| pod.spec).map_err(message).expect_err(change);
        assert!(told.contains(why), "{change}: {told}");
    }
    // The account of each was minted before the change was known. It is nobody's, and goes after five minutes.
    let left: Vec<_> = world.instance_accounts().await.iter().map(|account| account.name_any()).collect();
    assert!(left.len() <= refused.len(), "{left:?}");
    for account in &left {
        assert!(!world.may(account, "get", "configmaps").await);
    }

    let harmless = [
        "adds-sidecar",
        "adds-native-sidecar",
        "adds-scratch-space",
        "adds-variable",
        "adds-annotation",
        "adds-toleration",
        "adds-gate",
        "rewrites-image",
    ];
    join_all(harmless.map(|change| {
        let world = &world;
        async move {
            world.accepts(&suffering(change)).await;
            let pod = world.released(change).await;
            assert!(world.may(&account_of(&pod), "get", "configmaps").await, "{change}");
        }
    }))
    .await;
    later.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_create_that_is_tried_again_has_one_live_account() {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    let pod = agent(json!({}));
    let tries = join_all(
        (0..8).map(|_| async { world.pods().create(&PostParams::default(), &pod).await.map_err(message) }),
    )
    .await;
    let (made, refused): (Vec<_>, Vec<_>) = tries.into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), 1);
    assert!(refused.iter().all(|it| it.as_ref().is_err_and(|e| e.contains("already exists"))), "{refused:?}");

    let account = account_of(&world.released("pod").await);
    let accounts = world.instance_accounts().await;
    let claimed = |name: &str| {
        accounts
            .iter()
            .any(|it| it.name_any() == name && it.annotations().contains_key(names::CLAIMED_BY_UID))
    };
    let live: BTreeSet<_> = accounts.iter().map(ResourceExt::name_any).filter(|name| claimed(name)).collect();
    assert_eq!(live, BTreeSet::from([account.clone()]));
    for other in accounts.iter().map(ResourceExt::name_any).filter(|name| *name != account) {
        assert!(!world.may(&other, "get", "configmaps").await, "{other}");
    }
    world
        .eventually("the rest should have no binding", async || {
            let bindings = world.bindings().list(&Default::default()).await.unwrap().items;
            when(bindings.len() == 1, &format!("{} bindings", bindings.len()))
        })
        .await;
}
