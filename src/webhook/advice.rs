//! What is only told, and fails open: what admission will say, or would, of the pods of a workload that somebody
//! applies, and of pods that run without identity where a namespace warns of them or has them audited.
//!
//! Nothing is refused here, changed or minted. Whom the configuration asks about is all that a namespace's labels
//! decide; reviews do not show them.

use super::Webhook;
use super::answer::Answer;
use super::review::{Request, Review, Subject};
use crate::cluster::describe;
use jiff::Timestamp;
use perpro_core::api::AgentPolicy;
use perpro_core::decide::admit::Verdict;
use perpro_core::decide::advice;
use perpro_core::decide::check::{Governance, Pod, World};
use perpro_core::decide::refusal::{Reason, Refusal};
use perpro_core::names;
use serde_json::Value;

/// Writes of workloads: of every kind of Kubernetes' own that makes pods from a template.
pub(super) const TEMPLATES: Subject = Subject {
    groups: &["", "apps", "batch"],
    version: "v1",
    kinds: &[
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "ReplicaSet",
        "ReplicationController",
        "Job",
        "CronJob",
    ],
    namespaced: true,
    operations: &["CREATE", "UPDATE"],
};

/// What the labels of the namespace say, and so the path of the request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// Whether the namespace is governed, or only warns.
    pub(super) enforced: bool,
    /// Of which pods.
    pub(super) about: Governance,
}

impl Webhook {
    /// Warns of all that is wrong with the pods of a template.
    pub(super) async fn advise(&self, review: &Review<'_>, asked: Asked) -> Answer {
        let request = &review.request;
        let below = if request.kind.kind == "CronJob" { CRON_JOB } else { OTHERS };
        let Some(template) = at(&request.object, below) else { return Answer::default() };
        if !self.readiness.get() {
            return Answer::default();
        }
        let world = self.world(request, template).await;
        let Asked { enforced, about } = asked;
        let pod = Pod { written: template, namespace: &request.namespace, governance: about, partial: false };
        let verdict = advice::verdict(pod, enforced, &world, Timestamp::now());
        let mut told = advice::warnings(&verdict, below);
        told.extend(advice::misplaced_labels(&request.object, below));
        let would_refuse = verdict.refusals.first().map(Refusal::code);
        let answer = Answer { would_refuse, advice: told, ..Answer::default() };
        logged(request, template, &answer);
        answer
    }

    /// What is known beside the template: nothing, where it names no identity.
    async fn world(&self, request: &Request<'_>, template: &Value) -> World {
        let namespace = &request.namespace;
        let policies = self.snapshot.policies();
        let policies: Vec<AgentPolicy> = policies.iter().map(|p| AgentPolicy::clone(p)).collect();
        let mut world = World::new(policies, true);
        let name = template["metadata"]["labels"][names::IDENTITY_LABEL].as_str().unwrap_or_default();
        if !names::is_identity_name(name) {
            return world;
        }
        let mut identities = self.snapshot.identities_of(namespace);
        let mut unreadable = false;
        if !identities.iter().any(|i| i.name == name) {
            // It may have been applied a moment before.
            match self.cluster.identity(namespace, name).await {
                Ok(found) => identities.extend(found),
                Err(error) => {
                    tracing::warn!(
                        error = describe(&error),
                        namespace,
                        identity = name,
                        "can't read an identity"
                    );
                    unreadable = true;
                }
            }
        }
        world.add(namespace, identities);
        if unreadable {
            world.add_unreadable(namespace, name);
        }
        world
    }
}

/// Where a CronJob's template lies, and where that of every other kind does.
const CRON_JOB: &str = "spec.jobTemplate.spec.template";
const OTHERS: &str = "spec.template";

fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(object, |value, field| value.get(field)).filter(|template| template.is_object())
}

/// Says of a pod that enforcement would refuse it: to who creates it (`tell`), or to the audit log alone. Those that
/// name an identity are refused by policy, or looked at by enforcement; so there is one thing to say.
pub(super) fn of_pod(review: &Review<'_>, tell: bool) -> Answer {
    let request = &review.request;
    if !request.object["metadata"]["labels"][names::IDENTITY_LABEL].is_null() {
        return Answer::default();
    }
    let path = format!("metadata.labels[{}]", names::IDENTITY_LABEL);
    let refusals = vec![Refusal::at(path, Reason::NoIdentity)];
    let verdict = Verdict { refusals, warnings: Vec::new() };
    let answer = Answer {
        would_refuse: verdict.refusals.first().map(Refusal::code),
        advice: if tell { advice::warnings(&verdict, "") } else { Vec::new() },
        ..Answer::default()
    };
    logged(request, &request.object, &answer);
    answer
}

