//! Writes of AgentIdentities: who is recorded as their author, and what they may grant.

use super::Webhook;
use super::answer::Answer;
use super::review::{Request, Review, Subject};
use crate::cluster::{self, describe};
use crate::snapshot::Key;
use jiff::Timestamp;
use perpro_core::api::{AgentIdentity, AgentPolicy};
use perpro_core::decide::ceiling::Ceiling;
use perpro_core::decide::refusal::{Reason, Refusal};
use perpro_core::decide::{grant, widening};
use perpro_core::model::{Author, Identity, IdentityEnd};
use perpro_core::names;
use serde::Deserialize;
use serde_json::{Value, json};

/// Writes of AgentIdentities. One that does nothing but suspend them never comes here: whoever pulls
/// the plug must not need us.
pub(super) const SUBJECT: Subject = Subject {
    groups: &[names::GROUP],
    version: names::VERSION,
    kinds: &["AgentIdentity"],
    namespaced: true,
    operations: &["CREATE", "UPDATE", "DELETE"],
};

/// An identity as it was, and as it shall be.
struct Edit {
    old: Option<AgentIdentity>,
    new: AgentIdentity,
}

impl Edit {
    /// `None` for what the types can't read, or what is larger than the definition of the kind allows.
    fn of(request: &Request<'_>) -> Option<Self> {
        let read = |object: &Value| {
            AgentIdentity::deserialize(object).ok().filter(|identity| grant::is_bounded(&identity.spec))
        };
        let old = if request.old_object.is_null() { None } else { Some(read(&request.old_object)?) };
        Some(Self { old, new: read(&request.object)? })
    }

    /// Whether the new spec is the old one, or less, and somebody answers for the old one: where
    /// nobody is recorded, whoever writes next is asked about all of it.
    fn narrows(&self) -> bool {
        let less = |old: &AgentIdentity| widening::narrows(&old.spec, &self.new.spec);
        self.old.as_ref().is_some_and(|old| Author::of(old).is_some() && less(old))
    }
}

impl Webhook {
    /// Records the author: whoever widens an identity. Narrowing keeps the one that is recorded.
    pub(super) fn stamp(&self, review: &Review<'_>) -> Answer {
        let request = &review.request;
        let Some(edit) = Edit::of(request) else { return Answer::default() };
        let author = if edit.narrows() {
            edit.old.as_ref().and_then(Author::of)
        } else {
            let user = &request.user_info;
            Some(Author { user: user.username.clone(), groups: user.groups.clone() })
        };
        let mut stamped = Value::clone(&request.object);
        record(&mut stamped, author.as_ref());
        Answer { patch: Some(json_patch::diff(&request.object, &stamped)), ..Answer::default() }
    }

    /// Everything that is wrong with a widened identity: what lies over the ceiling, and what its
    /// author does not hold.
    pub(super) async fn judge_identity(&self, review: &Review<'_>) -> Answer {
        let request = &review.request;
        let now = Timestamp::now();
        let farewell = self.farewell(request, now);
        if request.operation == "DELETE" {
            return Answer { warnings: farewell.into_iter().collect(), ..Answer::default() };
        }
        let Some(edit) = Edit::of(request) else { return Answer::unreadable() };
        if edit.narrows() {
            return Answer { warnings: farewell.into_iter().collect(), ..Answer::default() };
        }
        if !self.readiness.get() {
            return Answer::refuse(Refusal::at("spec", self.not_ready()));
        }
        let judge = |policies: &mut dyn Iterator<Item = &AgentPolicy>| {
            grant::judge(&edit.new.spec, &Ceiling::of(&request.namespace, policies), now)
        };
        let (mut refusals, mut warnings) = judge(&mut self.snapshot.policies().iter().map(AsRef::as_ref));
        if !refusals.is_empty() || !warnings.is_empty() {
            // A policy applied a moment before may not have reached our watch.
            match self.cluster.agent_policies().await {
                Ok(policies) => (refusals, warnings) = judge(&mut policies.iter()),
                Err(error) => tracing::warn!(error = describe(&error), "can't read the policies"),
            }
        }
        refusals.extend(self.author_lacks(request, &edit.new).await);
        warnings.extend(farewell);
        let answer = Answer { refusals, warnings, ..Answer::default() };
        logged(request, answer)
    }

