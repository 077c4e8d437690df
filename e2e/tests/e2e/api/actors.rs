//! Others than the administrator: people by impersonation, processes and agents by their tokens.

use crate::common::{World, account_of, message, starts_with_advice, when};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::api::{Api, PostParams};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, ResourceExt};
use perpro_e2e::wait;
use serde_json::{Value, json};

/// Somebody who asks the API server for something, as a dry run: a guard that fails changes nothing.
pub struct Actor {
    pub name: String,
    client: Client,
}

/// What guards against a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// The account was never given the right.
    Rbac,
    /// It has the right, and a policy says no with this code.
    Policy(&'static str),
    /// It has the right, and perpro's webhook says no with this code.
    Webhook(&'static str),
}

impl Actor {
    /// The administrator, who holds every right: nothing but a policy refuses.
    pub fn admin(world: &World) -> Self {
        Self { name: "admin".to_owned(), client: world.client.clone() }
    }

    /// A person with a stock role in the namespace.
    pub async fn person(world: &World, name: &str, role: &str) -> Self {
        let name = format!("{name}@example.com");
        world.bind(&name, "ClusterRole", role).await;
        Self::impersonated(world, &name).await
    }

    /// Whoever the administrator says to be.
    pub async fn impersonated(world: &World, name: &str) -> Self {
        let mut groups = vec!["system:authenticated".to_owned()];
        if let Some(rest) = name.strip_prefix("system:serviceaccount:") {
            let namespace = rest.split(':').next().unwrap_or_default();
            groups.push("system:serviceaccounts".to_owned());
            groups.push(format!("system:serviceaccounts:{namespace}"));
        }
        Self::in_groups(world, name, groups).await
    }

    /// A kubelet, whether its node is there or not.
    pub async fn node(world: &World, node: &str) -> Self {
        let groups = ["system:authenticated", "system:nodes"].map(str::to_owned);
        Self::in_groups(world, &format!("system:node:{node}"), groups.to_vec()).await
    }

    /// A user with exactly these groups.
    pub async fn in_groups(world: &World, name: &str, groups: Vec<String>) -> Self {
        let mut config = config(world).await;
        config.auth_info.impersonate = Some(name.to_owned());
        config.auth_info.impersonate_groups = Some(groups);
        Self { name: name.to_owned(), client: Client::try_from(config).unwrap() }
    }

    /// The holder of a token of an account.
    pub async fn token(world: &World, namespace: &str, account: &str) -> Self {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
        let answer = Self::admin(world).sends("POST", &path, token_request(None)).await.unwrap();
        Self::holds(world, account, &answer).await
    }

    /// An agent: the holder of the token that its pod's node is given.
    pub async fn agent(world: &World, pod: &Pod) -> Self {
        let node = world.place(pod).await;
        let account = account_of(pod);
        let path = world.path("v1", &format!("serviceaccounts/{account}/token"));
        let answer = world
            .eventually("the node should have a token", async || {
                // The authorizer of nodes reads an informer.
                match node.sends("POST", &path, token_request(Some(pod))).await {
                    Ok(answer) => wait::ready(answer),
                    Err(error) => wait::not_yet(error),
                }
            })
            .await;
        Self::holds(world, &account, &answer).await
    }

    async fn holds(world: &World, account: &str, answer: &Value) -> Self {
        let mut config = config(world).await;
        config.auth_info =
            serde_json::from_value::<AuthInfo>(json!({"token": answer["status"]["token"]})).unwrap();
        Self { name: account.to_owned(), client: Client::try_from(config).unwrap() }
    }

    /// Asks, as a dry run unless it only reads; the answer, or what the API server said.
    pub async fn asks(&self, method: &str, path: &str, body: Value) -> Result<Value, String> {
        let mark = if path.contains('?') { '&' } else { '?' };
        self.sends(method, &format!("{path}{mark}dryRun=All"), body).await
    }

    /// Asks in earnest.
    pub async fn sends(&self, method: &str, path: &str, body: Value) -> Result<Value, String> {
        let content = match method {
            "PATCH" if path.contains("fieldManager=") => "application/apply-patch+yaml",
            "PATCH" if body.is_array() => "application/json-patch+json",
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        let request = http::Request::builder().method(method).uri(path).header("content-type", content);
        let body = if body.is_null() { vec![] } else { serde_json::to_vec(&body).unwrap() };
        self.client.request::<Value>(request.body(body).unwrap()).await.map_err(message)
    }

    /// The API server would do it.
    pub async fn may(&self, method: &str, path: &str, body: Value) {
        if let Err(error) = self.asks(method, path, body).await {
            panic!("{} could not {method} {path}: {error}", self.name);
        }
    }

    /// It would not, because of this guard and of no other.
    pub async fn may_not(&self, guard: Guard, method: &str, path: &str, body: Value) {
        let what = format!("{method} {path} {body}");
        self.refused(guard, &self.asks(method, path, body).await, &what);
    }

    /// It does not let them connect, which can't be tried as a dry run.
    pub async fn may_not_connect(&self, guard: Guard, method: &str, path: &str) {
        let answer = self.sends(method, path, Value::Null).await;
        self.refused(guard, &answer, &format!("{method} {path}"));
    }

    fn refused(&self, guard: Guard, answer: &Result<Value, String>, what: &str) {
        let refused = guard.refused(&self.name, answer);
        refused.unwrap_or_else(|why| panic!("{why}: {} {what}: {answer:?}", self.name));
    }
}

impl Guard {
    /// Whether it was this guard, and no other, that refused what an actor asked for.
    fn refused<T>(self, actor: &str, answer: &Result<T, String>) -> Result<(), String> {
        let Err(error) = answer else { return Err("allowed".to_owned()) };
        match self {
            Self::Rbac if error.contains(" cannot ") && error.contains(actor) => Ok(()),
            Self::Rbac => Err("RBAC should refuse".to_owned()),
            Self::Policy(code) => {
                let said = error.split_once("denied request: ").map(|(_, said)| said);
                let said = said.ok_or(format!("{code}: no policy refused"))?;
                starts_with_advice(said, code)
            }
            Self::Webhook(code) => {
                let said = error.split_once(".perpro.dev\" denied the request: ").map(|(_, said)| said);
                let said = said.ok_or(format!("{code}: no webhook of perpro refused"))?;
                starts_with_advice(said, code)
            }
        }
    }
}

/// What asks for a token, bound to a pod if one is given.
pub fn token_request(pod: Option<&Pod>) -> Value {
    let bound = pod.map(|p| json!({"apiVersion": "v1", "kind": "Pod", "name": p.name_any(), "uid": p.uid()}));
    json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {},
        "spec": {"audiences": [], "expirationSeconds": 1200, "boundObjectRef": bound}})
}