/// One line per decision.
fn logged(request: &Request<'_>, pod: &Value, answer: &Answer) {
    let Some(code) = answer.would_refuse else { return };
    let metadata = &request.object["metadata"];
    let name = metadata["name"].as_str().or_else(|| metadata["generateName"].as_str()).unwrap_or_default();
    let identity = pod["metadata"]["labels"][names::IDENTITY_LABEL].as_str();
    let (namespace, kind) = (&request.namespace, &request.kind.kind);
    tracing::info!(namespace, identity, kind, object = name, code, "pods of this would be refused");
}

#[cfg(test)]
mod tests {
    use super::super::behind::Behind;
    use super::super::pods;
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    /// Identity `bot`, which lists one key for its container.
    fn identity() -> Value {
        json!([{"apiVersion": "perpro.dev/v1alpha1", "kind": "AgentIdentity",
            "metadata": {"name": "bot", "namespace": "ns", "uid": "u", "generation": 1,
                "creationTimestamp": "2026-01-01T00:00:00Z", "annotations": {names::AUTHOR: "jane", names::AUTHOR_GROUPS: ""}},
            "spec": {"owner": {"kind": "User", "name": "jane"}, "expiresAt": "2199-01-01T00:00:00Z",
                "justification": "Reads feedback", "secrets": [{"name": "crm", "rotateBy": "2199-01-01T00:00:00Z"}],
                "containers": [{"name": "agent", "secretKeys": [{"secret": "crm", "key": "key", "env": "KEY"}]}]}}])
    }

    fn template(labels: Value, container: Value) -> Value {
        let mut agent = json!({"name": "agent", "image": "i"});
        agent.as_object_mut().unwrap().extend(container.as_object().unwrap().clone());
        json!({"metadata": {"labels": labels, "creationTimestamp": null}, "spec": {"containers": [agent]}})
    }