    /// What ends with this write, for those who did not expect it.
    fn farewell(&self, request: &Request<'_>, now: Timestamp) -> Option<Refusal> {
        let read = |object: &Value| Identity::from_object(&AgentIdentity::deserialize(object).ok()?);
        let policies = self.snapshot.policies();
        let ceiling = Ceiling::of(&request.namespace, policies.iter().map(AsRef::as_ref));
        let old = read(&request.old_object).filter(|old| ceiling.ended(old, now).is_none())?;
        let end = match &*request.operation {
            "DELETE" => IdentityEnd::Deleted,
            _ => ceiling.ended(&read(&request.object)?, now)?,
        };
        let path = match end {
            IdentityEnd::Deleted => "metadata.name",
            IdentityEnd::Suspended => "spec.suspended",
            IdentityEnd::Expired => "spec.expiresAt",
        };
        // Not from the status, which is written a while after.
        let accounts = self.snapshot.accounts(&Key { namespace: old.namespace, identity: old.name.clone() });
        let instances = accounts.iter().filter(|a| a.claim.is_some() && !a.deleting).count();
        let reason = Reason::EndsInstances { identity: old.name, end, instances };
        (instances > 0).then(|| Refusal::at(path, reason))
    }

    async fn author_lacks(&self, request: &Request<'_>, identity: &AgentIdentity) -> Vec<Refusal> {
        let user = &request.user_info;
        let subject = cluster::Subject {
            user: user.username.clone(),
            uid: user.uid.clone(),
            groups: user.groups.clone(),
            extra: user.extra.clone(),
        };
        let questions = grant::questions(&identity.spec);
        match self.cluster.denied(&subject, &request.namespace, questions).await {
            Ok(denied) => grant::lacking(&denied),
            Err(error) => {
                tracing::error!(error = describe(&error), "can't ask what an author may do");
                vec![Refusal::at("metadata", Reason::AuthorUnknown)]
            }
        }
    }
}

/// Writes the author over whatever the user sent.
fn record(object: &mut Value, author: Option<&Author>) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    let Some(annotations) = annotations.as_object_mut() else { return };
    annotations.remove(names::AUTHOR);
    annotations.remove(names::AUTHOR_GROUPS);
    if let Some(Author { user, groups }) = author {
        annotations.insert(names::AUTHOR.to_owned(), json!(user));
        annotations.insert(names::AUTHOR_GROUPS.to_owned(), json!(groups.join("\n")));
    }
}

