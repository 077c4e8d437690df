//! `burst`: many agents at once, from their creation until they may start, beside a loop that makes the same writes
//! and decides nothing.
//!
//! Pods are never scheduled here; the end is the moment in which a watch sees them without gate.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::runtime::watcher::{self, Event};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep_until, timeout};

use crate::api::{self, ApiServer};
use crate::objects::{self, SIZES};
use crate::processor;
use crate::report::{Finding, Limit, Report, median, p99};
use crate::writes::Writes;
use perpro_e2e::cache::Cache;
use perpro_e2e::{install, progress};

/// Share of the rate of mere writes.
const RATE: Limit = Limit::AtLeast(0.6);
/// Milliseconds from creation to start that 99 of 100 keep.
const START: Limit = Limit::AtMost(1000.0);

const NAMESPACE: &str = "burst";
/// Pods that are created at a time, or instances that are written at a time.
const AT_ONCE: usize = 16;
/// Agents a second, where they come steadily.
const STEADY: u32 = 20;

/// How much is measured.
struct Effort {
    rounds: usize,
    agents: usize,
    steady: Duration,
}

/// Runs the benchmark.
///
/// # Errors
/// When something does not work.
pub(super) async fn run(cache: &Cache, smoke: bool) -> Result<Report> {
    let effort = if smoke {
        Effort { rounds: 1, agents: 20, steady: Duration::from_secs(1) }
    } else {
        Effort { rounds: 5, agents: 500, steady: Duration::from_secs(15) }
    };
    let (without, with) = (crate::cluster(cache, "without")?, crate::cluster(cache, "with")?);
    let findings = crate::on_clusters(&[&without, &with], async {
        install::into_ours(cache, &with).await?;
        let without = ApiServer { client: without.client().await? };
        let with = ApiServer { client: with.client().await? };
        measure(&without, &with, &effort).await
    })
    .await?;
    Ok(Report { bench: "burst", smoke, findings })
}

/// Agents that are created together.
#[derive(Clone, Copy)]
struct Batch {
    /// Their names are those of no other batch: late news of earlier ones are told apart.
    id: usize,
    size: usize,
    /// How many identities share them: that of one Job, or of ten teams.
    identities: usize,
}

impl Batch {
    fn name(self, nth: usize) -> String {
        format!("agent-{}-{nth}", self.id)
    }

    fn has(self, name: &str) -> bool {
        name.starts_with(&format!("agent-{}-", self.id))
    }

    fn agent(self, nth: usize) -> Value {
        objects::agent(&self.name(nth), &identity(nth % self.identities), SIZES[0])
    }
}

fn identity(nth: usize) -> String {
    format!("team-{nth}")
}

/// Most identities of a batch.
const TEAMS: usize = 10;

async fn measure(without: &ApiServer, with: &ApiServer, effort: &Effort) -> Result<Vec<Finding>> {
    with.namespace(NAMESPACE, "all").await?;
    with.create("/apis/perpro.dev/v1alpha1/agentpolicies", &objects::policy()).await?;
    for nth in 0..TEAMS {
        with.create(&api::identities(NAMESPACE), &objects::identity(&identity(nth))).await?;
    }
    without.namespace(NAMESPACE, "").await?;
    let mut starts = Starts::watch(with).await?;
    let mut ids = 0..;
    let mut batch = |size, identities| Batch { id: ids.next().unwrap_or_default(), size, identities };
    // The first agent pays for what is done once, and is what the floor copies.
    burst(with, &mut starts, batch(1, 1)).await?;
    let writes = Writes::of(with, NAMESPACE).await?;
    clean_up(with).await?;
    let (mut one, mut ten) = (Vec::new(), Vec::new());
    let mut before = floor(without, &writes, effort.agents).await?;
    for nth in 0..effort.rounds {
        progress::step(&format!("round {} of {}", nth + 1, effort.rounds), async {
            // Nobody is always the first.
            let mut turns = [(TEAMS, &mut ten), (1, &mut one)];
            turns.rotate_left(nth % 2);
            for (identities, rates) in turns {
                let rate = burst(with, &mut starts, batch(effort.agents, identities)).await?;
                clean_up(with).await?;
                // The machine is not as fast all the time: the floor is what comes right before and after.
                let after = floor(without, &writes, effort.agents).await?;
                rates.push((rate, f64::midpoint(before, after)));
                before = after;
            }
            Ok(())
        })
        .await?;
    }
    let count = usize::try_from(effort.steady.as_secs())? * usize::try_from(STEADY)?;
    let steadily = steady(with, &mut starts, batch(count, TEAMS));
    let times = progress::step("agents that come steadily", steadily).await?;
    clean_up(with).await?;
    let agents = effort.agents;
    let value = |name: String, value: f64, limit| Finding::value(&name, "ms", vec![value], limit);
    Ok(vec![
        Finding::ratio(&format!("{agents} agents of ten identities"), "agents/s", &ten, RATE),
        Finding::ratio(&format!("{agents} agents of one identity"), "agents/s", &one, RATE),
        value(format!("median until start at {STEADY}/s"), median(times.clone()), Limit::None),
        value(format!("p99 until start at {STEADY}/s"), p99(times), START),
    ])
}

