//! What the tests on a real API server share: a namespace of one's own, pods and identities to
//! start from, and three ways to ask: `accepts`, `rejects`, `eventually`.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test binary uses a part; a panic is a report"
)]

pub mod later;
mod objects;
pub mod perpro;

pub use objects::{account_of, agent, gated, merge, pod, uid, usual_spec};

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Client;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use perpro_core::api::{AgentIdentity, AgentPolicy};
use perpro_core::names;
use perpro_e2e::cache::Cache;
use perpro_e2e::cluster::{Cluster, Options};
use perpro_e2e::wait::{self, Probe};
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Longest wait for what the product promises within seconds.
pub const SOON: Duration = Duration::from_secs(30);

/// A namespace of the test's own on the cluster in `PERPRO_E2E_DIR`.
pub struct World {
    pub cluster: Cluster,
    pub client: Client,
    pub namespace: String,
}

/// The cluster that `e2e/test` started.
pub async fn cluster() -> Cluster {
    // kube asks rustls for a provider; the test binary has to name it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let dir = std::env::var_os("PERPRO_E2E_DIR").map(PathBuf::from);
    assert!(
        dir.is_some(),
        "set PERPRO_E2E_DIR to the folder of a cluster with perpro installed; e2e/test does"
    );
    Cluster::open(&Cache::from_env().unwrap(), &Options { dir, ..Options::default() }).unwrap()
}