    fn review(group: &str, kind: &str, object: Value) -> Vec<u8> {
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "1",
            "kind": {"group": group, "version": "v1", "kind": kind}, "namespace": "ns", "operation": "CREATE",
            "userInfo": {"username": "jane"}, "object": object}});
        serde_json::to_vec(&review).unwrap()
    }

    /// The first code and the warnings.
    async fn told(behind: Behind, enforced: bool, review: &[u8]) -> (Option<&'static str>, Vec<String>) {
        told_of(behind, Asked { enforced, about: Governance::All }, review).await
    }

    async fn told_of(behind: Behind, asked: Asked, review: &[u8]) -> (Option<&'static str>, Vec<String>) {
        let webhook = behind.webhook().await;
        let answer = webhook.advise(&Review::parse(review, &TEMPLATES).unwrap(), asked).await;
        assert_eq!((answer.refusals.as_slice(), answer.patch.is_none()), (&[][..], true), "it only tells");
        (answer.would_refuse, answer.advice)
    }

    fn bot() -> Value {
        json!({names::IDENTITY_LABEL: "bot"})
    }

    fn knows() -> Behind {
        Behind { seen_identities: identity(), identities: identity(), ..Behind::default() }
    }

    #[rstest]
    #[case("apps", "Deployment")]
    #[case("apps", "StatefulSet")]
    #[case("apps", "DaemonSet")]
    #[case("apps", "ReplicaSet")]
    #[case("", "ReplicationController")]
    #[case("batch", "Job")]
    #[case("batch", "CronJob")]
    #[tokio::test]
    async fn a_template_of_every_kind_is_told_what_its_pods_will_be(#[case] group: &str, #[case] kind: &str) {
        let of = |template: Value| {
            let spec = json!({"template": template});
            let spec = if kind == "CronJob" { json!({"jobTemplate": {"spec": spec}}) } else { spec };
            review(group, kind, json!({"metadata": {"name": "x"}, "spec": spec}))
        };
        let whole = json!({"envFrom": [{"secretRef": {"name": "crm"}}]});
        let (code, warnings) = told(knows(), true, &of(template(bot(), whole))).await;
        assert_eq!(code, Some("AID012"));
        let path = if kind == "CronJob" { "spec.jobTemplate.spec.template" } else { "spec.template" };
        let expected = "perpro AID012: container \"agent\" takes all of Secret \"crm\" by envFrom; list the keys it needs";
        let place = format!(" ({path}.spec.containers[0].envFrom[0])");
        assert!(warnings[0].starts_with(expected) && warnings[0].ends_with(&place), "{warnings:?}");
        assert_eq!(told(knows(), true, &of(template(bot(), json!({})))).await, (None, vec![]));
        let (code, warnings) = told(Behind::default(), false, &of(template(json!({}), json!({})))).await;
        assert_eq!(code, Some("AID001"));
        assert!(warnings[0].starts_with("perpro AID001: say who owns this agent"), "{warnings:?}");
    }

    fn deployment(template: Value) -> Vec<u8> {
        review("apps", "Deployment", json!({"metadata": {"name": "x"}, "spec": {"template": template}}))
    }

    #[tokio::test]
    async fn a_label_on_the_workload_alone_is_told_and_is_no_refusal_where_only_agents_are_asked_about() {
        let labelled = |labels: Value| {
            let metadata = json!({"name": "x", "labels": labels});
            review(
                "apps",
                "Deployment",
                json!({"metadata": metadata, "spec": {"template": template(json!({}), json!({}))}}),
            )
        };
        let expected = "perpro AID068: write label perpro.dev/identity under spec.template.metadata.labels: here it is \
            the workload's own, and its pods would run without it (metadata.labels[perpro.dev/identity])";
        for (about, code, others) in [(Governance::Agents, None, 0), (Governance::All, Some("AID001"), 1)] {
            let asked = Asked { enforced: true, about };
            let (would_refuse, told) = told_of(knows(), asked, &labelled(bot())).await;
            assert_eq!((would_refuse, told.len()), (code, others + 1), "{told:?}");
            assert_eq!(told.last().map(String::as_str), Some(expected));
            assert_eq!(told_of(knows(), asked, &labelled(json!({"app": "x"}))).await.1.len(), others);
        }
    }

    #[tokio::test]
    async fn an_identity_that_the_watch_has_not_shown_yet_is_not_missing() {
        let good = deployment(template(bot(), json!({})));
        let applied = Behind { identities: identity(), ..Behind::default() };
        assert_eq!(told(applied, true, &good).await, (None, vec![]));
        assert_eq!(told(Behind::default(), true, &good).await.0, Some("AID002"));
        let odd = deployment(template(bot(), json!({"volumeMounts": []})));
        assert_eq!(told(knows(), false, &odd).await.0, Some("AID010"), "nobody governs it yet");
    }

    #[tokio::test]
    async fn what_has_no_template_or_comes_before_the_lists_are_read_passes_in_silence() {
        for object in [json!({}), json!({"spec": {"template": "x"}}), json!(null)] {
            let review = review("apps", "Deployment", object);
            assert_eq!(told(knows(), true, &review).await, (None, vec![]));
        }
        let mut webhook = knows().webhook().await;
        webhook.readiness = crate::runtime::health::Readiness::default();
        let review = deployment(template(json!({}), json!({})));
        let asked = Asked { enforced: true, about: Governance::All };
        let answer = webhook.advise(&Review::parse(&review, &TEMPLATES).unwrap(), asked).await;
        assert_eq!((answer.would_refuse, answer.advice), (None, vec![]));
    }

    #[test]
    fn a_pod_without_identity_is_told_to_who_makes_it_or_to_the_audit_log_alone() {
        let plain = review("", "Pod", json!({"metadata": {"generateName": "x-"}}));
        let plain = Review::parse(&plain, &pods::SUBJECT).unwrap();
        for tell in [true, false] {
            let answer = of_pod(&plain, tell);
            assert_eq!((answer.would_refuse, answer.advice.len()), (Some("AID001"), usize::from(tell)));
            let reply = serde_json::to_value(&answer.respond(&plain).0).unwrap();
            assert_eq!(reply["response"]["allowed"], true);
            assert_eq!(reply["response"]["auditAnnotations"], json!({"would-refuse": "AID001"}));
            assert_eq!(reply["response"]["warnings"].is_array(), tell);
        }
        let agent = review("", "Pod", json!({"metadata": {"labels": bot()}}));
        assert_eq!(of_pod(&Review::parse(&agent, &pods::SUBJECT).unwrap(), true).would_refuse, None);
    }
}
