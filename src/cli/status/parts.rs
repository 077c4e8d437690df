//! The parts of an installation: of each a line, and a sentence with the next step per problem.

use super::super::output::count;
use super::admission::{Admission, Changed, Trust};
use super::seen::{Counts, Namespaces, Readable, Replicas, Seen};
use crate::cluster::LeaseRecord;
use jiff::{SignedDuration, Timestamp};
use perpro_core::catalogue::{self, Source};
use std::collections::BTreeSet;

/// A certificate with less than this left was not renewed when it should have been.
const CERTIFICATE_DAYS: i64 = 21;
/// A Lease that was renewed longer ago has no living holder. It holds for 15 s; clocks differ.
const LEADER: SignedDuration = SignedDuration::from_secs(60);

/// A line, and what is wrong with its part.
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) line: String,
    pub(super) problems: Vec<String>,
    /// What somebody should know and nobody must mend.
    pub(super) notes: Vec<String>,
}

impl Part {
    fn new(name: &'static str, line: impl Into<String>) -> Self {
        Self { name, line: line.into(), problems: Vec::new(), notes: Vec::new() }
    }

    /// A part that could not be read: nobody knows that it is well.
    fn unreadable(name: &'static str, why: &str) -> Self {
        let mut part = Self::new(name, "unknown");
        part.problems.push(format!("{name} can't be read: {why}"));
        part
    }
}

fn replicas(name: &'static str, release: &str, found: &Readable<Option<Replicas>>, down: &str) -> Part {
    let found = match found {
        Ok(Some(found)) => found,
        Ok(None) => {
            let mut part = Part::new(name, "not installed");
            part.problems.push(format!(
                "there is no Deployment of the {name} in namespace \"{release}\": {down}; install the chart, or say with --release-namespace where it is"
            ));
            return part;
        }
        Err(why) => return Part::unreadable(name, why),
    };
    let Replicas { name: deployment, wanted, ready, version } = found;
    let mut part = Part::new(name, format!("{ready}/{wanted} ready"));
    let look = format!("kubectl -n {release} describe deployment {deployment}");
    if *ready == 0 {
        part.problems.push(format!("no {name} is ready: {down}; {look}"));
    } else if ready < wanted {
        part.problems.push(format!("{} of the {name} not ready; {look}", count_replicas(wanted - ready)));
    }
    if version != env!("CARGO_PKG_VERSION") {
        part.notes
            .push(format!("the {name} has version {version}, this program {}", env!("CARGO_PKG_VERSION")));
    }
    part
}

fn count_days(n: i64) -> String {
    match n {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        n => format!("{n} days"),
    }
}

fn count_replicas(n: i32) -> String {
    if n == 1 { "one replica".to_owned() } else { format!("{n} replicas") }
}

pub(super) fn webhook(seen: &Seen, now: Timestamp) -> Part {
    let release = &seen.release;
    let down = "new pods in governed namespaces are refused";
    let mut part = replicas("webhook", release, &seen.webhook, down);
    match &seen.admission {
        Ok(admission) => {
            if admission.entries.contains(&0) {
                part.problems.push(
                    "the webhook configurations \"perpro\" are missing or empty: nobody asks the webhook; upgrade the chart".to_owned(),
                );
            }
            part.problems.extend(distrust(&admission.trust, now, &renewal(seen)));
            let ours = admission.changed.iter().filter(|c| c.kind.ends_with("WebhookConfiguration"));
            part.problems.extend(ours.flat_map(changes));
        }
        Err(why) => part.problems.push(format!("webhook configurations can't be read: {why}")),
    }
    match &seen.certificate_ends {
        Ok(Some(ends)) if *ends <= now => {
            part.line += ", certificate expired";
            part.problems
                .push(format!("the webhook's certificate expired at {ends}: {down}; {}", renewal(seen)));
        }
        Ok(Some(ends)) => {
            let days = ends.duration_since(now).as_hours() / 24;
            part.line += &format!(", certificate {}", count_days(days));
            if days < CERTIFICATE_DAYS {
                part.problems.push(format!(
                    "the webhook's certificate ends in {} and was not renewed: {}",
                    count_days(days),
                    renewal(seen)
                ));
            }
        }
        Ok(None) => part.problems.push(format!("the webhook has no certificate: {}", renewal(seen))),
        // It stands beside the key, and not everybody who asks for health may read keys.
        Err(why) => part.notes.push(format!("the webhook's certificate can't be read: {why}")),
    }
    part
}

/// What to do about a certificate, whoever makes it.
fn renewal(seen: &Seen) -> String {
    let release = &seen.release;
    let webhook = match &seen.webhook {
        Ok(Some(webhook)) => webhook.name.as_str(),
        _ => "perpro-webhook",
    };
    if seen.admission.as_ref().is_ok_and(|a| a.cert_manager) {
        return format!(
            "cert-manager makes it: kubectl -n {release} describe certificate {webhook} says what keeps it"
        );
    }
    let certs = webhook.replace("webhook", "certs");
    format!("kubectl -n {release} create job \"certs-$(date +%s)\" --from=cronjob/{certs}")
}

