//! Others than the administrator: people by impersonation, processes and agents by their tokens.

use crate::common::{World, message, starts_with_advice};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{Api, PostParams};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, ResourceExt};
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
        let mut config = config(world).await;
        config.auth_info.impersonate = Some(name.to_owned());
        config.auth_info.impersonate_groups = Some(groups);
        Self { name: name.to_owned(), client: Client::try_from(config).unwrap() }
    }

    /// The holder of a token of an account, bound to a pod if one is given.
    pub async fn token(world: &World, namespace: &str, account: &str, pod: Option<&Pod>) -> Self {
        let bound =
            pod.map(|p| json!({"apiVersion": "v1", "kind": "Pod", "name": p.name_any(), "uid": p.uid()}));
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "metadata": {}, "spec": {"audiences": [], "expirationSeconds": 1200, "boundObjectRef": bound}
        });
        let request: TokenRequest = serde_json::from_value(request).unwrap();
        let accounts = Api::<ServiceAccount>::namespaced(world.client.clone(), namespace);
        let answer = accounts.create_token_request(account, &PostParams::default(), &request).await.unwrap();
        let mut config = config(world).await;
        config.auth_info =
            serde_json::from_value::<AuthInfo>(json!({"token": answer.status.unwrap().token})).unwrap();
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
        let what = format!("{} {method} {path} {body}", self.name);
        let answer = self.asks(method, path, body).await;
        guard.refused(&self.name, &answer).unwrap_or_else(|why| panic!("{why}: {what}: {answer:?}"));
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
        }
    }
}

async fn config(world: &World) -> Config {
    let kubeconfig = Kubeconfig::read_from(world.cluster.kubeconfig()).unwrap();
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap()
}

impl World {
    /// Gives a user of the namespace a role.
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
        assert!(!refused(policy, Err("admission webhook \"x\" denied the request: AID080 spec: no")));
        let broken =
            "ValidatingAdmissionPolicy 'perpro-pods' denied request: expression 'AID080' resulted in error";
        assert!(!refused(policy, Err(broken)), "a policy that is broken");
        assert!(!refused(policy, Err("denied request: AID080 without a word of advice")));
    }
}
