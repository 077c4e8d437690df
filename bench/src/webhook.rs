//! `webhook`: the process that answers the API server, asked directly, beside a floor that only parses.
//!
//! Both are kept on one core by turns and the load on the others, so what is compared is the work of the servers and
//! not that of the load.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::api::{self, ApiServer};
use crate::load::{self, Target};
use crate::objects::{self, SIZES};
use crate::processor::{self, Cores};
use crate::report::{Finding, Limit, Report, median, p99};
use crate::reviews::{self, Reviews};
use perpro_e2e::cache::Cache;
use perpro_e2e::cluster::Cluster;
use perpro_e2e::install::{self, HostProcess, HostProcesses, Served};
use perpro_e2e::{progress, wait};

/// Share of the floor's throughput.
const THROUGHPUT: Limit = Limit::AtLeast(0.75);
/// Multiple of the floor's p99.
const LATENCY: Limit = Limit::AtMost(2.0);
/// Megabytes of the program.
const PROGRAM: Limit = Limit::AtMost(25.0);
/// Megabytes of memory with all identities.
const MEMORY: Limit = Limit::AtMost(40.0);

/// Namespaces and identities in each; the first is the one whose pods are reviewed.
const NAMESPACES: usize = 20;
const IDENTITIES: usize = 50;
/// Connections that ask as fast as they can. The API server keeps at most 25.
const BUSY: usize = 8;
/// Reviews a second, where latency is measured: some times more than the largest clusters create pods. And the
/// connections for them.
const RATE: u32 = 500;
const CALM: usize = 16;

/// How much is measured.
struct Effort {
    rounds: usize,
    closed: Duration,
    open: Duration,
}

impl Effort {
    fn of(smoke: bool) -> Self {
        let millis = Duration::from_millis;
        if smoke {
            Self { rounds: 1, closed: millis(200), open: millis(200) }
        } else {
            Self { rounds: 5, closed: millis(1000), open: millis(2000) }
        }
    }
}

/// Runs the benchmark.
///
/// # Errors
/// When something does not work.
pub(super) async fn run(cache: &Cache, smoke: bool) -> Result<Report> {
    let cluster = crate::cluster(cache, "webhook")?;
    let findings = crate::on_clusters(&[&cluster], async {
        install::into_ours(cache, &cluster).await?;
        let api = ApiServer { client: cluster.client().await? };
        progress::step("create identities", populate(&api)).await?;
        let tls = HostProcesses::of(&cluster).tls();
        let reviews = reviews::record(&api, &namespace(0), &SIZES, &tls).await?;
        let servers = Servers::start(&cluster).await?;
        measure(&servers, &reviews, &Effort::of(smoke)).await
    })
    .await?;
    Ok(Report { bench: "webhook", smoke, findings })
}

fn namespace(nth: usize) -> String {
    format!("bench-{nth}")
}

/// Identities in governed namespaces, one of them for the pods, and waits until the controller has nothing left to do.
async fn populate(api: &ApiServer) -> Result<()> {
    api.create("/apis/perpro.dev/v1alpha1/agentpolicies", &objects::policy()).await?;
    let mut identities = Vec::new();
    for nth in 0..NAMESPACES {
        api.namespace(&namespace(nth), "all").await?;
        let path = api::identities(&namespace(nth));
        let names = (1..IDENTITIES).map(|other| format!("other-{other}")).chain([objects::IDENTITY.into()]);
        identities.extend(names.map(|name| (path.clone(), objects::identity(&name))));
    }
    let count = identities.len();
    api.create_all(identities).await?;
    wait::until("every identity should be looked at", 2 * crate::SOON, async || {
        let list = match api.get("/apis/perpro.dev/v1alpha1/agentidentities").await {
            Ok(list) => list,
            Err(error) => return wait::not_yet(format!("{error:#}")),
        };
        let items = list["items"].as_array().map_or(&[] as &[Value], Vec::as_slice);
        let seen = items.iter().filter(|item| item["status"]["conditions"].is_array()).count();
        if seen == count { wait::ready(()) } else { wait::not_yet(format!("{seen} of {count}")) }
    })
    .await
}

/// Who is asked.
struct Servers {
    ours: Served,
    floor: Served,
    ca: PathBuf,
    cores: Cores,
}