/// What is wrong with the authorities that API servers trust when they call the webhook.
fn distrust(trust: &BTreeSet<Trust>, now: Timestamp, renewal: &str) -> Vec<String> {
    let wrong = |trust: &Trust| match trust {
        Trust::Nobody => Some("name no certificate authority".to_owned()),
        Trust::Until(ends) if *ends <= now => Some(format!("trust an authority that expired at {ends}")),
        Trust::Until(_) => None,
    };
    let tell = |wrong| {
        format!(
            "entries of the webhook configurations \"perpro\" {wrong}, so API servers can't call the webhook: {renewal}"
        )
    };
    trust.iter().filter_map(wrong).map(tell).collect()
}

/// A line per difference, with the way back.
fn changes(changed: &Changed) -> Vec<String> {
    let Changed { kind, name, differences } = changed;
    let restore = format!("restore it by \"kubectl delete {} {name}\" and an upgrade", kind.to_lowercase());
    if differences.is_empty() {
        return vec![format!(
            "{kind} {name} does not say what the chart made of it, so nobody knows whether it was changed; {restore}"
        )];
    }
    differences.iter().map(|what| format!("{kind} {name}: {what}; {restore}")).collect()
}

/// The Lease of a controller that leads.
pub(super) fn leader(seen: &Seen, now: Timestamp) -> Option<&LeaseRecord> {
    let alive = |lease: &&LeaseRecord| !lease.holder.is_empty() && now.duration_since(lease.renewed) < LEADER;
    seen.leader.as_ref().ok()?.as_ref().filter(alive)
}

pub(super) fn controller(seen: &Seen, now: Timestamp) -> Part {
    let down = "new agent pods wait at their gate, and power that should end does not";
    let mut part = replicas("controller", &seen.release, &seen.controller, down);
    match (&seen.leader, leader(seen, now)) {
        (Err(why), _) => part.problems.push(format!("the controllers' Lease can't be read: {why}")),
        (Ok(_), Some(lease)) => part.line += &format!(", leader {}", lease.holder),
        (Ok(_), None) => part.problems.push(format!(
            "no controller leads: {down}; kubectl -n {} logs -l app.kubernetes.io/component=controller",
            seen.release
        )),
    }
    part
}

/// The policies that the catalogue of codes knows: each has a code to refuse with.
pub(super) fn expected() -> BTreeSet<&'static str> {
    let sources = catalogue::all().into_iter().flat_map(|e| e.from);
    sources.filter_map(|s| if let Source::Policy(name) = s { Some(*name) } else { None }).collect()
}

pub(super) fn policies(found: &Readable<Admission>) -> Part {
    let found = match found {
        Ok(found) => found,
        Err(why) => return Part::unreadable("policies", why),
    };
    let expected = expected();
    let missing: Vec<_> = expected.iter().copied().filter(|name| !found.in_force.contains(*name)).collect();
    let mut part =
        Part::new("policies", format!("{}/{} in force", expected.len() - missing.len(), expected.len()));
    let ours = found.changed.iter().filter(|c| !c.kind.ends_with("WebhookConfiguration"));
    part.problems.extend(ours.clone().flat_map(changes));
    if !found.changed.is_empty() {
        // Helm stops at the change, or leaves what was added: tried with server-side apply and with patches.
        part.notes.push(
            "an upgrade alone does not restore what was changed by hand: delete all such objects, and at once upgrade with \
             the same values (helm upgrade --reuse-values); what they guard is open until then"
                .to_owned(),
        );
    }
    let gone: Vec<_> = missing.into_iter().filter(|name| ours.clone().all(|c| c.name != *name)).collect();
    if !gone.is_empty() {
        part.problems.push(format!(
            "not in force: {}; upgrade the chart (kubectl get validatingadmissionpolicybindings)",
            gone.join(", ")
        ));
    }
    part
}

pub(super) fn namespaces(found: &Readable<Namespaces>) -> Part {
    let Namespaces { all, agents, warned, audited, mistyped, older_pods } = match found {
        Ok(found) => found,
        Err(why) => return Part::unreadable("namespaces", why),
    };
    let mut line = format!("{} all, {} agents", all.len(), agents.len());
    for (list, what) in [(warned, "warned"), (audited, "audited")] {
        if !list.is_empty() {
            line += &format!(", {} {what}", list.len());
        }
    }
    if *older_pods > 0 {
        line += &format!(", {} older than the label", count(*older_pods, "pod"));
    }
    let mut part = Part::new("namespaces", line);
    for (name, label, value) in mistyped {
        part.problems.push(format!(
            "namespace \"{name}\" has {label}={value:?}, which governs nothing: use all or agents"
        ));
    }
    if *older_pods > 0 {
        part.notes.push(format!(
            "{} without identity; they are looked at when they are replaced",
            count(*older_pods, "pod")
        ));
    }
    part
}

pub(super) fn instances(found: &Readable<Counts>) -> Part {
    match found {
        Ok(Counts { live, gated, unclaimed }) => {
            Part::new("instances", format!("{live} live, {gated} gated, {unclaimed} unclaimed"))
        }
        Err(why) => Part::unreadable("instances", why),
    }
}
