//! What admission would say of pods that are not applied yet. Asked by `perpro check`; the same functions as the
//! webhook's, on a world that may be known in part only.

mod beside;
mod generous;
mod world;

pub use beside::{misplaced, missing_keys, plain, token_secret};
pub use world::{World, as_stored};

use super::admit::{Context, Verdict};
use super::path::{as_written, find_mut};
use super::pod::AgentPod;
use super::refusal::{Reason, Refusal};
use super::rehearse::{named_identity, overwritten_account, placeholder, rehearse};
use super::unreadable::is_value_of;
pub use super::unreadable::may_hold_value;
use crate::names;
use jiff::Timestamp;
use serde_json::Value;
use std::borrow::Cow;
use world::Found;

/// What sentences call the identity of a pod that names none, as [`Reason::NoIdentity`] does.
const ANY: &str = "NAME";

/// So much is told that could not be read: each is found by reading all again.
const MOST_MISREAD: usize = 50;

/// Who is asked about the pods of a namespace, as its label `perpro.dev/enforce` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Governance {
    /// Every pod has an identity.
    All,
    /// Pods with an identity, and those that say that they are agents.
    Agents,
    /// Nobody is asked.
    Nobody,
}

impl Governance {
    /// What the value of a namespace's label means.
    #[must_use]
    pub fn of(label: Option<&str>) -> Self {
        match label {
            Some("all") => Self::All,
            Some("agents") => Self::Agents,
            _ => Self::Nobody,
        }
    }
}

/// A pod, or the template that pods are made from, as it was written.
#[derive(Clone, Copy, Debug)]
pub struct Pod<'a> {
    /// Its metadata and spec.
    pub written: &'a Value,
    /// The namespace that it goes to.
    pub namespace: &'a str,
    /// How that is governed.
    pub governance: Governance,
    /// Whether somebody adds to it before it is a pod: containers and images may be missing.
    pub partial: bool,
}

/// What is said of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The verdict; paths are those of the pod as it was written.
    pub verdict: Verdict,
    /// The identity that it names.
    pub identity: Option<String>,
    /// Whether that identity could not be looked at, so that only what no identity allows was found.
    pub unseen: bool,
}

/// The verdict on `pod`; `None` for one that is none of ours.
#[must_use]
pub fn check(pod: Pod<'_>, world: &World, now: Timestamp) -> Option<Outcome> {
    let stored = with_text(pod.written);
    let pod = Pod { written: &stored, ..pod };
    let labels = &pod.written["metadata"]["labels"];
    let (identity, agent) = (&labels[names::IDENTITY_LABEL], &labels[names::AGENT_LABEL]);
    let concerned = match pod.governance {
        Governance::All => true,
        Governance::Agents => says_agent(agent) || !identity.is_null(),
        Governance::Nobody => !identity.is_null(),
    };
    if !concerned {
        return None;
    }
    let refused = |refusal| {
        Some(Outcome { verdict: Verdict { refusals: vec![refusal], warnings: vec![] }, ..Outcome::default() })
    };
    let mut stored = Cow::Borrowed(pod.written);
    let (read, misread) = match read(&mut stored) {
        Ok(read) => read,
        Err(refusal) => return refused(refusal),
    };
    let pod = Pod { written: &stored, ..pod };
    if pod.governance == Governance::Nobody {
        let reason = Reason::NotGoverned { namespace: pod.namespace.to_owned() };
        return refused(Refusal::at(format!("metadata.labels[{}]", names::IDENTITY_LABEL), reason));
    }
    let mut outcome = match named_identity(&read) {
        Ok(name) => under(name, world.identity(pod.namespace, name), &pod, &read, world, now),
        Err(refusal) => {
            // Whoever gives it one is not to learn the rest by and by.
            let outcome = under(ANY, Found::Unknown, &pod, &read, world, now);
            let mut verdict = outcome.verdict;
            verdict.refusals.retain(|r| r.path != refusal.path);
            verdict.refusals.insert(0, refusal);
            Outcome { verdict, ..Outcome::default() }
        }
    };
    outcome.verdict.refusals.extend(misread.refusals);
    outcome.verdict.warnings.extend(misread.warnings);
    Some(outcome)
}

