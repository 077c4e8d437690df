//! What it means: a line per part, and a sentence with the next step per problem.

use super::super::output::count;
use super::admission::{Admission, Changed, Trust};
use super::seen::{Counts, Namespaces, Readable, Replicas, Seen};
use crate::cluster::LeaseRecord;
use jiff::{SignedDuration, Timestamp};
use perpro_core::catalogue::{self, Source};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A certificate with less than this left was not renewed when it should have been.
const CERTIFICATE_DAYS: i64 = 21;
/// A Lease that was renewed longer ago has no living holder. It holds for 15 s; clocks differ.
const LEADER: SignedDuration = SignedDuration::from_secs(60);

/// The answer.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) text: String,
    /// The same for a program.
    pub(super) facts: Value,
    pub(super) healthy: bool,
}

/// A line, and what is wrong with its part.
struct Part {
    name: &'static str,
    line: String,
    problems: Vec<String>,
    /// What somebody should know and nobody must mend.
    notes: Vec<String>,
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

impl Report {
    /// What `seen` means at `now`.
    pub(super) fn of(seen: &Seen, now: Timestamp) -> Self {
        let parts = [
            webhook(seen, now),
            controller(seen, now),
            policies(&seen.admission),
            namespaces(&seen.namespaces),
            instances(&seen.instances),
        ];
        let problems: Vec<_> = parts.iter().flat_map(|p| &p.problems).collect();
        let notes: Vec<_> = parts.iter().flat_map(|p| &p.notes).collect();
        let healthy = problems.is_empty();
        let facts = facts(seen, now, &problems, &notes);
        let verdict = if healthy { "healthy".to_owned() } else { count(problems.len(), "problem") };
        let version = env!("CARGO_PKG_VERSION");
        let mut text = format!("perpro {version} on Kubernetes {}: {verdict}\n", seen.kubernetes);
        for part in &parts {
            text += &format!("{:<12} {}\n", part.name, part.line);
        }
        for problem in problems {
            text += &format!("problem: {problem}\n");
        }
        for note in notes {
            text += &format!("note: {note}\n");
        }
        Self { text, facts, healthy }
    }
}

/// What a program reads: docs/operations.md promises its shape. What can't be read is null.
fn facts(seen: &Seen, now: Timestamp, problems: &[&String], notes: &[&String]) -> Value {
    let replicas = |found: &Readable<Option<Replicas>>| {
        let found = found.as_ref().ok()?.as_ref()?;
        let Replicas { name, wanted, ready, version } = found;
        Some(json!({ "name": name, "wanted": wanted, "ready": ready, "version": version }))
    };
    let policies = |found: &Admission| json!({ "expected": expected(), "inForce": found.in_force });
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "kubernetes": seen.kubernetes,
        "healthy": problems.is_empty(),
        "webhook": replicas(&seen.webhook),
        "controller": replicas(&seen.controller),
        "leader": leader(seen, now).map(|lease| &lease.holder),
        "certificateEndsAt": seen.certificate_ends.as_ref().ok().copied().flatten(),
        "policies": seen.admission.as_ref().ok().map(policies),
        "namespaces": seen.namespaces.as_ref().ok(),
        "instances": seen.instances.as_ref().ok(),
        "problems": problems,
        "notes": notes,
    })
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