impl Servers {
    /// Our webhook made anew, so that all there is to know comes at once as at any start, and the floor.
    async fn start(cluster: &Cluster) -> Result<Self> {
        let processes = HostProcesses::of(cluster);
        processes.restart(HostProcess::Webhook, &[]).await?;
        let cores = Cores::split()?;
        let ours = processes.webhook()?;
        let floor = processes.rival(std::env::current_exe()?, &["floor"])?;
        wait::until("the floor should listen", crate::SOON, async || {
            match tokio::net::TcpStream::connect(("127.0.0.1", floor.port)).await {
                Ok(_) => wait::ready(()),
                Err(error) => wait::not_yet(error),
            }
        })
        .await?;
        for server in [&ours, &floor] {
            cores.give_to_server(server.process)?;
        }
        Ok(Self { ours, floor, ca: processes.tls().join("ca.crt"), cores })
    }

    /// Ours and the floor, measured one after the other, and the other way round every other time.
    async fn round<T: Send + 'static>(
        &self,
        nth: usize,
        path: &str,
        body: &[u8],
        measure: impl Fn(Target) -> Result<T> + Clone + Send + 'static,
    ) -> Result<(Measured<T>, Measured<T>)> {
        let one = async |server: &Served| {
            let target = Target::new(server.port, &self.ca, path, body)?;
            let measure = measure.clone();
            let before = processor::seconds(server.process)?;
            let value = spawn_blocking(move || measure(target)).await??;
            anyhow::Ok(Measured { value, seconds: processor::seconds(server.process)? - before })
        };
        if nth.is_multiple_of(2) {
            let floor = one(&self.floor).await?;
            Ok((one(&self.ours).await?, floor))
        } else {
            Ok((one(&self.ours).await?, one(&self.floor).await?))
        }
    }
}

/// What was measured, and the processor time that the server took for it.
struct Measured<T> {
    value: T,
    seconds: f64,
}

async fn measure(servers: &Servers, reviews: &[Reviews], effort: &Effort) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for review in reviews {
        let what = format!("validate {} KB", review.size.kilobytes);
        progress::say(&format!("{what}: the pod has {} bytes", review.pod_bytes));
        findings.extend(
            throughput(servers, &what, "/validate/pods", &review.validating, THROUGHPUT, effort).await?,
        );
        findings.extend(latency(servers, &what, "/validate/pods", &review.validating, effort).await?);
    }
    for review in reviews {
        let what = format!("mutate (dry run) {} KB", review.size.kilobytes);
        findings
            .extend(throughput(servers, &what, "/mutate/pods", &review.mutating, Limit::None, effort).await?);
    }
    let memory = processor::resident_megabytes(servers.ours.process)?;
    let name = format!("memory with {} identities", NAMESPACES * IDENTITIES);
    findings.push(Finding::value(&name, "MB", vec![memory], MEMORY));
    let bytes = std::fs::metadata(install::product()?)?.len();
    findings.push(Finding::value("program", "MB", vec![bytes as f64 / 1e6], PROGRAM));
    Ok(findings)
}

async fn throughput(
    servers: &Servers,
    what: &str,
    path: &str,
    body: &[u8],
    limit: Limit,
    effort: &Effort,
) -> Result<[Finding; 2]> {
    let (cores, length) = (servers.cores, effort.closed);
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    for nth in 0..effort.rounds {
        let measure = move |target: Target| load::closed(&target, BUSY, cores, length);
        let (ours, floor) = servers.round(nth, path, body, measure).await?;
        let cost = |measured: &Measured<f64>| measured.seconds / length.as_secs_f64() / measured.value * 1e6;
        rates.push((ours.value, floor.value));
        costs.push((cost(&ours), cost(&floor)));
    }
    Ok([
        Finding::ratio(&format!("{what}, {BUSY} connections"), "reviews/s", &rates, limit),
        Finding::ratio(&format!("{what}, processor time"), "us/review", &costs, Limit::None),
    ])
}

async fn latency(
    servers: &Servers,
    what: &str,
    path: &str,
    body: &[u8],
    effort: &Effort,
) -> Result<[Finding; 2]> {
    let (cores, length) = (servers.cores, effort.open);
    let (mut middle, mut slow) = (Vec::new(), Vec::new());
    for nth in 0..effort.rounds {
        let measure = move |target: Target| load::open(&target, CALM, cores, RATE, length);
        let (ours, floor) = servers.round(nth, path, body, measure).await?;
        middle.push((median(ours.value.clone()), median(floor.value.clone())));
        slow.push((p99(ours.value), p99(floor.value)));
    }
    Ok([
        Finding::ratio(&format!("{what}, median at {RATE}/s"), "ms", &middle, Limit::None),
        Finding::ratio(&format!("{what}, p99 at {RATE}/s"), "ms", &slow, LATENCY),
    ])
}
