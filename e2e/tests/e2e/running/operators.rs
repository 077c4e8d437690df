//! Controllers of others, which make pods under accounts of their own for whoever writes their objects.

use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod, ServiceAccount};
use kube::api::{Api, ListParams, PostParams};
use kube::{Client, ResourceExt};
use perpro_core::names;
use serde_json::{Value, json};

use super::inside::{create, end, is_pinned, runs, told, with_token, world};
use super::kinds;
use crate::common::{World, account_of, agent, message, pod};

/// One that is as small as can be: a pod per ConfigMap, which owns it; and what stands in the way is an Event on that.
struct Operator {
    client: Client,
    namespace: String,
}

impl Operator {
    /// Gives it an account that may do what it does, and its token.
    async fn start(world: &World) -> Self {
        let account = json!({"metadata": {"name": "operator"}});
        create::<ServiceAccount>(world, account).await;
        let rules = json!([
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]},
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]},
            {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]}]);
        allow(world, "operate", rules).await;
        let answer = world
            .accounts()
            .create_token_request("operator", &PostParams::default(), &TokenRequest::default())
            .await
            .unwrap();
        let client = with_token(world, answer.status.unwrap().token.unwrap()).await;
        Self { client, namespace: world.namespace.clone() }
    }

    /// One round of its loop.
    async fn reconcile(&self, owner: &str, pod: &Pod) {
        let owners = Api::<ConfigMap>::namespaced(self.client.clone(), &self.namespace);
        let owner = owners.get(owner).await.unwrap();
        let reference = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": owner.name_any(), "uid": owner.uid(),
            "controller": true});
        let mut pod = pod.clone();
        pod.metadata.name = Some(owner.name_any());
        pod.metadata.owner_references = Some(vec![serde_json::from_value(reference).unwrap()]);
        let pods = Api::<Pod>::namespaced(self.client.clone(), &self.namespace);
        let Err(why) = pods.create(&PostParams::default(), &pod).await else { return };
        let event = json!({"metadata": {"generateName": "failed-", "namespace": self.namespace},
            "involvedObject": {"apiVersion": "v1", "kind": "ConfigMap", "name": owner.name_any(),
                "namespace": self.namespace, "uid": owner.uid()},
            "reason": "FailedCreate", "type": "Warning", "message": message(why)});
        let events = Api::<Event>::namespaced(self.client.clone(), &self.namespace);
        events.create(&PostParams::default(), &serde_json::from_value(event).unwrap()).await.unwrap();
    }
}

/// Lets the operator do this.
async fn allow(world: &World, what: &str, rules: Value) {
    let version = "rbac.authorization.k8s.io/v1";
    let role = json!({"apiVersion": version, "kind": "Role", "metadata": {"name": what}, "rules": rules});
    let binding = json!({"apiVersion": version, "kind": "RoleBinding", "metadata": {"name": what},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": what},
        "subjects": [{"kind": "ServiceAccount", "name": "operator", "namespace": world.namespace}]});
    kinds::create(world, &role).await;
    kinds::create(world, &binding).await;
}

/// What the owner has been told last.
async fn last_told(world: &World, owner: &str) -> String {
    let events = Api::<Event>::namespaced(world.client.clone(), &world.namespace);
    let about =
        ListParams::default().fields(&format!("involvedObject.kind=ConfigMap,involvedObject.name={owner}"));
    let events = events.list(&about).await.unwrap().items;
    events.into_iter().next_back().and_then(|event| event.message).unwrap_or_default()
}

#[tokio::test]
#[ignore = "needs a cluster with a node"]
async fn a_custom_controller_makes_agents_once_it_may_use_their_identity() {
    let world = world().await;
    world.identity("bot", json!({})).await;
    for name in ["nameless", "barred", "legal"] {
        create::<ConfigMap>(&world, json!({"metadata": {"name": name}})).await;
    }
    let tell = |name: &str| json!({"name": name, "args": ["tell"]});
    let agent = agent(json!({"spec": {"containers": [tell("agent"), tell("tool")]}}));
    let operator = Operator::start(&world).await;

    operator.reconcile("nameless", &pod(json!({}))).await;
    let why = last_told(&world, "nameless").await;
    assert!(why.contains("AID001") && why.contains(names::IDENTITY_LABEL), "{why}");
    operator.reconcile("barred", &agent).await;
    let why = last_told(&world, "barred").await;
    assert!(why.contains("AID084") && why.contains("\"use\"") && why.contains("\"bot\""), "{why}");

    let rule = json!({"apiGroups": ["perpro.dev"], "resources": ["agentidentities"], "resourceNames": ["bot"], "verbs": ["use"]});
    allow(&world, "use-bot", json!([rule])).await;
    world
        .eventually("it should be allowed", async || {
            operator.reconcile("legal", &agent).await;
            match world.pods().get_opt("legal").await.unwrap() {
                Some(_) => perpro_e2e::wait::ready(()),
                None => perpro_e2e::wait::not_yet(last_told(&world, "legal").await),
            }
        })
        .await;
    let pod = runs(&world, "legal").await;
    let owner = &pod.owner_references()[0];
    assert_eq!((&*owner.kind, &*owner.name), ("ConfigMap", "legal"));
    assert!(is_pinned(&world, &pod).await);
    assert!(world.may(&account_of(&pod), "get", "configmaps").await);
    told(&world, "legal", "agent").await.are_those_of_the_agent();
    told(&world, "legal", "tool").await.are_none();
    assert!(!world.may("operator", "list", "configmaps").await, "it has what it had");
    end(world).await;
}
