//! What it means: for people a line per part and a sentence per problem, and the same for programs.

use super::super::output::count;
use super::admission::Admission;
use super::parts::{controller, expected, instances, leader, namespaces, policies, webhook};
use super::seen::{Readable, Replicas, Seen};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The answer.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) text: String,
    /// The same for a program.
    pub(super) facts: Value,
    pub(super) healthy: bool,
}

impl Report {
    /// What `seen` means at `now`.
    pub(super) fn of(seen: &Seen, now: Timestamp) -> Self {
        if seen.installed() == Some(false) {
            let missing = missing(&seen.release);
            let facts = facts(seen, now, &[&missing], &[]);
            return Self { text: format!("{missing}\n"), facts, healthy: false };
        }
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

/// What is said where nothing is installed. The release of the kinds may be: an uninstallation leaves it.
fn missing(release: &str) -> String {
    let install = |chart| format!("helm upgrade --install {chart} charts/{chart} --namespace {release}");
    format!(
        "perpro is not installed in this cluster; to install it: {} --create-namespace && {} --wait",
        install("perpro-crds"),
        install("perpro")
    )
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

#[cfg(test)]
mod tests {
    use super::super::admission::{Changed, Trust};
    use super::super::seen::{Counts, Namespaces};
    use super::*;
    use crate::cluster::LeaseRecord;
    use perpro_core::names;
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
                warned: vec!["billing".to_owned()],
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
                 namespaces   1 all, 0 agents, 1 warned, 3 pods older than the label\n\
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
    #[case::a_policy_is_gone("not in force: perpro-pods", |s: &mut Seen| { s.admission.as_mut().unwrap().in_force.remove("perpro-pods"); })]
    #[case::a_policy_is_weaker("ValidatingAdmissionPolicy perpro-pods: spec.failurePolicy is \"Ignore\" instead of \"Fail\"; restore it by \"kubectl delete validatingadmissionpolicy perpro-pods\" and an upgrade", |s: &mut Seen| change(s, "ValidatingAdmissionPolicy", "perpro-pods", "spec.failurePolicy is \"Ignore\" instead of \"Fail\""))]
    #[case::a_webhook_is_weaker("MutatingWebhookConfiguration perpro: webhooks[all] is missing; restore it by", |s: &mut Seen| change(s, "MutatingWebhookConfiguration", "perpro", "webhooks[all] is missing"))]
    #[case::a_typo("enforce=\"al\", which governs nothing", |s: &mut Seen| s.namespaces.as_mut().unwrap().mistyped = vec![("x".into(), names::ENFORCE_LABEL, "al".into())])]
    #[case::unreadable("instances can't be read: forbidden", |s: &mut Seen| s.instances = Err("forbidden".into()))]
    fn what_is_wrong_is_told_with_the_next_step(#[case] expected: &str, #[case] breaks: fn(&mut Seen)) {
        let mut seen = well();
        breaks(&mut seen);
        let report = Report::of(&seen, at(0));
        assert!(!report.healthy && report.text.contains(": 1 problem\n"), "{}", report.text);
        let problem = report.text.lines().find(|l| l.starts_with("problem: ")).unwrap();
        assert!(problem.contains(expected), "{problem}");
    }

    #[test]
    fn where_nothing_is_installed_one_line_says_so_and_how_to_install_it() {
        let gone = || Seen {
            webhook: Ok(None),
            controller: Ok(None),
            leader: Ok(None),
            certificate_ends: Ok(None),
            admission: Ok(Admission::default()),
            ..well()
        };
        let report = Report::of(&gone(), at(0));
        let line = "perpro is not installed in this cluster; to install it: helm upgrade --install perpro-crds \
            charts/perpro-crds --namespace perpro-system --create-namespace && helm upgrade --install perpro charts/perpro \
            --namespace perpro-system --wait";
        assert_eq!((report.text, report.healthy), (format!("{line}\n"), false));
        assert_eq!((&report.facts["problems"], &report.facts["healthy"]), (&json!([line]), &json!(false)));
        // Where somebody can't look, or something is left, it may be there, and broken.
        let left = Admission { in_force: ["perpro-pods".to_owned()].into(), ..Admission::default() };
        for seen in [
            Seen { admission: Err("forbidden".to_owned()), ..gone() },
            Seen { controller: Err("forbidden".to_owned()), ..gone() },
            Seen { admission: Ok(left), ..gone() },
            Seen { webhook: running(0), ..gone() },
        ] {
            assert!(Report::of(&seen, at(0)).text.starts_with("perpro 0."), "{seen:?}");
        }
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
                "namespaces": {"all": ["support"], "agents": [], "warned": ["billing"], "audited": [], "olderPods": 3},
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
