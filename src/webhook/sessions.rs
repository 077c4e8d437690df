//! Sessions in running agents: exec, attach, port-forward, the API server's proxy, and ephemeral containers.
//!
//! A request to connect says nothing of the pod but its name, so the pod is read live: only agents' pods concern us.
//! So are identity and policies, rather than from the watches: sessions are few, and who gave an agent away a moment
//! ago must not get in.

use super::Webhook;
use super::answer::Answer;
use super::review::{Request, Review, Subject};
use crate::cluster::describe;
use jiff::Timestamp;
use kube::api::ObjectMeta;
use perpro_core::api::AgentPolicy;
use perpro_core::decide::admit::Context;
use perpro_core::decide::ceiling::Ceiling;
use perpro_core::decide::pod::AgentPod;
use perpro_core::decide::refusal::{Reason, Refusal};
use perpro_core::decide::session::{Stamp, insider, joins};
use perpro_core::model::{Identity, SecretOwners};
use perpro_core::names;
use serde::Deserialize;

/// Requests to connect to a pod, and updates of its ephemeral containers.
pub(super) const SUBJECT: Subject = Subject {
    groups: &[""],
    version: "v1",
    kinds: &["PodExecOptions", "PodAttachOptions", "PodPortForwardOptions", "PodProxyOptions", "Pod"],
    namespaced: true,
    operations: &["CONNECT", "UPDATE"],
};

/// The agent that somebody wants to get into.
struct Agent {
    /// What the pod's label says.
    label: String,
    /// Under which UID and generation of that identity the pod was admitted.
    admitted_under: Option<(String, i64)>,
    /// The identity of that name, if it is there.
    identity: Option<Identity>,
    policies: Vec<AgentPolicy>,
}

impl Webhook {
    /// Lets in the owner and break-glass groups, and everybody where no agent runs.
    pub(super) async fn judge_session(&self, review: &Review<'_>) -> Answer {
        let request = &review.request;
        let agent = match self.agent(request).await {
            Ok(Some(agent)) => agent,
            Ok(None) => return Answer::default(),
            Err(refusal) => return logged(request, None, Answer::refuse(refusal)),
        };
        let ceiling = Ceiling::of(&request.namespace, &agent.policies);
        let user = &request.user_info;
        let mut answer = Answer {
            audit: vec![("identity", format!("{}/{}", request.namespace, agent.label))],
            ..Answer::default()
        };
        let pod = Stamp {
            identity: &agent.label,
            admitted_under: agent
                .admitted_under
                .as_ref()
                .map(|(uid, generation)| (uid.as_str(), *generation)),
        };
        match insider(&user.username, &user.groups, pod, agent.identity.as_ref(), &ceiling) {
            Ok(insider) => answer.audit.push(("session", insider.name().to_owned())),
            Err(reason) => answer.refusals.push(Refusal::at(door(request), reason)),
        }
        if request.operation == "UPDATE" {
            answer.refusals.extend(added(request, &agent, &ceiling));
        }
        logged(request, Some(&agent.label), answer)
    }

    /// `None` for a pod that is not there, or is no agent's.
    async fn agent(&self, request: &Request<'_>) -> Result<Option<Agent>, Refusal> {
        let unread = |what: String, error: &kube::Error| {
            tracing::error!(
                error = describe(error),
                namespace = request.namespace,
                pod = request.name,
                "can't read what a session needs"
            );
            Refusal::at(door(request), Reason::WebhookNotReady { why: format!("{what} could not be read") })
        };
        let unreadable =
            |error: &str| Err(Refusal::at(door(request), Reason::Unreadable { error: error.to_owned() }));
        let metadata = if request.operation == "UPDATE" {
            match ObjectMeta::deserialize(&request.object["metadata"]) {
                Ok(metadata) => metadata,
                Err(_) => return unreadable("the pod has no metadata that can be read"),
            }
        } else {
            let Some(name) = pod_name(request) else { return unreadable("there is no pod of such a name") };
            let read = self.cluster.pod(&request.namespace, name).await;
            let pod = read.map_err(|error| unread(format!("pod \"{name}\""), &error))?;
            let Some(pod) = pod else { return Ok(None) };
            pod.metadata
        };
        let label = metadata.labels.as_ref().and_then(|labels| labels.get(names::IDENTITY_LABEL).cloned());
        let Some(label) = label else { return Ok(None) };
        let identity = if names::is_identity_name(&label) {
            let read = self.cluster.identity(&request.namespace, &label).await;
            read.map_err(|error| unread(format!("AgentIdentity \"{label}\""), &error))?
        } else {
            None
        };
        let policies = self.cluster.agent_policies().await;
        let policies = policies.map_err(|error| unread("AgentPolicies".to_owned(), &error))?;
        let annotation = |key| metadata.annotations.as_ref().and_then(|annotations| annotations.get(key));
        let generation =
            annotation(names::IDENTITY_GENERATION).and_then(|generation| generation.parse().ok());
        let admitted_under = annotation(names::IDENTITY_UID).cloned().zip(generation);
        Ok(Some(Agent { label, admitted_under, identity, policies }))
    }
}