fn webhook(seen: &Seen, now: Timestamp) -> Part {
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
fn leader(seen: &Seen, now: Timestamp) -> Option<&LeaseRecord> {
    let alive = |lease: &&LeaseRecord| !lease.holder.is_empty() && now.duration_since(lease.renewed) < LEADER;
    seen.leader.as_ref().ok()?.as_ref().filter(alive)
}

fn controller(seen: &Seen, now: Timestamp) -> Part {
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
fn expected() -> BTreeSet<&'static str> {
    let sources = catalogue::all().into_iter().flat_map(|e| e.from);
    sources.filter_map(|s| if let Source::Policy(name) = s { Some(*name) } else { None }).collect()
}

fn policies(found: &Readable<Admission>) -> Part {
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

fn namespaces(found: &Readable<Namespaces>) -> Part {
    let Namespaces { all, agents, mistyped, older_pods } = match found {
        Ok(found) => found,
        Err(why) => return Part::unreadable("namespaces", why),
    };
    let mut line = format!("{} all, {} agents", all.len(), agents.len());
    if *older_pods > 0 {
        line += &format!(", {} older than the label", count(*older_pods, "pod"));
    }
    let mut part = Part::new("namespaces", line);
    for (name, value) in mistyped {
        part.problems.push(format!(
            "namespace \"{name}\" has perpro.dev/enforce={value:?}, which governs nothing: use all or agents"
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

fn instances(found: &Readable<Counts>) -> Part {
    match found {
        Ok(Counts { live, gated, unclaimed }) => {
            Part::new("instances", format!("{live} live, {gated} gated, {unclaimed} unclaimed"))
        }
        Err(why) => Part::unreadable("instances", why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const NOW: i64 = 2_000_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(NOW + seconds).unwrap()
    }

    fn running(ready: i32) -> Readable<Option<Replicas>> {
        Ok(Some(Replicas {
            name: "perpro-webhook".to_owned(),
            wanted: 2,
            ready,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }))
    }

    fn lease(holder: &str, age: i64) -> LeaseRecord {
        let holder = holder.to_owned();
        LeaseRecord { holder, renewed: at(-age), seconds: 15, transitions: 1, resource_version: None }
    }

    fn well() -> Seen {
        Seen {
            release: "perpro-system".to_owned(),
            kubernetes: "v1.36.3".to_owned(),
            webhook: running(2),
            controller: running(2),
            leader: Ok(Some(lease("perpro-controller-7d", 2))),
            certificate_ends: Ok(Some(at(61 * 86400 + 60))),
            admission: Ok(Admission {
                in_force: expected().into_iter().map(str::to_owned).collect(),
                entries: [3, 3],
                trust: [Trust::Until(at(1))].into(),
                ..Admission::default()
            }),
            namespaces: Ok(Namespaces {
                all: vec!["support".to_owned()],
                older_pods: 3,
                ..Namespaces::default()
            }),
            instances: Ok(Counts { live: 4, gated: 0, unclaimed: 1 }),
        }
    }

    #[test]
    fn a_healthy_installation_is_a_line_per_part() {
        let report = Report::of(&well(), at(0));
        let n = expected().len();
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            report.text,
            format!(
                "perpro {version} on Kubernetes v1.36.3: healthy\n\
                 webhook      2/2 ready, certificate 61 days\n\
                 controller   2/2 ready, leader perpro-controller-7d\n\
                 policies     {n}/{n} in force\n\
                 namespaces   1 all, 0 agents, 3 pods older than the label\n\
                 instances    4 live, 0 gated, 1 unclaimed\n\
                 note: 3 pods without identity; they are looked at when they are replaced\n"
            )
        );
        assert!(report.healthy);
    }

    #[rstest]
    #[case::no_webhook("no webhook is ready", |s: &mut Seen| s.webhook = running(0))]
    #[case::one_webhook("one replica of the webhook", |s: &mut Seen| s.webhook = running(1))]
    #[case::not_installed("no Deployment of the controller", |s: &mut Seen| s.controller = Ok(None))]
    #[case::no_leader("no controller leads", |s: &mut Seen| s.leader = Ok(None))]
    #[case::a_dead_leader("no controller leads", |s: &mut Seen| s.leader = Ok(Some(lease("x", 61))))]
    #[case::a_leader_that_left("no controller leads", |s: &mut Seen| s.leader = Ok(Some(lease("", 1))))]
    #[case::old_certificate("certificate ends in 20 days", |s: &mut Seen| s.certificate_ends = Ok(Some(at(20 * 86400 + 9))))]
    #[case::no_certificate("has no certificate", |s: &mut Seen| s.certificate_ends = Ok(None))]
    #[case::expired_certificate("certificate expired at 2033-05-18T03:33:19Z: new pods in governed namespaces are refused; kubectl", |s: &mut Seen| s.certificate_ends = Ok(Some(at(-1))))]
    #[case::last_day("certificate ends in less than a day", |s: &mut Seen| s.certificate_ends = Ok(Some(at(1))))]
    #[case::nobody_asks("are missing or empty", |s: &mut Seen| s.admission.as_mut().unwrap().entries = [3, 0])]
    #[case::no_authority("name no certificate authority", |s: &mut Seen| s.admission.as_mut().unwrap().trust = [Trust::Nobody].into())]
    #[case::old_authority("expired at 2033-05-18T03:33:20Z, so API servers can't call", |s: &mut Seen| s.admission.as_mut().unwrap().trust = [Trust::Until(at(0))].into())]
    #[case::a_policy_is_gone("not in force: perpro-identity-label", |s: &mut Seen| { s.admission.as_mut().unwrap().in_force.remove("perpro-identity-label"); })]
    #[case::a_policy_is_weaker("ValidatingAdmissionPolicy perpro-pods: spec.failurePolicy is \"Ignore\" instead of \"Fail\"; restore it by \"kubectl delete validatingadmissionpolicy perpro-pods\" and an upgrade", |s: &mut Seen| change(s, "ValidatingAdmissionPolicy", "perpro-pods", "spec.failurePolicy is \"Ignore\" instead of \"Fail\""))]
    #[case::a_webhook_is_weaker("MutatingWebhookConfiguration perpro: webhooks[all] is missing; restore it by", |s: &mut Seen| change(s, "MutatingWebhookConfiguration", "perpro", "webhooks[all] is missing"))]
    #[case::a_typo("enforce=\"al\", which governs nothing", |s: &mut Seen| s.namespaces.as_mut().unwrap().mistyped = vec![("x".into(), "al".into())])]
    #[case::unreadable("instances can't be read: forbidden", |s: &mut Seen| s.instances = Err("forbidden".into()))]
    fn what_is_wrong_is_told_with_the_next_step(#[case] expected: &str, #[case] breaks: fn(&mut Seen)) {
        let mut seen = well();
        breaks(&mut seen);
        let report = Report::of(&seen, at(0));
        assert!(!report.healthy && report.text.contains(": 1 problem\n"), "{}", report.text);
        let problem = report.text.lines().find(|l| l.starts_with("problem: ")).unwrap();
        assert!(problem.contains(expected), "{problem}");
    }

    fn change(seen: &mut Seen, kind: &str, name: &str, difference: &str) {
        let admission = seen.admission.as_mut().unwrap();
        let differences = vec![difference.to_owned()];
        admission.changed.push(Changed { kind: kind.to_owned(), name: name.to_owned(), differences });
        admission.in_force.remove(name);
    }

    #[test]
    fn where_cert_manager_makes_certificates_nobody_is_sent_to_our_cron_job() {
        let mut seen = well();
        seen.certificate_ends = Ok(Some(at(-86400)));
        seen.admission.as_mut().unwrap().cert_manager = true;
        let report = Report::of(&seen, at(0));
        assert!(
            report.text.contains("kubectl -n perpro-system describe certificate perpro-webhook"),
            "{}",
            report.text
        );
        assert!(!report.text.contains("cronjob"), "{}", report.text);
    }

    #[test]
    fn a_program_reads_the_same_in_a_shape_that_stays() {
        let mut seen = Seen { instances: Err("forbidden".to_owned()), ..well() };
        change(&mut seen, "ValidatingAdmissionPolicy", "perpro-pods", "spec.failurePolicy is wrong");
        let facts = Report::of(&seen, at(0)).facts;
        let mut in_force = expected();
        in_force.remove("perpro-pods");
        let version = env!("CARGO_PKG_VERSION");
        let replicas = json!({"name": "perpro-webhook", "wanted": 2, "ready": 2, "version": version});
        assert_eq!(
            facts,
            json!({
                "version": version, "kubernetes": "v1.36.3", "healthy": false,
                "webhook": replicas, "controller": replicas, "leader": "perpro-controller-7d",
                "certificateEndsAt": "2033-07-18T03:34:20Z",
                "policies": {"expected": expected(), "inForce": in_force},
                "namespaces": {"all": ["support"], "agents": [], "olderPods": 3},
                "instances": null,
                "problems": facts["problems"], "notes": facts["notes"],
            })
        );
        assert_eq!(
            (facts["problems"].as_array().unwrap().len(), facts["notes"].as_array().unwrap().len()),
            (2, 2)
        );
        assert!(facts["problems"][0].as_str().unwrap().contains("perpro-pods"), "{facts}");
    }

    #[test]
    fn who_may_not_read_the_key_still_learns_the_health() {
        let report = Report::of(&Seen { certificate_ends: Err("forbidden".to_owned()), ..well() }, at(0));
        assert!(report.healthy && report.text.contains("note: the webhook's certificate can't be read"));
    }
}