/// Whether the value of the label says that a pod is an agent. One that is no text is refused by every API server; most often
/// it is a true without quotes.
fn says_agent(label: &Value) -> bool {
    *label == "true" || !(label.is_null() || label.is_string())
}

/// Whether something is to be put in place of a part of it before it is applied: `${IMAGE}`, `$IMAGE`. What Kubernetes itself
/// fills in is written `$(IMAGE)`.
#[must_use]
pub fn has_parameter(text: &str) -> bool {
    let begins = |b: &u8| b.is_ascii_alphabetic() || matches!(b, b'_' | b'{');
    text.as_bytes().windows(2).any(|two| two[0] == b'$' && begins(&two[1]))
}

/// Reads a pod. What stands where its type does not belong and can be told alone is told, and does not hide the rest: of
/// parameters, which are taken for nothing, in a warning, and of numbers as values of variables and headers, which are taken for text.
fn read(written: &mut Cow<'_, Value>) -> Result<(AgentPod, Verdict), Refusal> {
    let mut told = Verdict::default();
    for _ in 0..MOST_MISREAD {
        let refusal = match AgentPod::parse(&written.to_string()) {
            Ok(read) => return Ok((read, told)),
            Err(refusal) => refusal,
        };
        match find_mut(written.to_mut(), &refusal.path) {
            Some(value) if value.as_str().is_some_and(has_parameter) => {
                *value = Value::Null;
                told.warnings.push(refusal);
            }
            Some(value @ (Value::Number(_) | Value::Bool(_))) if is_value_of(&refusal.path).is_some() => {
                *value = Value::String(value.to_string());
                told.refusals.push(refusal);
            }
            _ => return Err(refusal),
        }
    }
    AgentPod::parse(&written.to_string()).map(|read| (read, told))
}

/// Labels and annotations without a value are empty text to an API server.
fn with_text(written: &Value) -> Cow<'_, Value> {
    const MAPS: [&str; 2] = ["/metadata/labels", "/metadata/annotations"];
    let map = |path: &&str| written.pointer(path).and_then(Value::as_object);
    if !MAPS.iter().filter_map(map).any(|m| m.values().any(Value::is_null)) {
        return Cow::Borrowed(written);
    }
    let mut written = written.clone();
    for path in MAPS {
        let map = written.pointer_mut(path).and_then(Value::as_object_mut);
        for value in map.into_iter().flat_map(|m| m.values_mut()).filter(|v| v.is_null()) {
            *value = Value::String(String::new());
        }
    }
    Cow::Owned(written)
}

/// The verdict under the identity of that name, of which this is known.
fn under(
    name: &str,
    found: Found<'_>,
    pod: &Pod<'_>,
    read: &AgentPod,
    world: &World,
    now: Timestamp,
) -> Outcome {
    let generous;
    let identity = match found {
        Found::Identity(identity) => identity,
        Found::Missing | Found::Unknown => {
            generous = generous::identity(name, pod.namespace, read, now);
            &generous
        }
    };
    let ceiling = world.ceiling(pod.namespace);
    let context = Context { identity, owners: world.owners(pod.namespace), ceiling: &ceiling, now };
    let (made, mut verdict) = rehearse(pod.written, read, &placeholder(name), context);
    verdict.warnings.extend(overwritten_account(read));
    if pod.partial {
        let of_more = |r: &Refusal| match &r.reason {
            Reason::ImageNotAllowed { image, .. } | Reason::ImageOverCeiling { image, .. } => {
                image.is_empty()
            }
            Reason::ListedContainerAbsent { .. } => true,
            _ => false,
        };
        verdict.refusals.retain(|r| !of_more(r));
        verdict.warnings.retain(|r| !of_more(r));
    }
    for refusal in verdict.refusals.iter_mut().chain(&mut verdict.warnings) {
        refusal.path = as_written(&refusal.path, &made, pod.written);
    }
    if matches!(found, Found::Missing) {
        let reason =
            Reason::UnknownIdentity { identity: name.to_owned(), namespace: pod.namespace.to_owned() };
        verdict
            .refusals
            .insert(0, Refusal::at(format!("metadata.labels[{}]", names::IDENTITY_LABEL), reason));
    }
    let unseen = matches!(found, Found::Unknown);
    Outcome { verdict, identity: Some(name.to_owned()), unseen }
}

#[cfg(test)]
mod tests;
