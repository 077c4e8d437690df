//! Every way to say no: a variant each (`reason`), with the code, the field and what to do
//! about it (`words`).
//!
//! Codes never change meaning. Messages begin with what to do, since the API server, kubectl and
//! events cut long ones; they never name a person and never hold a value. Only the warning of an exception says
//! who answers for it: whoever reads it is to ask them.

mod reason;
mod words;

pub use reason::{Lacking, Reason};

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

/// The command that says what a code means.
const LEARN_MORE: &str = "kubectl perpro explain";

/// How a refusal ends: with what says more. Schemas and policies end theirs in the same words.
#[must_use]
pub fn learn_more(code: &str) -> String {
    format!(" ({LEARN_MORE} {code})")
}

/// `text`, ended so; unless it quotes a refusal of ours, by a policy, which says what to explain.
#[must_use]
pub fn explained(text: String, code: &str) -> String {
    if text.contains(LEARN_MORE) { text } else { text + &learn_more(code) }
}

/// What a person is told who is refused for `refusals`: the first in full, the rest by code and
/// path, and how to learn more. Empty when there is nothing to refuse.
#[must_use]
pub fn summary(refusals: &[Refusal]) -> String {
    let Some((first, rest)) = refusals.split_first() else { return String::new() };
    if rest.is_empty() {
        return explained(first.to_string(), first.code());
    }
    let mut more: Vec<_> = rest.iter().take(NAMED).map(|r| format!("{} {}", r.code(), r.path)).collect();
    if rest.len() > NAMED {
        more.push("...".to_owned());
    }
    explained(format!("{first} ({} more: {})", rest.len(), more.join(", ")), first.code())
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
        assert!(text.ends_with(" (1 more: AID004 spec.hostPID) (kubectl perpro explain AID001)"), "{text}");
        assert_eq!(summary(&refusals[1..]), format!("{} (kubectl perpro explain AID004)", refusals[1]));
        assert_eq!(summary(&[]), "");
    }

    #[test]
    fn a_refusal_that_quotes_one_of_a_policy_is_explained_once() {
        let detail = "denied request: AID086 CREATE x: no (kubectl perpro explain AID086)".to_owned();
        let text = summary(&[Refusal::at("metadata", Reason::MintFailed { detail })]);
        assert!(
            text.starts_with("AID091 ") && text.ends_with("no (kubectl perpro explain AID086)"),
            "{text}"
        );
    }

    #[test]
    fn a_summary_stays_short_however_much_is_wrong() {
        let many = vec![Refusal::at("spec.volumes[0]", Reason::VolumeType { kind: "nfs" }); 100_000];
        let text = summary(&many);
        assert!(
            text.len() < 500 && text.contains("(99999 more: ") && text.contains(", ...) (kubectl"),
            "{text}"
        );
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
            Reason::BeingDeleted { identity: s() },
            Reason::PresetNode,
            Reason::HostAccess { what: "hostPID" },
            Reason::Capabilities { names: vec![s()] },
            Reason::Expired { identity: s(), at: s() },
            Reason::Suspended { identity: s() },
            Reason::RotationOverdue { secret: s(), identity: s(), at: s() },
            Reason::TooManyInstances { namespace: s(), limit: 1 },
            Reason::ForgedMark { mark: s() },
            Reason::UnlistedToken { container: c(), audience: None, identity: s() },
            Reason::UnlistedToken { container: c(), audience: c(), identity: s() },
            Reason::InjectorLacks { injector: s(), policy: s(), audience: s(), lacking: Lacking::Image(s()) },
            Reason::InjectorLacks {
                injector: s(),
                policy: s(),
                audience: s(),
                lacking: Lacking::Volume(s()),
            },
            Reason::InjectorLacks { injector: s(), policy: s(), audience: s(), lacking: Lacking::Audience },
            Reason::NeverExcepted { codes: vec![s()] },
            Reason::NeverInjected { audience: s() },
            Reason::ExceptionElsewhere { namespace: s() },
            Reason::ExceptionEnded { at: s() },
            Reason::ExceptionTooLong { days: 90 },
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
            Reason::OfPermission { what: s(), reason: Box::new(Reason::Wildcard) },
            Reason::AuthorLacks,
            Reason::AuthorCantRead { secret: s() },
            Reason::OwnerNotAllowed { kind: "user", policies: vec![s()] },
            Reason::LivesTooLong { days: 1 },
            Reason::ExpiresInThePast,
            Reason::NoAuthor { identity: s() },
            Reason::NeverGranted { what: s(), reason: Box::new(Reason::Wildcard) },
            Reason::OnlyElevated { what: s() },
            Reason::NotElevated { what: s() },
            Reason::CutsIdentities { identities: vec![s()] },
            Reason::ImageOverCeiling { container: c(), image: s(), policies: vec![s()] },
            Reason::NotGoverned { namespace: s() },
            Reason::NotTheirs { identity: s(), changed: false },
            Reason::NotTheirs { identity: s(), changed: true },
            Reason::AuthorUnknown,
            Reason::WriteRefused { said: s() },
            Reason::TooManyCredentials { limit: 1 },
            Reason::BadIdentityName { name: s() },
            Reason::IdentityName,
            Reason::OwnerName,
            Reason::ContactName,
            Reason::NoJustification,
            Reason::SecretNotOwned { secret: s() },
            Reason::NoSuchKey { secret: s(), key: s(), has: vec![s()] },
            Reason::LabelNotOnPods { label: crate::names::IDENTITY_LABEL, template: s() },
            Reason::KeyWithoutPlace { secret: s(), key: s() },
            Reason::PlaceTwice { place: s() },
            Reason::NoEnd,
            Reason::TooManyPermissions,
            Reason::NamespacePattern,
            Reason::ElevatedWildcard,
            Reason::LiteralCredential { container: s(), what: "a GitHub token", is_sent: false },
            Reason::NamesOwned { secret: s(), identity: s() },
            Reason::TokenOfAgent,
            Reason::TokenWithoutEnd,
            Reason::WebhookNotReady { why: s() },
            Reason::MintFailed { detail: s() },
        ];
        let verbs = [
            "apply", "have", "label", "ask", "create", "extend", "leave", "let", "list", "look", "move",
            "name", "remove", "replace", "say", "send", "set", "give", "stop", "try", "use", "write",
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
    fn the_way_out_of_a_whole_secret_does_not_lead_back_to_it() {
        let of = |container: Option<&str>, by| {
            let container = container.map(str::to_owned);
            let reason =
                Reason::WholeSecret { container, secret: "crm".into(), by, identity: "reader".into() };
            reason.to_string()
        };
        let then = "list the keys it needs under secretKeys of AgentIdentity \"reader\", and";
        assert_eq!(
            [of(Some("agent"), "envFrom"), of(Some("agent"), "a volume")],
            [
                format!(
                    "container \"agent\" takes all of Secret \"crm\" by envFrom; {then} remove this envFrom"
                ),
                format!(
                    "container \"agent\" takes all of Secret \"crm\" by a volume; {then} remove the volume or name them under its items"
                ),
            ]
        );
        assert_eq!(
            of(None, "a projected volume"),
            "a volume that no container mounts takes all of Secret \"crm\"; remove the volume"
        );
    }

    #[test]
    fn a_volume_that_no_container_mounts_is_to_be_removed() {
        let reasons = [
            Reason::UnlistedSecretKey {
                container: None,
                secret: "crm".into(),
                key: "k".into(),
                identity: "a".into(),
            },
            Reason::UnlistedToken { container: None, audience: None, identity: "a".into() },
            Reason::UnlistedToken { container: None, audience: Some("vault".into()), identity: "a".into() },
        ];
        for reason in reasons {
            let text = reason.to_string();
            assert!(text.starts_with("remove the volume with ") && !text.contains("list"), "{text}");
        }
    }

    #[test]
    fn what_is_said_of_a_volume_or_a_token_can_be_done() {
        let csi = Reason::VolumeType { kind: "csi" }.to_string();
        assert!(!csi.contains("persistentVolumeClaim") && csi.contains("secretKeys"), "{csi}");
        let nfs = Reason::VolumeType { kind: "nfs" }.to_string();
        assert!(nfs.contains("by a persistentVolumeClaim"), "{nfs}");
        let token = Reason::UnlistedToken {
            container: Some("agent".into()),
            audience: Some("vault".into()),
            identity: "reader".into(),
        };
        let token = token.to_string();
        assert!(
            token.contains("no AgentIdentity can list it; for a sidecar that somebody else's webhook adds, have it listed under injectors"),
            "{token}"
        );
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
