//! What perpro tells those who run it: metrics of both processes, and logs that keep secrets.

use crate::common::{World, agent};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};
use perpro_e2e::install::{HostProcess, HostProcesses};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// A page of metrics: the value of each series, by its line less the value.
struct Page(BTreeMap<String, f64>);

impl Page {
    async fn of(world: &World, process: HostProcess) -> Self {
        let text = HostProcesses::of(&world.cluster).metrics(process).await.unwrap();
        let series = text.lines().filter(|line| !line.starts_with('#'));
        Self(
            series
                .map(|line| {
                    let (series, value) = line.rsplit_once(' ').unwrap();
                    (series.to_owned(), value.parse().unwrap())
                })
                .collect(),
        )
    }

    /// The sum of all series that begin so.
    fn sum(&self, begin: &str) -> f64 {
        self.0.iter().filter(|(series, _)| series.starts_with(begin)).map(|(_, value)| value).sum()
    }

    fn names(&self) -> BTreeSet<&str> {
        let names = self.0.keys().map(|series| series.split('{').next().unwrap_or_default());
        // A histogram has three.
        let parts = ["_bucket", "_sum", "_count"];
        names.map(|n| parts.iter().find_map(|p| n.strip_suffix(p)).unwrap_or(n)).collect()
    }
}

/// The names in the reference.
fn documented() -> BTreeSet<&'static str> {
    let page = include_str!("../../../../docs/reference/metrics.md");
    page.lines().filter_map(|l| l.strip_prefix("| `")?.split('`').next()).collect()
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_way_of_a_pod_can_be_counted() {
    let world = World::new("all").await;
    let mut steps = vec![
        (
            HostProcess::Webhook,
            "perpro_admissions_total{path=\"/mutate/pods\",verdict=\"admitted\",code=\"\"}",
        ),
        (
            HostProcess::Webhook,
            "perpro_admissions_total{path=\"/mutate/pods\",verdict=\"refused\",code=\"AID002\"}",
        ),
        (
            HostProcess::Webhook,
            "perpro_admissions_total{path=\"/validate/pods\",verdict=\"admitted\",code=\"\"}",
        ),
        (HostProcess::Webhook, "perpro_admission_duration_seconds_count{path=\"/mutate/pods\"}"),
        (HostProcess::Webhook, "perpro_writes_total{write=\"mint\",outcome=\"done\"}"),
        (HostProcess::Controller, "perpro_pass_duration_seconds_count{result=\"done\"}"),
    ];
    for write in ["claim", "bind", "ungate", "unbind", "delete-account", "delete-pod", "report-status"] {
        let series = format!("perpro_writes_total{{write=\"{write}\",outcome=\"done\"}}");
        steps.push((HostProcess::Controller, series.leak()));
    }
    let before =
        [Page::of(&world, HostProcess::Webhook).await, Page::of(&world, HostProcess::Controller).await];
    world.rejects(&agent(json!({})), "AID002").await;
    world.identity("bot", json!({})).await;
    world.released_agent().await;
    // Not by deleting the pod: garbage collection would race with us for its account.
    world.patch_identity("bot", json!({"suspended": true})).await;
    world.gone(world.pods(), "pod").await;
    let after =
        [Page::of(&world, HostProcess::Webhook).await, Page::of(&world, HostProcess::Controller).await];
    for (process, series) in steps {
        let page = usize::from(process == HostProcess::Controller);
        // Other tests count at the same time.
        let grown = after[page].sum(series) - before[page].sum(series);
        assert!(grown >= 1.0, "{series} grew by {grown}");
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn each_process_says_what_it_knows_and_nothing_undocumented() {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    world.released_agent().await;
    let webhook = Page::of(&world, HostProcess::Webhook).await;
    let controller = Page::of(&world, HostProcess::Controller).await;
    let seen: BTreeSet<_> = webhook.names().into_iter().chain(controller.names()).collect();
    assert_eq!(seen.difference(&documented()).collect::<Vec<_>>(), Vec::<&&str>::new());

    let version = format!("perpro_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    for page in [&webhook, &controller] {
        assert_eq!(page.0.get(&version), Some(&1.0));
        assert!(page.sum("perpro_identities{state=\"live\"}") >= 1.0);
        assert!(page.names().contains("perpro_oldest_unclaimed_account_seconds"));
        assert!(page.names().contains("perpro_watch_restarts_total"));
    }
    assert_eq!(controller.0.get("perpro_leader{}"), Some(&1.0));
    assert!(controller.sum("perpro_instances{state=\"released\"}") >= 1.0);
    let own = ["perpro_leader", "perpro_instances", "perpro_queue_depth", "perpro_oldest_gated_pod_seconds"];
    assert!(own.iter().all(|name| !webhook.names().contains(name)), "the webhook can't know these");
    let expires = webhook.sum("perpro_certificate_expires_timestamp_seconds");
    assert!(expires > jiff::Timestamp::now().as_second() as f64, "{expires}");
    assert!(!controller.names().contains("perpro_certificate_expires_timestamp_seconds"));
}

/// What the Secret of the test holds.
const WORD: &str = "correct-horse-battery-staple";

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_logs_name_the_pod_and_neither_secrets_nor_people() {
    let world = World::new("all").await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "crm"}, "stringData": {"key": WORD}});
    let secrets = Api::<Secret>::namespaced(world.client.clone(), &world.namespace);
    secrets.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
    let person = format!("{}@people.example", world.namespace);
    world.identity("bot", json!({"owner": {"kind": "User", "name": person}, "contacts": [person]})).await;
    world.rejects(&agent(json!({"spec": {"hostPID": true}})), "AID004").await;
    world.released_agent().await;
    world.patch_identity("bot", json!({"suspended": true})).await;
    world.gone(world.pods(), "pod").await;
    world.rejects(&agent(json!({})), "AID006").await;

    let processes = HostProcesses::of(&world.cluster);
    let mut lines = Vec::new();
    for process in [HostProcess::Webhook, HostProcess::Controller] {
        let log = std::fs::read_to_string(processes.log(process)).unwrap();
        // A JSON web token begins so.
        for forbidden in [WORD, &person, "eyJ"] {
            assert!(!log.contains(forbidden), "{forbidden} in {}", processes.log(process).display());
        }
        let ours = format!("namespace=\"{}\"", world.namespace);
        lines.extend(log.lines().filter(|line| line.contains(&ours)).map(str::to_owned));
    }
    for message in
        ["pod refused", "pod admitted", "account claimed", "pod released", "account ended", "pod ended"]
    {
        let whole = [message, "identity=\"bot\"", "pod=\"pod\""];
        let found = lines.iter().any(|line| whole.iter().all(|part| line.contains(part)));
        assert!(found, "no line {whole:?} in {lines:#?}");
    }
}