fn logged(request: &Request<'_>, answer: Answer) -> Answer {
    let (namespace, identity) = (&request.namespace, &request.name);
    match answer.refusals.first() {
        Some(first) => {
            tracing::info!(namespace, identity, code = first.code(), path = first.path, "identity refused");
        }
        None => tracing::info!(namespace, identity, "identity accepted"),
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::super::behind::{Behind, allowed};
    use super::*;
    use axum::http::StatusCode;
    use jiff::SignedDuration;

    /// A policy of the namespace with these verbs on ConfigMaps.
    fn policy(verbs: &[&str]) -> Value {
        json!([{"apiVersion": "perpro.dev/v1alpha1", "kind": "AgentPolicy", "metadata": {"name": "p"}, "spec": {
            "namespaces": ["ns"], "permissions": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}]}}])
    }

    /// An identity that lists ConfigMaps and a Secret, written by this person.
    fn identity(author: Option<&str>) -> Value {
        let tomorrow = Timestamp::now() + SignedDuration::from_hours(24);
        let mut identity = json!({"apiVersion": "perpro.dev/v1alpha1", "kind": "AgentIdentity",
            "metadata": {"name": "bot", "namespace": "ns"},
            "spec": {"owner": {"kind": "User", "name": "jane"}, "expiresAt": tomorrow.to_string(),
                "justification": "Reads feedback",
                "permissions": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}],
                "secrets": [{"name": "crm", "rotateBy": "2036-01-01T00:00:00Z"}]}});
        if let Some(author) = author {
            identity["metadata"]["annotations"] = json!({names::AUTHOR: author, names::AUTHOR_GROUPS: ""});
        }
        identity
    }

    /// The codes that it earns when it is created.
    async fn codes(behind: Behind) -> Vec<&'static str> {
        codes_of(behind, "CREATE", &json!(null), &identity(None)).await
    }

    async fn codes_of(behind: Behind, operation: &str, old: &Value, new: &Value) -> Vec<&'static str> {
        let answer = answer(behind, operation, old, new).await;
        answer.refusals.iter().chain(&answer.warnings).map(Refusal::code).collect()
    }

    async fn answer(behind: Behind, operation: &str, old: &Value, new: &Value) -> Answer {
        let webhook = behind.webhook().await;
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "1",
            "kind": {"group": names::GROUP, "version": names::VERSION, "kind": "AgentIdentity"}, "namespace": "ns",
            "operation": operation, "name": "bot", "userInfo": {"username": "joe"}, "object": new, "oldObject": old}});
        let review = serde_json::to_vec(&review).unwrap();
        webhook.judge_identity(&Review::parse(&review, &SUBJECT).unwrap()).await
    }

    /// What is said of it as it was stored, with these accounts of its own.
    async fn told(accounts: Value, operation: &str, change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut old = identity(Some("jane"));
        json_patch::merge(
            &mut old["metadata"],
            &json!({"uid": "u", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"}),
        );
        let mut new = old.clone();
        change(&mut new);
        let answer = answer(Behind { accounts, ..Behind::default() }, operation, &old, &new).await;
        answer.warnings.iter().map(ToString::to_string).collect()
    }

    /// Accounts of it: that many claimed, and one that is not.
    fn accounts(claimed: usize) -> Value {
        let account = |i: usize| {
            let mut account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {
                "name": format!("aid-bot-000000000{i}"), "namespace": "ns", "uid": "a", "resourceVersion": "1",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {names::IDENTITY_LABEL: "bot", names::MANAGED_BY: names::MANAGER}}});
            if i > 0 {
                account["metadata"]["annotations"] =
                    json!({names::CLAIMED_BY: "p", names::CLAIMED_BY_UID: "p"});
            }
            account
        };
        (0..=claimed).map(account).collect()
    }

    #[tokio::test]
    async fn who_ends_an_identity_in_whatever_way_is_told_how_many_pods_end_and_how_soon() {
        let past = |i: &mut Value| i["spec"]["expiresAt"] = json!("2020-01-01T00:00:00Z");
        let suspended = |i: &mut Value| i["spec"]["suspended"] = json!(true);
        let begin = "AID056 spec.expiresAt: setting expiresAt of AgentIdentity \"bot\" to the past takes the power of its";
        let end = "within 30 s; set a later one to start new ones";
        assert_eq!(
            [told(accounts(2), "UPDATE", past).await, told(accounts(1), "UPDATE", past).await].concat(),
            [
                format!("{begin} 2 pods at once, and ends them {end}"),
                format!("{begin} pod at once, and ends it {end}")
            ]
        );
        assert!(
            told(accounts(1), "UPDATE", suspended).await[0].starts_with("AID056 spec.suspended: suspending ")
        );
        assert!(
            told(accounts(1), "DELETE", |new| *new = json!(null)).await[0]
                .starts_with("AID056 metadata.name: deleting ")
        );
        let renamed = |i: &mut Value| {
            suspended(i);
            i["spec"]["owner"]["name"] = json!("joe");
        };
        let all = told(accounts(1), "UPDATE", renamed).await;
        assert!(all.iter().any(|told| told.starts_with("AID056 ")), "an edit that widens too: {all:?}");
        // None runs; or it goes on.
        assert_eq!(told(accounts(0), "UPDATE", past).await, Vec::<String>::new());
        assert_eq!(
            told(accounts(2), "UPDATE", |i| i["spec"]["contacts"] = json!(["#bots"])).await,
            Vec::<String>::new()
        );
    }

    #[tokio::test]
    async fn who_narrows_an_identity_is_asked_nothing_unless_nobody_answers_for_it() {
        let told = async |author: Option<&str>| {
            let behind = Behind { review: |_| Ok(json!({"allowed": false})), ..Behind::default() };
            let old = identity(author);
            let mut new = old.clone();
            new["spec"]["permissions"] = json!([]);
            codes_of(behind, "UPDATE", &old, &new).await
        };
        assert_eq!(told(Some("jane")).await, Vec::<&str>::new());
        assert_eq!(told(None).await, ["AID038"]);
    }

    #[tokio::test]
    async fn a_policy_that_the_watch_has_not_shown_yet_counts_before_anybody_is_refused() {
        let told = async |seen: Value, is: Value| {
            codes(Behind { seen_policies: seen, policies: is, ..Behind::default() }).await
        };
        let (less, enough) = (policy(&["get"]), policy(&["get", "list"]));
        assert_eq!(told(less.clone(), less.clone()).await, ["AID034"]);
        assert_eq!(told(less, enough.clone()).await, Vec::<&str>::new());
        // Without one there is a warning only, which would be as wrong.
        assert_eq!(told(json!([]), json!([])).await, ["AID036"]);
        assert_eq!(told(json!([]), enough).await, Vec::<&str>::new());
    }

    #[tokio::test]
    async fn an_author_of_whom_one_thing_cannot_be_asked_grants_nothing() {
        let told = async |review: fn(&Value) -> Result<Value, StatusCode>| {
            let enough = policy(&["get", "list"]);
            codes(Behind { seen_policies: enough.clone(), policies: enough, review, ..Behind::default() })
                .await
        };
        assert_eq!(told(allowed).await, Vec::<&str>::new());
        let one_fails = |asked: &Value| {
            if asked["verb"] == "list" { Err(StatusCode::INTERNAL_SERVER_ERROR) } else { allowed(asked) }
        };
        assert_eq!(told(one_fails).await, ["AID092"]);
        assert_eq!(told(|asked| Ok(json!({"allowed": asked["verb"] != "list"}))).await, ["AID037"]);
        // An authorizer's no outweighs another's yes, and silence is no yes.
        let denied = |asked: &Value| Ok(json!({"allowed": true, "denied": asked["resource"] == "secrets"}));
        assert_eq!(told(denied).await, ["AID038"]);
        assert_eq!(told(|_| Ok(json!(null))).await, ["AID037", "AID038"]);
    }
}
