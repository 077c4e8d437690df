//! Every metric: its name, its labels and what it means, and the page on which Prometheus reads them.
//!
//! Label values are `&'static str`: they come from enums, so neither the name of a pod nor that of
//! a person can become one, and the number of series has a bound. A metric appears once something
//! has set it: what a process knows nothing of, it does not report as zero.
//! `docs/reference/metrics.md` holds the same table; a test compares them.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge as AnyGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

/// The metrics of this process.
pub(crate) static METRICS: LazyLock<Metrics> = LazyLock::new(|| {
    let metrics = Metrics::new();
    metrics.build_info.set([env!("CARGO_PKG_VERSION")], 1.0);
    metrics
});

/// Upper bounds in seconds: from a decision in memory to an API server that hangs.
const BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

type Gauge = AnyGauge<f64, AtomicU64>;

/// A metric with these labels.
pub(crate) struct Labelled<M, const N: usize> {
    labels: [&'static str; N],
    family: Family<[(&'static str, &'static str); N], M>,
}

impl<M, const N: usize> Labelled<M, N> {
    fn at(&self, values: [&'static str; N]) -> [(&'static str, &'static str); N] {
        std::array::from_fn(|i| (self.labels[i], values[i]))
    }
}

impl<const N: usize> Labelled<Counter, N> {
    /// Counts one more.
    pub(crate) fn inc(&self, values: [&'static str; N]) {
        self.family.get_or_create(&self.at(values)).inc();
    }

    /// Lets the series begin at zero, so that its first step shows as one.
    pub(crate) fn begin(&self, values: [&'static str; N]) {
        drop(self.family.get_or_create(&self.at(values)));
    }
}

impl<const N: usize> Labelled<Gauge, N> {
    /// It is this much now.
    pub(crate) fn set(&self, values: [&'static str; N], to: f64) {
        self.family.get_or_create(&self.at(values)).set(to);
    }
}

impl<const N: usize> Labelled<Histogram, N> {
    /// One more took this long.
    pub(crate) fn observe(&self, values: [&'static str; N], took: Duration) {
        self.family.get_or_create(&self.at(values)).observe(took.as_secs_f64());
    }
}

/// A kind of metric: how an empty one is made.
trait Kind: Sized {
    const EMPTY: fn() -> Self;
}

impl Kind for Counter {
    const EMPTY: fn() -> Self = Self::default;
}

impl Kind for Gauge {
    const EMPTY: fn() -> Self = Self::default;
}

impl Kind for Histogram {
    const EMPTY: fn() -> Self = || Self::new(BUCKETS);
}

const fn count<const N: usize>(_labels: [&'static str; N]) -> usize {
    N
}

macro_rules! metrics {
    ($($field:ident: $kind:ident $labels:tt = $name:literal, $help:literal;)*) => {
        /// All of them.
        pub(crate) struct Metrics {
            registry: Registry,
            $(#[doc = $help] pub(crate) $field: Labelled<$kind, { count($labels) }>,)*
        }

        impl Metrics {
            fn new() -> Self {
                let mut registry = Registry::with_prefix("perpro");
                $(
                    let family = Family::new_with_constructor(<$kind as Kind>::EMPTY);
                    registry.register($name, $help, family.clone());
                    let $field = Labelled { labels: $labels, family };
                )*
                Self { registry, $($field),* }
            }

            /// Name, kind, labels and meaning of each.
            #[cfg(test)]
            const ALL: &[(&str, &str, &[&str], &str)] =
                &[$(($name, stringify!($kind), &$labels, $help)),*];
        }
    };
}

metrics! {
    build_info: Gauge ["version"] = "build_info",
        "Always 1; which version runs";
    admissions: Counter ["path", "verdict", "code"] = "admissions",
        "Answers of the webhook: admitted, refused (with the first code), would-refuse (only told, with the first code), malformed, or abandoned because nobody waited any more";
    admission_seconds: Histogram ["path"] = "admission_duration_seconds",
        "How long the webhook took to answer";
    writes: Counter ["write", "outcome"] = "writes",
        "Writes to the API server: done, conflict (somebody was faster), gone, refused (any other 4xx), or failed";
    exceptions: Counter ["code"] = "exceptions",
        "Violations with which pods were admitted all the same, by an exception of the AgentPolicies";
    claims_refused: Counter ["code"] = "claims_refused",
        "Gated pods that the controller refused, once per pod and reason";
    pass_seconds: Histogram ["result"] = "pass_duration_seconds",
        "How long the controller took for one identity: done, or failed and tried again";
    queue_depth: Gauge [] = "queue_depth",
        "Identities that are to be looked at: due, or touched 10 ms ago or while they were looked at";
    leader: Gauge [] = "leader",
        "1 on the controller that leads, 0 on those that wait";
    identities: Gauge ["state"] = "identities",
        "AgentIdentities: live, suspended, expired, deleting, or unreadable";
    instances: Gauge ["state"] = "instances",
        "Agent pods that run under an account of their own: gated, released, ending, or finished";
    oldest_gated_pod: Gauge [] = "oldest_gated_pod_seconds",
        "Age of the oldest gated agent pod, 0 when there is none; as the controller sees it";
    older_pods: Gauge [] = "pods_without_identity",
        "Live pods of governed namespaces that have no identity: they are older than the label, and nothing touches them; counted by the leader every 5 minutes";
    unclaimed_accounts: Gauge [] = "unclaimed_accounts",
        "Accounts that were minted and that no pod has claimed yet; as each process sees it";
    oldest_unclaimed_account: Gauge [] = "oldest_unclaimed_account_seconds",
        "Age of the oldest of them, 0 when there is none; over 6 minutes no controller is at work, or it refuses the pod: each webhook sees this too, when no controller is there to say so";
    watch_restarts: Counter ["kind"] = "watch_restarts",
        "Watches that were interrupted and tried again";
    trace_exports: Counter ["outcome"] = "trace_exports",
        "Batches of spans for the OTLP collector: sent, or failed and lost unless a retry gets through";
    certificate_expires: Gauge [] = "certificate_expires_timestamp_seconds",
        "When the certificate that the webhook serves ends, as Unix time";
    policy_proven: Gauge [] = "policy_proven",
        "1 when the API server, asked every 5 minutes, refused what perpro-own-writes forbids this process, 0 when it did not";
}

/// One admission call. Dropped before it was decided, it counts as abandoned: the API server hung
/// up, or our own time limit came first.
pub(crate) struct Admission {
    path: &'static str,
    began: Instant,
    outcome: (&'static str, &'static str),
}

impl Admission {
    /// It begins.
    pub(crate) fn begin(path: &'static str) -> Self {
        Self { path, began: Instant::now(), outcome: ("abandoned", "") }
    }

    /// Answered: refused with `code`, or admitted.
    pub(crate) fn decided(mut self, code: Option<&'static str>) {
        self.outcome = code.map_or(("admitted", ""), |code| ("refused", code));
    }

    /// Answered: nothing is refused here, and pods are later, or would be.
    pub(crate) fn would_refuse(mut self, code: &'static str) {
        self.outcome = ("would-refuse", code);
    }

    /// Not to be answered: the request is none.
    pub(crate) fn malformed(mut self) {
        self.outcome = ("malformed", "");
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let (verdict, code) = self.outcome;
        METRICS.admissions.inc([self.path, verdict, code]);
        METRICS.admission_seconds.observe([self.path], self.began.elapsed());
    }
}

/// How a write ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum WriteOutcome {
    /// Written.
    Done,
    /// Somebody was faster.
    Conflict,
    /// There is nothing to write to.
    Gone,
    /// The API server said no.
    Refused,
    /// No answer, or an error of the API server's own.
    Failed,
}

impl WriteOutcome {
    /// That of an HTTP status; `None` when there was no answer.
    pub(crate) fn of_error(status: Option<u16>) -> Self {
        match status {
            Some(409) => Self::Conflict,
            Some(404) => Self::Gone,
            Some(400..=499) => Self::Refused,
            _ => Self::Failed,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Conflict => "conflict",
            Self::Gone => "gone",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl Metrics {
    /// Counts a write.
    pub(crate) fn wrote(&self, write: &'static str, outcome: WriteOutcome) {
        self.writes.inc([write, outcome.name()]);
    }

    fn render(&self) -> String {
        let mut page = String::new();
        // Writing to a String can't fail.
        let _ = text::encode(&mut page, &self.registry);
        page
    }
}

/// The page, in the text format of OpenMetrics 1.0, which Prometheus reads.
pub(crate) fn page() -> Response {
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], METRICS.render())
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name as Prometheus shows it.
    fn shown(name: &str, kind: &str) -> String {
        let suffix = if kind == "Counter" { "_total" } else { "" };
        format!("perpro_{name}{suffix}")
    }

    #[test]
    fn a_page_holds_what_was_set_and_nothing_else() {
        let metrics = Metrics::new();
        metrics.admissions.inc(["/mutate/pods", "refused", "AID012"]);
        metrics.leader.set([], 0.0);
        metrics.watch_restarts.begin(["Pod"]);
        metrics.wrote("mint", WriteOutcome::of_error(Some(403)));
        metrics.pass_seconds.observe(["done"], Duration::from_millis(30));
        let page = metrics.render();
        for line in [
            "# TYPE perpro_admissions counter",
            "perpro_admissions_total{path=\"/mutate/pods\",verdict=\"refused\",code=\"AID012\"} 1",
            "# TYPE perpro_leader gauge",
            "perpro_leader{} 0.0",
            "perpro_watch_restarts_total{kind=\"Pod\"} 0",
            "perpro_writes_total{write=\"mint\",outcome=\"refused\"} 1",
            "perpro_pass_duration_seconds_bucket{le=\"0.025\",result=\"done\"} 0",
            "perpro_pass_duration_seconds_bucket{le=\"0.05\",result=\"done\"} 1",
            "perpro_pass_duration_seconds_count{result=\"done\"} 1",
        ] {
            assert!(page.lines().any(|l| l == line), "{line} is missing in\n{page}");
        }
        assert!(
            !page.contains("perpro_certificate"),
            "a process without one must not report that it ended\n{page}"
        );
        assert!(page.ends_with("# EOF\n"));
    }

    #[test]
    fn an_admission_that_nobody_waits_for_is_counted_too() {
        drop(Admission::begin("/test"));
        Admission::begin("/test").malformed();
        Admission::begin("/test").decided(None);
        Admission::begin("/test").decided(Some("AID001"));
        Admission::begin("/test").would_refuse("AID001");
        let page = METRICS.render();
        for verdict in [
            "abandoned\",code=\"",
            "malformed\",code=\"",
            "admitted\",code=\"",
            "refused\",code=\"AID001",
            "would-refuse\",code=\"AID001",
        ] {
            let line = format!("perpro_admissions_total{{path=\"/test\",verdict=\"{verdict}\"}} 1");
            assert!(page.contains(&line), "{line} is missing in\n{page}");
        }
        assert!(page.contains("perpro_admission_duration_seconds_count{path=\"/test\"} 5"));
    }

    #[test]
    fn the_reference_lists_every_metric_and_no_other() {
        let rows = Metrics::ALL.iter().map(|(name, kind, labels, help)| {
            let labels: Vec<_> = labels.iter().map(|l| format!("`{l}`")).collect();
            let (name, kind) = (shown(name, kind), kind.to_lowercase());
            format!("| `{name}` | {kind} | {} | {help} |\n", labels.join(", "))
        });
        let table: String = rows.collect();
        let page = include_str!("../../docs/reference/metrics.md");
        let listed: String = page.split_inclusive('\n').filter(|l| l.starts_with("| `perpro_")).collect();
        assert_eq!(listed, table, "the table of docs/reference/metrics.md should be\n{table}");
    }
}
