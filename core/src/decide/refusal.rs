//! Every way to say no: a variant each, with the code, the field and what to do about it.
//!
//! Codes never change meaning. Messages begin with what to do, since the API server, kubectl and
//! events cut long ones; they never name a person and never hold a value.

use crate::names;
use std::fmt;

/// One reason to refuse (or to warn), at one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Field path as the API server writes it, `spec.containers[0].env[1]`.
    pub path: String,
    /// What is wrong there.
    pub reason: Reason,
}

impl Refusal {
    /// A refusal at `path`.
    pub fn at(path: impl Into<String>, reason: Reason) -> Self {
        Self { path: path.into(), reason }
    }

    /// The stable code, `AID` and three digits.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.reason.code()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.code(), self.path, self.reason)
    }
}

/// How many further refusals a summary names: a small pod can earn very many.
const NAMED: usize = 10;

/// What a person is told who is refused for `refusals`: the first in full, the rest by code and
/// path. Empty when there is nothing to refuse.
#[must_use]
pub fn summary(refusals: &[Refusal]) -> String {
    let Some((first, rest)) = refusals.split_first() else { return String::new() };
    if rest.is_empty() {
        return first.to_string();
    }
    let mut more: Vec<_> = rest.iter().take(NAMED).map(|r| format!("{} {}", r.code(), r.path)).collect();
    if rest.len() > NAMED {
        more.push("...".to_owned());
    }
    format!("{first} ({} more: {})", rest.len(), more.join(", "))
}