/// Makes the writes of so many agents, and returns how many could start per second.
async fn floor(api: &ApiServer, writes: &Writes, agents: usize) -> Result<f64> {
    processor::idle().await;
    let rate = writes.make_all(api, agents, AT_ONCE).await?;
    writes.clean_up(api).await?;
    Ok(rate)
}

/// Creates agents, some at a time, and returns how many could start per second.
async fn burst(api: &ApiServer, starts: &mut Starts, batch: Batch) -> Result<f64> {
    processor::idle().await;
    let started = Instant::now();
    let creating = async {
        let create = |nth| async move { api.timed_create(&api::pods(NAMESPACE), &batch.agent(nth)).await };
        let all = stream::iter(0..batch.size).map(create).buffer_unordered(AT_ONCE);
        all.try_for_each(async |_| Ok(())).await
    };
    let (created, seen) = futures::join!(creating, starts.of(batch));
    created?;
    let last = seen?.into_values().max().context("no agent")?;
    Ok(batch.size as f64 / last.duration_since(started).as_secs_f64())
}

/// Creates agents at a fixed rate, whether or not earlier ones could start, and returns how long each took since its
/// creation was due.
async fn steady(api: &ApiServer, starts: &mut Starts, batch: Batch) -> Result<Vec<Duration>> {
    let started = Instant::now();
    let due = |nth: usize| started + Duration::from_secs_f64(nth as f64 / f64::from(STEADY));
    let creating = futures::future::try_join_all((0..batch.size).map(async |nth| {
        sleep_until(due(nth).into()).await;
        api.timed_create(&api::pods(NAMESPACE), &batch.agent(nth)).await
    }));
    let (created, seen) = futures::join!(creating, starts.of(batch));
    created?;
    let seen = seen?;
    let took = |nth: usize| seen.get(&batch.name(nth)).map(|at| at.duration_since(due(nth)));
    let times: Vec<Duration> = (0..batch.size).filter_map(took).collect();
    ensure!(times.len() == batch.size, "{} of {} agents could start", times.len(), batch.size);
    Ok(times)
}

/// Deletes all agents and waits until nothing of them is left.
async fn clean_up(api: &ApiServer) -> Result<()> {
    api.delete(&api::pods(NAMESPACE)).await?;
    api.until_none(&crate::accounts(NAMESPACE)).await
}

/// When agents lose their gates, by a watch.
struct Starts {
    seen: mpsc::UnboundedReceiver<(String, Instant)>,
    /// Ends the watch when this is dropped.
    _watch: oneshot::Sender<()>,
}

impl Starts {
    /// Watches from now on.
    async fn watch(api: &ApiServer) -> Result<Self> {
        let pods = kube::Api::<Pod>::namespaced(api.client.clone(), NAMESPACE);
        let mut events = Box::pin(watcher::watcher(pods, watcher::Config::default()));
        while !matches!(events.try_next().await?, Some(Event::InitDone)) {}
        let (sender, seen) = mpsc::unbounded_channel();
        let (watch, mut dropped) = oneshot::channel();
        tokio::spawn(async move {
            loop {
                let event = tokio::select! {
                    event = events.next() => event,
                    _ = &mut dropped => return,
                };
                match event {
                    Some(Ok(Event::Apply(pod))) if is_released(&pod) => {
                        // Nobody listens any more at the end.
                        drop(sender.send((pod.name_any(), Instant::now())));
                    }
                    Some(Ok(_)) => {}
                    // A gap would be taken for slowness: whoever waits hears of the end instead.
                    Some(Err(_)) | None => return,
                }
            }
        });
        Ok(Self { seen, _watch: watch })
    }

    /// When each agent of a batch was first seen without gate.
    async fn of(&mut self, batch: Batch) -> Result<HashMap<String, Instant>> {
        let mut first = HashMap::new();
        while first.len() < batch.size {
            let next = timeout(crate::SOON, self.seen.recv()).await;
            let next =
                next.with_context(|| format!("{} of {} agents could start", first.len(), batch.size))?;
            let (name, at) = next.context("the watch ended")?;
            if batch.has(&name) {
                first.entry(name).or_insert(at);
            }
        }
        Ok(first)
    }
}

fn is_released(pod: &Pod) -> bool {
    let gates = pod.spec.as_ref().and_then(|spec| spec.scheduling_gates.as_ref());
    pod.metadata.deletion_timestamp.is_none() && gates.is_none_or(Vec::is_empty)
}