impl World {
    /// A namespace that enforces `mode` ("all", "agents"), or nothing when empty. Its policy
    /// lets identities read and write ConfigMaps.
    pub async fn new(mode: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let cluster = cluster().await;
        let client = cluster.client().await.unwrap();
        let namespace = format!("t{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let world = Self { cluster, client, namespace };
        let mut labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        if !mode.is_empty() {
            labels[names::ENFORCE_LABEL] = json!(mode);
        }
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": world.namespace, "labels": labels}});
        let namespaces = Api::<Namespace>::all(world.client.clone());
        namespaces.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        world
            .set_policy(&[
                json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "update"]}),
            ])
            .await;
        if mode.is_empty() {
            return world;
        }
        // A webhook's namespaceSelector reads an informer: wait until the label counts.
        world
            .eventually("the namespace should be governed", async || {
                let plain = json!({"metadata": {"name": "probe", "labels": {names::AGENT_LABEL: "true"}}});
                match world.try_create(&pod(plain), true).await {
                    Err(error) if error.contains("AID001") => wait::ready(()),
                    other => wait::not_yet(format!("{other:?}")),
                }
            })
            .await;
        world
    }

    /// Makes the namespace's policy hold these permissions.
    pub async fn set_policy(&self, permissions: &[Value]) {
        self.set_ceiling(json!({"permissions": permissions})).await;
    }

    /// Makes this the namespace's policy, with short times where it says nothing.
    pub async fn set_ceiling(&self, change: Value) {
        let mut spec = json!({"namespaces": [self.namespace], "drainSeconds": 2, "kubernetesTokenSeconds": 700, "maxLifetimeDays": 3650});
        merge(&mut spec, change);
        let policy = json!({
            "apiVersion": "perpro.dev/v1alpha1", "kind": "AgentPolicy", "metadata": {"name": self.namespace}, "spec": spec
        });
        let policies = Api::<AgentPolicy>::all(self.client.clone());
        let params = PatchParams::apply("test").force();
        policies.patch(&self.namespace, &params, &Patch::Apply(&policy)).await.unwrap();
    }

    /// Creates an identity named `name` whose spec is the usual one with `change` merged in.
    pub async fn identity(&self, name: &str, change: Value) -> AgentIdentity {
        self.try_identity(name, change).await.unwrap()
    }

    pub async fn try_identity(&self, name: &str, change: Value) -> Result<AgentIdentity, String> {
        let mut spec = usual_spec();
        merge(&mut spec, change);
        self.apply_as(&self.client, name, spec).await
    }

    /// Creates or replaces an identity in the name of whoever the client speaks for.
    pub async fn apply_as(&self, client: &Client, name: &str, spec: Value) -> Result<AgentIdentity, String> {
        // As text: an invalid identity must reach the API server, which our types would stop.
        let object = json!({"apiVersion": "perpro.dev/v1alpha1", "kind": "AgentIdentity", "metadata": {"name": name}, "spec": spec});
        let path = format!(
            "/apis/perpro.dev/v1alpha1/namespaces/{}/agentidentities?fieldValidation=Strict",
            self.namespace
        );
        let request = http::Request::post(path).header("content-type", "application/json");
        let request = request.body(serde_json::to_vec(&object).unwrap()).unwrap();
        client.request(request).await.map_err(message)
    }

    /// A client that speaks for another user.
    pub async fn as_user(&self, user: &str, groups: &[&str]) -> Client {
        let mut config = self.cluster.config().await.unwrap();
        config.auth_info.impersonate = Some(user.to_owned());
        config.auth_info.impersonate_groups = Some(groups.iter().map(|&g| g.to_owned()).collect());
        Client::try_from(config).unwrap()
    }

    /// Lets a user do what these rules say in this namespace.
    pub async fn grant(&self, user: &str, rules: Value) {
        let name = user.replace([':', '@'], "-");
        let role = json!({"metadata": {"name": name}, "rules": rules});
        let binding = json!({"metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]});
        let params = PostParams::default();
        self.roles().create(&params, &serde_json::from_value(role).unwrap()).await.unwrap();
        self.bindings().create(&params, &serde_json::from_value(binding).unwrap()).await.unwrap();
        self.rules_count(user, &rules).await;
    }

    /// Waits until a user may do what each of these rules says: the authorizer reads informers, one of roles and one of
    /// bindings, and what others gave the user says nothing of these.
    pub async fn rules_count(&self, user: &str, rules: &Value) {
        let reviews = Api::<SubjectAccessReview>::all(self.client.clone());
        for rule in rules.as_array().into_iter().flatten().filter(|r| r["resources"].is_array()) {
            let resource = rule["resources"][0].as_str().unwrap();
            let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
            let attributes = json!({"namespace": self.namespace, "group": rule["apiGroups"][0], "resource": resource,
                "subresource": subresource, "name": rule["resourceNames"][0], "verb": rule["verbs"][0]});
            let review = json!({"spec": {"user": user, "resourceAttributes": attributes}});
            self.eventually("what was granted should count", async || {
                let review = serde_json::from_value(review.clone()).unwrap();
                let answer = reviews.create(&PostParams::default(), &review).await.unwrap();
                when(answer.status.unwrap().allowed, &format!("{review:?} does not"))
            })
            .await;
        }
    }

    pub fn identities(&self) -> Api<AgentIdentity> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn accounts(&self) -> Api<ServiceAccount> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn bindings(&self) -> Api<RoleBinding> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn roles(&self) -> Api<Role> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    async fn try_create(&self, pod: &Pod, dry_run: bool) -> Result<Pod, String> {
        let params = PostParams { dry_run, ..PostParams::default() };
        self.pods().create(&params, pod).await.map_err(message)
    }

    /// The API server takes the pod.
    pub async fn accepts(&self, pod: &Pod) -> Pod {
        self.try_create(pod, false).await.unwrap_or_else(|e| panic!("refused: {e}"))
    }

    /// It would.
    pub async fn accepts_dry(&self, pod: &Pod) -> Pod {
        self.try_create(pod, true).await.unwrap_or_else(|e| panic!("refused: {e}"))
    }

    /// The API server refuses the pod with `code` first, in words that say what to do within 120
    /// characters, and nothing is left of the attempt.
    pub async fn rejects(&self, pod: &Pod, code: &str) -> String {
        let before = self.instance_accounts().await.len();
        let answer = self.try_create(pod, false).await;
        let error = refusal(&answer, code).unwrap_or_else(|why| panic!("{why}: {answer:?}")).to_owned();
        assert_eq!(self.instance_accounts().await.len(), before, "{code}: an account was left behind");
        error
    }

    /// Accounts of agents in the namespace.
    pub async fn instance_accounts(&self) -> Vec<ServiceAccount> {
        self.accounts().list(&ListParams::default().labels(names::IDENTITY_LABEL)).await.unwrap().items
    }

    /// Waits until the condition holds.
    pub async fn eventually<T>(&self, what: &str, probe: impl AsyncFnMut() -> Probe<T>) -> T {
        wait::until(what, SOON, probe).await.unwrap_or_else(|e| panic!("{e:#}"))
    }

    /// Waits until the pod has lost its gate, and returns it.
    pub async fn released(&self, name: &str) -> Pod {
        self.eventually("the pod should be released", async || {
            let pod = self.pods().get(name).await.unwrap();
            if gated(&pod) { wait::not_yet("it is gated") } else { wait::ready(pod) }
        })
        .await
    }

    /// A pod of identity `bot` is taken and released; its account.
    pub async fn released_agent(&self) -> String {
        self.accepts(&agent(json!({}))).await;
        account_of(&self.released("pod").await)
    }

    /// Waits until an object is gone.
    pub async fn gone<K>(&self, api: Api<K>, name: &str)
    where
        K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        self.eventually(&format!("{name} should be gone"), async || match api.get_opt(name).await {
            Ok(None) => wait::ready(()),
            other => wait::not_yet(format!("{:?}", other.map(|o| o.map(|o| o.meta().clone())))),
        })
        .await;
    }

    /// Whether the API server would let an account of this namespace do this.
    pub async fn may(&self, account: &str, verb: &str, resource: &str) -> bool {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(format!("system:serviceaccount:{}:{account}", self.namespace)),
                resource_attributes: Some(ResourceAttributes {
                    namespace: Some(self.namespace.clone()),
                    verb: Some(verb.to_owned()),
                    resource: Some(resource.to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let reviews = Api::<SubjectAccessReview>::all(self.client.clone());
        reviews.create(&PostParams::default(), &review).await.unwrap().status.unwrap().allowed
    }

    /// Changes the spec of an identity.
    pub async fn patch_identity(&self, name: &str, spec: Value) {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.identities().patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Waits until a condition of an identity has this status and reason.
    pub async fn condition(&self, identity: &str, kind: &str, status: &str, reason: &str) -> AgentIdentity {
        self.eventually(&format!("{kind} should be {status} ({reason})"), async || {
            let object = self.identities().get(identity).await.unwrap();
            let conditions = object.status.as_ref().map(|s| s.conditions.clone()).unwrap_or_default();
            match conditions.iter().find(|c| c.type_ == kind) {
                Some(c) if c.status == status && c.reason == reason => wait::ready(object),
                other => wait::not_yet(format!("{other:?}")),
            }
        })
        .await
    }
}

/// What the API server said, if a webhook or a policy of ours refused with `code` first.
fn refusal<'a, T>(answer: &'a Result<T, String>, code: &str) -> Result<&'a str, String> {
    let Err(error) = answer else { return Err(format!("{code}: it was accepted")) };
    let ours = error.split_once("denied the request: ").or_else(|| error.split_once("denied request: "));
    starts_with_advice(ours.ok_or(format!("{code}: not our refusal"))?.1, code)?;
    Ok(error)
}

/// Whether a refusal begins with `code`, and says what to do within 120 characters.
pub fn starts_with_advice(said: &str, code: &str) -> Result<(), String> {
    if !said.starts_with(code) {
        return Err(format!("{code} expected"));
    }
    let advice: String = said.chars().take(120).collect();
    if advice.contains(": ") { Ok(()) } else { Err(format!("{code}: code and path alone: {advice}")) }
}

/// What the API server said.
pub fn message(error: kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// A probe that is content when `holds`.
pub fn when(holds: bool, why: &str) -> Probe<()> {
    if holds { wait::ready(()) } else { ControlFlow::Continue(why.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::refusal;

    #[test]
    fn what_is_accepted_or_refused_by_somebody_else_is_no_refusal_of_ours() {
        let no = |said: &str| refusal(&Err::<(), _>(said.to_owned()), "AID012").is_ok();
        assert!(no(
            "admission webhook \"all.pods.perpro.dev\" denied the request: AID012 spec.volumes[0]: list the keys"
        ));
        assert!(no("ValidatingAdmissionPolicy 'x' denied request: AID012 spec.volumes[0]: list the keys"));
        assert!(refusal(&Ok(()), "AID012").is_err(), "it was accepted");
        assert!(!no("pods \"pod\" already exists: AID012 spec: a name"));
        assert!(!no("admission webhook \"x\" denied the request: AID021 spec.volumes[0]: list the keys"));
        assert!(!no("admission webhook \"x\" denied the request: AID021 spec: no (1 more: AID012 spec)"));
        assert!(!no("admission webhook \"x\" denied the request: AID012 spec"), "no advice");
    }
}
