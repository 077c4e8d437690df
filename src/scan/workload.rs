//! What is kept of pods: one record for all that one workload made.

use super::agents::{self, Evidence, Marks};
use super::marks::Answers;
use perpro_core::decide::credentials::{Place, What, credentials};
use perpro_core::decide::isolation;
use perpro_core::decide::pod::AgentPod;
use perpro_core::decide::refusal::Reason;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Which object.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ref {
    pub(crate) namespace: String,
    pub(crate) kind: String,
    pub(crate) name: String,
}

impl Ref {
    pub(super) fn new(namespace: &str, kind: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), kind: kind.to_owned(), name: name.to_owned() }
    }

    /// As kubectl writes it, without the namespace: `deployment/web`.
    pub(crate) fn short(&self) -> String {
        format!("{}/{}", self.kind.to_ascii_lowercase(), self.name)
    }
}

impl fmt::Display for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.short(), self.namespace)
    }
}

/// How a workload takes one Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// Keys by name.
    pub(super) keys: BTreeSet<String>,
    /// The fields that take all of it.
    pub(super) whole: BTreeSet<&'static str>,
    pub(super) in_env: bool,
}

/// What of an account a workload holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tokens {
    /// A token of any audience.
    pub(super) any: bool,
    /// One for the API server.
    pub(super) kubernetes: bool,
    /// One that the API server makes valid for much longer than it was asked for.
    pub(super) extended: bool,
}

/// All pods of one workload.
#[derive(Clone, Debug, Default)]
pub(super) struct Workload {
    pub(super) pods: usize,
    pub(super) evidence: Option<Evidence>,
    pub(super) answers: Answers,
    /// The AgentIdentity under which perpro runs it.
    pub(super) identity: Option<String>,
    pub(super) accounts: BTreeMap<String, Tokens>,
    pub(super) secrets: BTreeMap<String, Taken>,
    /// Holes in its walls, in words.
    pub(super) holes: BTreeSet<String>,
}

/// Lifetime in seconds of the token that pods get unasked. It is how the API server knows it, and it makes such a token
/// valid for a year (`WarnOnlyBoundTokenExpirationSeconds`, `ExpirationExtensionSeconds` in kubernetes/pkg/serviceaccount).
const UNASKED_SECONDS: i64 = 3607;
/// Certificates are no secret, though they come in Secrets.
const PUBLIC: [&str; 4] = ["ca.crt", "tls.crt", "ca.pem", "ca-bundle.crt"];
/// The account that a pod has which names none.
pub(super) const DEFAULT: &str = "default";

impl Workload {
    /// Adds what one pod, or the template of one, holds.
    pub(super) fn add(&mut self, at: &Ref, pod: &AgentPod, gives_token: bool) {
        let none = Marks::new();
        let labels = pod.metadata.labels.as_ref().unwrap_or(&none);
        let annotations = pod.metadata.annotations.as_ref().unwrap_or(&none);
        self.marks(labels);
        self.marks(annotations);
        self.seems(agents::by_spec(&at.namespace, &at.kind, &at.name, labels, &pod.spec));
        let account = pod.spec.service_account_name.as_deref().filter(|a| !a.is_empty()).unwrap_or(DEFAULT);
        if let Some(identity) = pod.identity().filter(|i| perpro_core::names::is_account_of(account, i)) {
            self.identity = Some(identity.to_owned());
        }
        let mut tokens = Tokens::default();
        if gives_token {
            tokens = Tokens { any: true, kubernetes: true, extended: true };
        }
        for held in credentials(pod) {
            match held.what {
                What::SecretKey { secret, key, place } if !PUBLIC.contains(&key.as_str()) => {
                    let taken = self.secrets.entry(secret).or_default();
                    taken.in_env |= matches!(place, Place::Env(_));
                    taken.keys.insert(key);
                }
                What::WholeSecret { secret, by } => {
                    let taken = self.secrets.entry(secret).or_default();
                    taken.in_env |= by == "envFrom";
                    taken.whole.insert(by);
                }
                What::Token { audience, seconds, place } if place != Place::Unmounted => {
                    tokens.any = true;
                    tokens.kubernetes |= audience.is_none();
                    tokens.extended |= audience.is_none() && seconds == Some(UNASKED_SECONDS);
                }
                What::SecretKey { .. }
                | What::Token { .. }
                | What::PodCertificate
                | What::FromFile { .. } => {}
            }
        }
        let all = self.accounts.entry(account.to_owned()).or_default();
        all.any |= tokens.any;
        all.kubernetes |= tokens.kubernetes;
        all.extended |= tokens.extended;
        self.holes.extend(holes(pod));
    }

    /// Adds what labels or annotations say, of a pod or of what made it.
    pub(super) fn marks(&mut self, marks: &Marks) {
        self.answers.or(Answers::of(marks));
        self.seems(agents::by_marks(marks));
    }

    /// Adds a reason to take it for an agent; the surest is kept.
    pub(super) fn seems(&mut self, evidence: Option<Evidence>) {
        if let Some(new) = evidence
            && self.evidence.as_ref().is_none_or(|old| old.certainty < new.certainty)
        {
            self.evidence = Some(new);
        }
    }

    /// Whether it can prove to anybody who it is, or knows a key.
    pub(super) fn holds_credentials(&self) -> bool {
        !self.secrets.is_empty() || self.accounts.values().any(|t| t.any)
    }
}

/// Ways from the pod to its node, and from one of its containers to another's credentials. Where the pod was put and who
/// looks into it now is not its own doing, and what a volume's driver holds is not known.
fn holes(pod: &AgentPod) -> Vec<String> {
    let paths = pod.spec.volumes.iter().flatten().filter_map(|v| v.host_path.as_ref());
    let mut found: Vec<_> = paths.map(|h| format!("hostPath {}", h.path)).collect();
    for refusal in isolation::holes(pod) {
        match refusal.reason {
            Reason::HostAccess { what } if !["hostPath", "ephemeralContainers"].contains(&what) => {
                found.push(what.to_owned());
            }
            Reason::Capabilities { names } => found.push(format!("capabilities {}", names.join(", "))),
            _ => {}
        }
    }
    found
}
