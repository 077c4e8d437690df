//! How much was looked at.

use super::*;
use serde_json::json;

/// One that says nothing of agents.
fn plain() -> String {
    DEPLOYMENT.replace("perpro.dev/identity: feedback-reader", "app: a")
}

#[test]
fn pods_that_nobody_judged_are_not_told_as_clean() {
    let hint = "note: no pod was judged, as none says that it is an agent; label those that are with perpro.dev/identity, \
        a workload in its pod template, or give --enforce all to check every pod as one\n1 file, 1 pod of which 0 are agents, 0 findings\n";
    assert_eq!(told(&[("d.yaml", &plain())]), hint);
}

#[test]
fn of_several_pods_the_agents_are_counted() {
    let files = [("d.yaml", DEPLOYMENT), ("e.yaml", &plain()), ("id.yaml", IDENTITY)];
    let told = told(&files);
    assert!(told.ends_with("\n3 files, 2 pods of which 1 is an agent, 2 findings\n"), "{told}");
    assert!(!told.contains("note: "), "{told}");
    let input = input(&files);
    let report = judge(&input, &Facts::default(), "default", None, now());
    let json = json::render(&report);
    assert_eq!((&json["pods"], &json["agents"]), (&json!(2), &json!(1)));
    let every = judge(&input, &Facts::default(), "default", Some(Governance::All), now());
    assert_eq!(json::render(&every)["agents"], 2);
}

#[test]
fn where_there_is_no_pod_nobody_is_told_to_label_one() {
    assert_eq!(told(&[("id.yaml", IDENTITY)]), "1 file, 0 pods, 0 findings\n");
}
