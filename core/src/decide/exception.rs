//! Exceptions: pods of a workload that start in spite of some codes, until a date. What one lets pass is told, each
//! time.

use super::admit::{Context, Verdict};
use super::named::of_the_driver;
use super::pod::AgentPod;
use super::refusal::{Reason, Refusal};
use super::times::lives_until;
use crate::api::PolicyException;
use crate::names;
use jiff::{SignedDuration, Timestamp};

/// The codes that can have one: where a pod's walls have holes, and which images it runs. None of those that say
/// whose a pod is and what it holds.
pub const CODES: [&str; 4] = ["AID004", "AID013", "AID020", "AID057"];

/// How far ahead an exception can end, in days. One that ends later counts for nothing until its end is as near.
pub const LONGEST_DAYS: u32 = 90;

/// How long before its end every pod is told that it comes near, in days.
const NEAR_DAYS: i64 = 14;

/// Turns what exceptions let pass into warnings. A container that somebody adds to a running pod has none.
pub(super) fn excuse(verdict: &mut Verdict, pod: &AgentPod, context: Context<'_>) {
    if context.ceiling.policies().all(|(_, spec)| spec.exceptions.is_empty()) {
        return;
    }
    for refusal in std::mem::take(&mut verdict.refusals) {
        match covering(&refusal, pod, context) {
            Some(exception) => verdict.warnings.push(told(refusal, exception, context.now)),
            None => verdict.refusals.push(refusal),
        }
    }
}

/// Of the exceptions for this refusal, one of each policy of the namespace, the one that ends first; `None` unless
/// every policy has one.
fn covering<'a>(refusal: &Refusal, pod: &AgentPod, context: Context<'a>) -> Option<&'a PolicyException> {
    let code = refusal.code();
    if !CODES.contains(&code)
        || refusal.path.starts_with("spec.ephemeralContainers")
        || brings_a_secret(&refusal.path, pod)
    {
        return None;
    }
    let mut first: Option<&PolicyException> = None;
    for (_, spec) in context.ceiling.policies() {
        let covers = |e: &&PolicyException| {
            e.codes.iter().any(|c| c == code)
                && e.namespace == context.identity.namespace
                && counts(e, context.now)
                && is_of(pod, &e.workload)
        };
        let last = spec.exceptions.iter().filter(covers).max_by_key(|e| e.expires_at.0)?;
        first = Some(first.filter(|f| f.expires_at.0 <= last.expires_at.0).unwrap_or(last));
    }
    first
}

/// Whether what is refused is a volume whose driver logs in with a Secret: that is what a pod holds, not a wall.
fn brings_a_secret(path: &str, pod: &AgentPod) -> bool {
    pod.volumes()
        .any(|(volume, source)| path.starts_with(&volume.to_string()) && of_the_driver(source).is_some())
}

/// Whether it has not ended, and ends soon enough.
fn counts(exception: &PolicyException, now: Timestamp) -> bool {
    !has_ended(exception, now) && !ends_too_late(exception, now)
}

/// Whether its end has come.
#[must_use]
pub(super) fn has_ended(exception: &PolicyException, now: Timestamp) -> bool {
    exception.expires_at.0 <= now
}

/// Whether its end is further ahead than any exception's may be.
#[must_use]
pub(super) fn ends_too_late(exception: &PolicyException, now: Timestamp) -> bool {
    exception.expires_at.0 > lives_until(now, LONGEST_DAYS)
}

fn told(refusal: Refusal, exception: &PolicyException, now: Timestamp) -> Refusal {
    let end = exception.expires_at.0;
    let left = end.duration_since(now);
    let days_left = (left <= SignedDuration::from_hours(24 * NEAR_DAYS)).then(|| left.as_hours() / 24);
    let reason = Reason::Excepted {
        exception: exception.name.clone(),
        owner: exception.owner.clone(),
        until: end.to_string(),
        days_left,
        reason: Box::new(refusal.reason),
    };
    Refusal::at(refusal.path, reason)
}

/// Whether `Kind/name` made the pod. What a pod says of that, its creator wrote: whoever may use the identity in a pod of
/// their own can name another workload.
fn is_of(pod: &AgentPod, workload: &str) -> bool {
    let Some((kind, name)) = workload.split_once('/') else { return false };
    let Some(owner) = pod.controller() else {
        return kind == "Pod" && pod.metadata.name.as_deref() == Some(name);
    };
    let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
    let is = |of: &str, in_group: &str| owner.kind == of && group == in_group;
    match kind {
        // Deployments and CronJobs name what they make after themselves.
        "Deployment" if is("ReplicaSet", "apps") => {
            let hash = pod.label(names::POD_TEMPLATE_HASH).filter(|hash| !hash.is_empty());
            hash.is_some_and(|hash| between(&owner.name, name) == Some(hash))
        }
        "CronJob" if is("Job", "batch") => between(&owner.name, name)
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit())),
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" => is(kind, "apps") && owner.name == name,
        "Job" | "CronJob" => is(kind, "batch") && owner.name == name,
        "Pod" | "ReplicationController" => is(kind, "") && owner.name == name,
        _ => owner.kind == kind && owner.name == name,
    }
}

/// What follows `name` and a hyphen.
fn between<'a>(made: &'a str, name: &str) -> Option<&'a str> {
    made.strip_prefix(name)?.strip_prefix('-')
}