/// The reasons. `identity` is always the name of the AgentIdentity concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the code and the sentence of each variant stand in `code` and `Display` below"
)]
pub enum Reason {
    NoIdentity,
    UnknownIdentity { identity: String, namespace: String },
    PresetNode,
    HostAccess { what: &'static str },
    Expired { identity: String, at: String },
    Suspended { identity: String },
    RotationOverdue { secret: String, identity: String, at: String },
    TooManyInstances { namespace: String, limit: u32 },
    ForgedMark { mark: String },
    UnlistedToken { container: Option<String>, audience: Option<String>, identity: String },
    WholeSecret { container: Option<String>, secret: String, by: &'static str, identity: String },
    VolumeType { kind: &'static str },
    UnknownField { field: String },
    PullSecretNotAllowed { secret: String },
    PullSecretOwned { secret: String, identity: String },
    ForgedMirror,
    ForeignAccount { account: String, identity: String },
    NotInjected { what: &'static str },
    ImageNotAllowed { container: String, image: String, identity: String },
    UnlistedSecretKey { container: Option<String>, secret: String, key: String, identity: String },
    SharedSecret { secret: String, identity: String, owner: String },
    ListedMissing { container: String, what: String, identity: String },
    EnvTaken { container: String, env: String, secret: String, key: String },
    MountTaken { container: String, path: String },
    FromFile { container: String, env: String },
    PodCertificate { container: Option<String> },
    Unreadable { error: String },
    TokenTooLong { container: Option<String>, limit: i64 },
    Wildcard,
    Verb { verb: String },
    ClusterScoped { resource: String },
    Elevated,
    OverCeiling { policies: Vec<String> },
    NoPolicy,
    TooManyCredentials { limit: usize },
    BadIdentityName { name: String },
    ListedContainerAbsent { container: String, identity: String },
    AccountOverwritten { account: String },
    DryRun,
    SkippedField { field: String },
    WebhookNotReady,
    MintFailed { detail: String },
}

/// `container "x"`, or what to say of a volume that no container mounts.
fn holder(container: Option<&str>) -> String {
    container.map_or_else(|| "a volume that no container mounts".to_owned(), |c| format!("container \"{c}\""))
}

impl Reason {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoIdentity => "AID001",
            Self::UnknownIdentity { .. } => "AID002",
            Self::PresetNode => "AID003",
            Self::HostAccess { .. } => "AID004",
            Self::Expired { .. } => "AID005",
            Self::Suspended { .. } => "AID006",
            Self::RotationOverdue { .. } => "AID007",
            Self::TooManyInstances { .. } => "AID008",
            Self::ForgedMark { .. } => "AID009",
            // AID010 is the policy perpro-identity-label in the chart.
            Self::UnlistedToken { .. } => "AID011",
            Self::WholeSecret { .. } => "AID012",
            Self::VolumeType { .. } => "AID013",
            Self::UnknownField { .. } => "AID014",
            Self::PullSecretNotAllowed { .. } => "AID015",
            Self::PullSecretOwned { .. } => "AID016",
            Self::ForgedMirror => "AID017",
            Self::ForeignAccount { .. } => "AID018",
            Self::NotInjected { .. } => "AID019",
            Self::ImageNotAllowed { .. } => "AID020",
            Self::UnlistedSecretKey { .. } => "AID021",
            Self::SharedSecret { .. } => "AID022",
            Self::ListedMissing { .. } => "AID023",
            Self::EnvTaken { .. } => "AID024",
            Self::MountTaken { .. } => "AID025",
            Self::FromFile { .. } => "AID026",
            Self::PodCertificate { .. } => "AID027",
            Self::Unreadable { .. } => "AID028",
            Self::TokenTooLong { .. } => "AID029",
            Self::Wildcard => "AID030",
            Self::Verb { .. } => "AID031",
            Self::ClusterScoped { .. } => "AID032",
            Self::Elevated => "AID033",
            Self::OverCeiling { .. } => "AID034",
            // AID035, AID040 to AID051 are rules in the schemas of the kinds.
            Self::NoPolicy => "AID036",
            Self::BadIdentityName { .. } => "AID002",
            Self::TooManyCredentials { .. } => "AID070",
            Self::ListedContainerAbsent { .. } => "AID060",
            Self::AccountOverwritten { .. } => "AID061",
            Self::DryRun => "AID062",
            Self::SkippedField { .. } => "AID063",
            Self::WebhookNotReady => "AID090",
            Self::MintFailed { .. } => "AID091",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoIdentity => write!(
                f,
                "say who owns this agent, until when and why: label {}=NAME of an AgentIdentity (owner, expiresAt, justification) in this namespace",
                names::IDENTITY_LABEL
            ),
            Self::UnknownIdentity { identity, namespace } => write!(
                f,
                "create AgentIdentity \"{identity}\" in namespace \"{namespace}\" (owner, expiresAt, justification), or name one that exists: it was not found"
            ),
            Self::PresetNode => {
                f.write_str("remove nodeName and use nodeAffinity or nodeSelector: a pod with a node skips the scheduler, and with it the gate that binds its identity")
            }
            Self::HostAccess { what } => {
                write!(f, "remove {what}: it lets an agent reach credentials of the node or of other containers")
            }
            Self::Expired { identity, at } => {
                write!(f, "extend spec.expiresAt of AgentIdentity \"{identity}\": it expired at {at}")
            }
            Self::Suspended { identity } => {
                write!(f, "set spec.suspended of AgentIdentity \"{identity}\" to false to start its pods: it is suspended")
            }
            Self::RotationOverdue { secret, identity, at } => write!(
                f,
                "replace the value of Secret \"{secret}\" and set its rotateBy in AgentIdentity \"{identity}\": it was due at {at}"
            ),
            Self::TooManyInstances { namespace, limit } => write!(
                f,
                "stop agent pods in namespace \"{namespace}\" or ask for a higher maxInstances in its AgentPolicy: all {limit} are in use, or were minted for pods that failed in the last 5 minutes"
            ),
            Self::ForgedMark { mark } => {
                write!(f, "remove \"{mark}\": of those under {} only {} and {} are yours to set", names::MARK_PREFIX, names::IDENTITY_LABEL, names::AGENT_LABEL)
            }
            Self::UnlistedToken { container, audience: None, identity } => write!(
                f,
                "set kubernetesAccess: Token for {} in AgentIdentity \"{identity}\", or remove its Kubernetes token",
                holder(container.as_deref())
            ),
            Self::UnlistedToken { container, audience: Some(audience), identity } => write!(
                f,
                "remove the token for audience \"{audience}\" of {}: AgentIdentity \"{identity}\" does not list it",
                holder(container.as_deref())
            ),
            Self::WholeSecret { container, secret, by, identity } => write!(
                f,
                "{} takes all of Secret \"{secret}\" by {by}; list the keys it needs under secretKeys of AgentIdentity \"{identity}\"",
                holder(container.as_deref())
            ),
            Self::VolumeType { kind } => write!(
                f,
                "replace the {kind} volume by a persistentVolumeClaim: its driver or node may hand out credentials that no identity lists"
            ),
            Self::UnknownField { field } => {
                write!(f, "remove \"{field}\": perpro does not know this field, and can't tell which credential it brings")
            }
            Self::PullSecretNotAllowed { secret } => write!(
                f,
                "remove pull Secret \"{secret}\" or add it to imagePullSecrets of the namespace's AgentPolicy"
            ),
            Self::PullSecretOwned { secret, identity } => write!(
                f,
                "use another pull Secret than \"{secret}\": it belongs to AgentIdentity \"{identity}\", and what an agent holds can't pull images too"
            ),
            Self::ForgedMirror => {
                write!(f, "remove annotation {}: only the kubelet sets it", names::MIRROR_POD)
            }
            Self::ForeignAccount { account, identity } => write!(
                f,
                "leave serviceAccountName to perpro: \"{account}\" is not an account minted for AgentIdentity \"{identity}\""
            ),
            Self::NotInjected { what } => write!(
                f,
                "let perpro's mutating webhook handle this pod: {what} is missing, so something skipped or undid it"
            ),
            Self::ImageNotAllowed { container, image, identity } => write!(
                f,
                "use an image that AgentIdentity \"{identity}\" lists for container \"{container}\", or list \"{image}\" under its images"
            ),
            Self::UnlistedSecretKey { container, secret, key, identity } => write!(
                f,
                "list key \"{key}\" of Secret \"{secret}\" under secretKeys of {} in AgentIdentity \"{identity}\", or remove it",
                holder(container.as_deref())
            ),
            Self::SharedSecret { secret, identity, owner } => write!(
                f,
                "give AgentIdentity \"{identity}\" a Secret of its own: \"{secret}\" belongs to \"{owner}\", and a shared credential can't be traced"
            ),
            Self::ListedMissing { container, what, identity } => write!(
                f,
                "let nothing change the pod after perpro: container \"{container}\" lacks {what} that AgentIdentity \"{identity}\" lists"
            ),
            Self::EnvTaken { container, env, secret, key } => write!(
                f,
                "remove environment variable \"{env}\" of container \"{container}\": the identity sets it from key \"{key}\" of Secret \"{secret}\""
            ),
            Self::MountTaken { container, path } => write!(
                f,
                "remove the mount at {path} of container \"{container}\": the identity's credentials go there"
            ),
            Self::FromFile { container, env } => write!(
                f,
                "replace fileKeyRef of \"{env}\" in container \"{container}\" by a listed secretKey or a ConfigMap: it takes a value that another container wrote"
            ),
            Self::PodCertificate { container } => {
                write!(f, "remove the podCertificate of {}: v1alpha1 has no way to list one", holder(container.as_deref()))
            }
            Self::Unreadable { error } => write!(f, "send a pod that the core/v1 API can read: {error}"),
            Self::TokenTooLong { container, limit } => write!(
                f,
                "set expirationSeconds of the token of {} to at most {limit}, or leave the token to perpro",
                holder(container.as_deref())
            ),
            Self::Wildcard => f.write_str("name each API group, resource and verb: an agent's permissions hold no wildcard, nor a part of one"),
            Self::Verb { verb } => write!(
                f,
                "use get, list, watch, create, update, patch, delete or deletecollection: \"{verb}\" can't be granted to an agent"
            ),
            Self::ClusterScoped { resource } => {
                write!(f, "remove {resource}: permissions on cluster-scoped resources are not in v1alpha1")
            }
            Self::Elevated => {
                f.write_str("ask the platform team to list it under elevatedPermissions of every AgentPolicy that names this namespace: it is as good as a larger role")
            }
            Self::OverCeiling { policies } => {
                let named: Vec<_> = policies.iter().take(3).map(|p| format!("\"{p}\"")).collect();
                let more = if policies.len() > 3 { " and others" } else { "" };
                write!(
                    f,
                    "ask the platform team to raise the ceiling: not within permissions of AgentPolicy {}{more}",
                    named.join(", ")
                )
            }
            Self::NoPolicy => f.write_str("ask the platform team for an AgentPolicy that names this namespace: without one an identity has no API permission"),
            Self::TooManyCredentials { limit } => {
                write!(f, "use fewer mounts or items: this pod would hold more than {limit} credentials")
            }
            Self::BadIdentityName { name } => write!(
                f,
                "name an AgentIdentity of this namespace: {name:?} is no DNS label of at most {} characters",
                names::MAX_IDENTITY_NAME
            ),
            Self::ListedContainerAbsent { container, identity } => {
                write!(f, "AgentIdentity \"{identity}\" lists container \"{container}\", which this pod does not have")
            }
            Self::AccountOverwritten { account } => {
                write!(f, "serviceAccountName \"{account}\" is replaced by an account of the pod's own")
            }
            Self::DryRun => f.write_str("dry run: the pod passes; its account, credentials and gate are added when it is created"),
            Self::SkippedField { field } => write!(f, "perpro does not know field \"{field}\" and leaves it as it is"),
            Self::WebhookNotReady => f.write_str("try again in a few seconds: the webhook has not read the cluster's identities yet"),
            Self::MintFailed { detail } => {
                write!(f, "look at quotas on service accounts: the pod's account can't be created: {detail}")
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_tells_the_first_in_full_and_the_rest_by_place() {
        let refusals = [
            Refusal::at("spec.containers[0].envFrom[1]", Reason::NoIdentity),
            Refusal::at("spec.hostPID", Reason::HostAccess { what: "hostPID" }),
        ];
        let text = summary(&refusals);
        assert!(text.starts_with("AID001 spec.containers[0].envFrom[1]: say who owns this agent"), "{text}");
        assert!(text.ends_with("(1 more: AID004 spec.hostPID)"), "{text}");
        assert_eq!(summary(&[]), "");
    }

    #[test]
    fn a_summary_stays_short_however_much_is_wrong() {
        let many = vec![Refusal::at("spec.volumes[0]", Reason::VolumeType { kind: "nfs" }); 100_000];
        let text = summary(&many);
        assert!(text.len() < 500 && text.contains("(99999 more: ") && text.ends_with(", ...)"), "{text}");
    }

    /// The longest path that a pod's refusal has.
    const LONG: &str = "spec.volumes[10].projected.sources[10].serviceAccountToken";

    #[test]
    fn a_sentence_begins_with_what_to_do() {
        let s = || "name".to_owned();
        let c = || Some(s());
        let reasons = [
            Reason::NoIdentity,
            Reason::UnknownIdentity { identity: s(), namespace: s() },
            Reason::PresetNode,
            Reason::HostAccess { what: "hostPID" },
            Reason::Expired { identity: s(), at: s() },
            Reason::Suspended { identity: s() },
            Reason::RotationOverdue { secret: s(), identity: s(), at: s() },
            Reason::TooManyInstances { namespace: s(), limit: 1 },
            Reason::ForgedMark { mark: s() },
            Reason::UnlistedToken { container: c(), audience: None, identity: s() },
            Reason::UnlistedToken { container: c(), audience: c(), identity: s() },
            Reason::VolumeType { kind: "nfs" },
            Reason::UnknownField { field: s() },
            Reason::PullSecretNotAllowed { secret: s() },
            Reason::PullSecretOwned { secret: s(), identity: s() },
            Reason::ForgedMirror,
            Reason::ForeignAccount { account: s(), identity: s() },
            Reason::NotInjected { what: "its gate" },
            Reason::ImageNotAllowed { container: s(), image: s(), identity: s() },
            Reason::UnlistedSecretKey { container: c(), secret: s(), key: s(), identity: s() },
            Reason::SharedSecret { secret: s(), identity: s(), owner: s() },
            Reason::ListedMissing { container: s(), what: s(), identity: s() },
            Reason::EnvTaken { container: s(), env: s(), secret: s(), key: s() },
            Reason::MountTaken { container: s(), path: s() },
            Reason::FromFile { container: s(), env: s() },
            Reason::PodCertificate { container: None },
            Reason::Unreadable { error: s() },
            Reason::TokenTooLong { container: c(), limit: 900 },
            Reason::Wildcard,
            Reason::Verb { verb: s() },
            Reason::ClusterScoped { resource: s() },
            Reason::Elevated,
            Reason::OverCeiling { policies: vec![s()] },
            Reason::NoPolicy,
            Reason::TooManyCredentials { limit: 1 },
            Reason::BadIdentityName { name: s() },
            Reason::WebhookNotReady,
            Reason::MintFailed { detail: s() },
        ];
        let verbs = [
            "ask", "create", "extend", "leave", "let", "list", "look", "name", "remove", "replace", "say",
            "send", "set", "give", "stop", "try", "use",
        ];
        for reason in reasons {
            let text = Refusal::at(LONG, reason).to_string();
            let sentence = text.split_once(": ").unwrap().1;
            let verb = sentence.split(' ').next().unwrap();
            assert!(verbs.contains(&verb), "{text}");
            assert!(text.len() - sentence.len() < 70, "code and path leave no room: {text}");
        }
    }

    #[test]
    fn a_whole_secret_is_named_and_the_way_out_fits_120_characters() {
        let reason = Reason::WholeSecret {
            container: Some("agent".into()),
            secret: "llm-keys".into(),
            by: "envFrom",
            identity: "feedback-reader".into(),
        };
        let text = Refusal::at("spec.containers[0].envFrom[1]", reason).to_string();
        let begin: String = text.chars().take(120).collect();
        assert!(begin.contains("by envFrom; list the keys it need"), "{begin}");
    }
}