/// What is wrong with the containers that somebody adds. Where there is no identity, nothing is listed for any.
fn added(request: &Request<'_>, agent: &Agent, ceiling: &Ceiling<'_>) -> Vec<Refusal> {
    let Some(identity) = &agent.identity else {
        let (identity, namespace) = (agent.label.clone(), request.namespace.clone());
        return vec![Refusal::at(door(request), Reason::UnknownIdentity { identity, namespace })];
    };
    match AgentPod::parse(request.object.text()) {
        Ok(pod) => {
            let owners = &SecretOwners::default();
            joins(&pod, Context { identity, owners, ceiling, now: Timestamp::now() })
        }
        Err(refusal) => vec![refusal],
    }
}

/// The pod that somebody connects to. To the proxy a name may come with scheme and port: `https:web-0:8443`, `web-0:80`.
fn pod_name<'a>(request: &'a Request<'_>) -> Option<&'a str> {
    let parts: Vec<_> = request.name.split(':').collect();
    let name = match (parts[..].as_ref(), request.sub_resource.as_str()) {
        ([name], _) | ([name, _] | [_, name, _], "proxy") => *name,
        _ => return None,
    };
    names::is_dns_subdomain(name).then_some(name)
}

/// Which way in: `pods/exec`.
fn door(request: &Request<'_>) -> String {
    format!("pods/{}", request.sub_resource)
}

