//! The demo: a cluster, perpro and the agents of `examples/`, and what happens to them, told in numbered lines. Each
//! is a real call with its real answer; an answer that is not the expected one ends the demo with an error.
//!
//! The story goes to stdout, all else to stderr.

mod agents;
mod ending;
mod examples;
mod exec;
mod powers;
mod refusals;
mod story;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use kube::Client;

use self::agents::{BOT, READER};
use self::story::Story;
use crate::cache::Cache;
use crate::cluster::Cluster;
use crate::cluster::signals::Interrupt;
use crate::{install, progress};

/// How long it takes at most until the agents run. The image is there already.
const START: Duration = Duration::from_secs(120);

/// What all steps of the story need.
struct Stage<'a> {
    cluster: &'a Cluster,
    client: Client,
}

/// Builds the image of the examples and makes it known to the node, under its name in the manifests.
///
/// # Errors
/// When the cluster has no node, or the image cannot be built.
pub async fn image_of_examples(cache: &Cache, cluster: &Cluster) -> Result<()> {
    progress::step("build the image of the examples", examples::image(cache, cluster)).await.map(drop)
}

/// Tells the story, on a cluster that is started unless it runs. It goes on running afterwards, unless `down`.
///
/// # Errors
/// When something cannot be started, an answer is not the expected one, or the person interrupts.
pub async fn run(cache: &Cache, cluster: &Cluster, down: bool) -> Result<()> {
    let started = Instant::now();
    cluster.up().await?;
    let mut interrupt = Interrupt::listen()?;
    let told = interrupt.or(perform(cache, cluster)).await;
    if down {
        let ended = cluster.down().await;
        return told.and(ended);
    }
    if let Err(error) = told {
        let folder = cluster.layout().root().display();
        bail!(
            "{error:#}\nThe cluster still runs, for you to look at; `e2e/cluster down --dir {folder}` ends it."
        );
    }
    println!("It took {} s in all.", started.elapsed().as_secs());
    Ok(())
}

async fn perform(cache: &Cache, cluster: &Cluster) -> Result<()> {
    install::into_ours(cache, cluster).await?;
    let image =
        progress::step("build the agents and import their image", examples::image(cache, cluster)).await?;
    let stage = Stage { cluster, client: cluster.client().await? };
    progress::step("start the agents", async {
        examples::apply(cluster, &image).await?;
        for agent in [READER, BOT] {
            agents::roll_out(cluster, agent, START).await?;
        }
        Ok(())
    })
    .await?;
    progress::say("");
    tell(&stage, &mut Story::on_stdout()).await
}

async fn tell(stage: &Stage<'_>, story: &mut Story) -> Result<()> {
    let instances = agents::come_up(stage, story).await?;
    powers::are_separate(stage, story, &instances).await?;
    refusals::come_with_a_reason(stage, story).await?;
    let Some(reader) = instances.iter().find(|instance| instance.agent == READER) else {
        bail!("no pod of {} to end", READER.name);
    };
    ending::takes_the_power(stage, story, reader).await?;
    story.end();
    Ok(())
}