async fn config(world: &World) -> Config {
    let kubeconfig = Kubeconfig::read_from(world.cluster.kubeconfig()).unwrap();
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap()
}

impl World {
    /// Gives a user of the namespace a role, and waits until that counts.
    pub async fn bind(&self, user: &str, kind: &str, role: &str) {
        let object = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"generateName": "test-"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]
        });
        self.bindings()
            .create(&PostParams::default(), &serde_json::from_value(object).unwrap())
            .await
            .unwrap();
        let rules = match kind {
            "Role" => self.roles().get(role).await.unwrap().rules,
            _ => Api::<ClusterRole>::all(self.client.clone()).get(role).await.unwrap().rules,
        };
        self.rules_count(user, &json!(rules.unwrap_or_default())).await;
    }

    /// Lets a user do what these rules say in the whole cluster, and waits until that counts. `check` is one of the
    /// things: verb, group and resource.
    pub async fn grant_everywhere(&self, user: &str, rules: Value, check: [&str; 3]) {
        let name = format!("{}-{}", self.namespace, user.replace('@', "-"));
        let role = json!({"metadata": {"name": name}, "rules": rules});
        let binding = json!({"metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]});
        let admin = Actor::admin(self);
        let root = "/apis/rbac.authorization.k8s.io/v1";
        admin.sends("POST", &format!("{root}/clusterroles"), role).await.unwrap();
        admin.sends("POST", &format!("{root}/clusterrolebindings"), binding).await.unwrap();
        let [verb, group, resource] = check;
        self.counts(
            user,
            json!({"verb": verb, "group": group, "resource": resource, "name": self.namespace}),
        )
        .await;
    }

    /// Waits until a user may do this: the authorizer reads an informer.
    pub async fn counts(&self, user: &str, what: Value) {
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {"user": user, "resourceAttributes": what}});
        let admin = Actor::admin(self);
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        self.eventually(&format!("what {user} was given should count"), async || {
            let answer = admin.sends("POST", path, review.clone()).await.unwrap();
            when(answer["status"]["allowed"] == true, "it does not")
        })
        .await;
    }

    /// Puts a pod on a node, which need not be there.
    pub async fn place(&self, pod: &Pod) -> Actor {
        let name = format!("{}-node", self.namespace);
        let binding = json!({"metadata": {"name": pod.name_any()},
            "target": {"apiVersion": "v1", "kind": "Node", "name": name}});
        let path = self.path("v1", &format!("pods/{}/binding", pod.name_any()));
        Actor::admin(self).sends("POST", &path, binding).await.unwrap();
        Actor::node(self, &name).await
    }

    /// Path of a resource of the namespace.
    pub fn path(&self, group: &str, resource: &str) -> String {
        let root = match group {
            "v1" => "/api/v1".to_owned(),
            group => format!("/apis/{group}"),
        };
        format!("{root}/namespaces/{}/{resource}", self.namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::Guard;

    const FORBIDDEN: &str = "configmaps is forbidden: User \"eve\" cannot create resource \"configmaps\"";
    const POLICY: &str = "configmaps \"x\" is forbidden: ValidatingAdmissionPolicy 'perpro-pods' with binding \
        'perpro-pods' denied request: AID080 metadata.labels: leave labels alone";

    fn refused(guard: Guard, answer: Result<(), &str>) -> bool {
        guard.refused("eve", &answer.map_err(str::to_owned)).is_ok()
    }

    #[test]
    fn only_a_no_of_the_guard_itself_counts_as_its_refusal() {
        let policy = Guard::Policy("AID080");
        assert!(refused(Guard::Rbac, Err(FORBIDDEN)) && refused(policy, Err(POLICY)));
        for guard in [Guard::Rbac, policy] {
            assert!(!refused(guard, Ok(())), "{guard:?}: it was allowed");
            assert!(!refused(guard, Err("pods \"x\" not found")), "{guard:?}");
            assert!(!refused(guard, Err("Pod \"x\" is invalid: spec: Forbidden")), "{guard:?}");
        }
        assert!(!refused(Guard::Rbac, Err(POLICY)) && !refused(policy, Err(FORBIDDEN)));
        assert!(!refused(Guard::Rbac, Err(&FORBIDDEN.replace("eve", "joe"))), "somebody else was refused");
        assert!(!refused(policy, Err(&POLICY.replace("AID080", "AID081"))), "another rule");
        let webhook = "admission webhook \"all.pods.perpro.dev\" denied the request: AID080 spec: no";
        assert!(!refused(policy, Err(webhook)) && refused(Guard::Webhook("AID080"), Err(webhook)));
        assert!(!refused(Guard::Webhook("AID080"), Err(POLICY)));
        let foreign = Err("admission webhook \"x\" denied the request: AID080 spec: no");
        assert!(!refused(Guard::Webhook("AID080"), foreign));
        let broken =
            "ValidatingAdmissionPolicy 'perpro-pods' denied request: expression 'AID080' resulted in error";
        assert!(!refused(policy, Err(broken)), "a policy that is broken");
        assert!(!refused(policy, Err("denied request: AID080 without a word of advice")));
    }
}