/// One line per session of an agent.
fn logged(request: &Request<'_>, identity: Option<&str>, answer: Answer) -> Answer {
    let (namespace, pod, path) = (&request.namespace, &request.name, door(request));
    match answer.refusals.first() {
        Some(first) => {
            tracing::info!(namespace, identity, pod, code = first.code(), path, "session refused");
        }
        None => tracing::info!(namespace, identity, pod, path, "session"),
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::super::behind::Behind;
    use super::*;
    use serde_json::{Value, json};

    fn identity() -> Value {
        json!([{"apiVersion": "perpro.dev/v1alpha1", "kind": "AgentIdentity",
            "metadata": {"name": "bot", "namespace": "ns", "uid": "u", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"owner": {"kind": "User", "name": "jane"}, "expiresAt": "2199-01-01T00:00:00Z",
                "justification": "Reads feedback"}}])
    }

    fn behind() -> Behind {
        let stamp = json!({names::IDENTITY_UID: "u", names::IDENTITY_GENERATION: "1"});
        let pod = |name: &str, labels: Value| json!({"metadata": {"name": name, "labels": labels, "annotations": stamp}});
        let pods = json!([
            pod("agent", json!({names::IDENTITY_LABEL: "bot"})),
            pod("orphan", json!({names::IDENTITY_LABEL: "gone"})),
            {"metadata": {"name": "older", "labels": {names::IDENTITY_LABEL: "bot"},
                "annotations": {names::IDENTITY_UID: "u", names::IDENTITY_GENERATION: "0"}}},
            pod("plain", json!({"app": "web"})),
            {"metadata": {"name": "unreadable", "labels": {names::IDENTITY_LABEL: "bot"}}, "spec": "what?"},
        ]);
        Behind { identities: identity(), pods, ..Behind::default() }
    }

    async fn answer(behind: Behind, user: &str, pod: &str) -> Answer {
        let (pod, door) = pod.split_once(' ').unwrap_or((pod, "exec"));
        let webhook = behind.webhook().await;
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "1",
            "kind": {"group": "", "version": "v1", "kind": "PodExecOptions"}, "namespace": "ns", "name": pod,
            "operation": "CONNECT", "subResource": door, "userInfo": {"username": user},
            "object": {"apiVersion": "v1", "kind": "PodExecOptions", "command": ["sh"]}}});
        let review = serde_json::to_vec(&review).unwrap();
        webhook.judge_session(&Review::parse(&review, &SUBJECT).unwrap()).await
    }

    #[tokio::test]
    async fn an_agent_is_its_owners_and_every_other_pod_is_anybodys() {
        for (user, pod, expected) in [
            ("jane", "agent", vec![]),
            ("joe", "agent", vec!["AID095"]),
            ("jane", "orphan", vec!["AID095"]),
            ("jane", "older", vec!["AID095"]),
            ("joe", "plain", vec![]),
            ("joe", "absent", vec![]),
            ("jane", "unreadable", vec!["AID090"]),
            ("jane", "../../secrets/x", vec!["AID028"]),
            ("joe", "https:agent:8443 proxy", vec!["AID095"]),
            ("joe", "agent:http proxy", vec!["AID095"]),
            ("jane", "http:agent: proxy", vec![]),
            ("joe", "plain:80 proxy", vec![]),
            ("joe", "plain:80", vec!["AID028"]),
            ("jane", "a:https:agent:8443 proxy", vec!["AID028"]),
            ("jane", "https:../../secrets/x:1 proxy", vec!["AID028"]),
        ] {
            let answer = answer(behind(), user, pod).await;
            let codes: Vec<_> = answer.refusals.iter().map(Refusal::code).collect();
            assert_eq!(codes, expected, "{user} {pod}");
            assert!(answer.refusals.iter().all(|r| r.path.starts_with("pods/")), "{user} {pod}");
        }
    }

    #[tokio::test]
    async fn no_container_is_added_where_nobody_can_say_what_is_listed_for_it() {
        let added = async |object: Value| {
            let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "1",
                "kind": {"group": "", "version": "v1", "kind": "Pod"}, "namespace": "ns", "name": "orphan",
                "operation": "UPDATE", "subResource": "ephemeralcontainers",
                "userInfo": {"username": "olga", "groups": ["oncall"]}, "object": object}});
            let review = serde_json::to_vec(&review).unwrap();
            let policies = json!([{"apiVersion": "perpro.dev/v1alpha1", "kind": "AgentPolicy", "metadata": {"name": "p"},
                "spec": {"namespaces": ["ns"], "breakGlassGroups": ["oncall"]}}]);
            let webhook = Behind { policies, ..behind() }.webhook().await;
            let answer = webhook.judge_session(&Review::parse(&review, &SUBJECT).unwrap()).await;
            answer.refusals.iter().map(Refusal::code).collect::<Vec<_>>()
        };
        let pod = |identity: &str| {
            json!({"metadata": {"name": "orphan", "labels": {names::IDENTITY_LABEL: identity}},
                "spec": {"containers": [{"name": "agent"}], "ephemeralContainers": [{"name": "debug", "image": "i"}]}})
        };
        assert_eq!(added(pod("gone")).await, ["AID002"], "also where the glass is broken");
        assert_eq!(added(json!(null)).await, ["AID028"]);
        let found = added(pod("bot")).await;
        assert!(!found.contains(&"AID002") && !found.contains(&"AID095"), "{found:?}");
    }

    #[tokio::test]
    async fn the_audit_log_is_told_as_whom_somebody_got_in() {
        let told = answer(behind(), "jane", "agent").await.audit;
        assert_eq!(told, [("identity", "ns/bot".to_owned()), ("session", "owner".to_owned())]);
        let refused = answer(behind(), "joe", "agent").await.audit;
        assert_eq!(refused, [("identity", "ns/bot".to_owned())]);
    }
}
