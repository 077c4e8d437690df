//! Step 2: each agent reads what it was given, and nothing else.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Api;
use kube::api::LogParams;
use serde_json::Value;

use super::Stage;
use super::agents::{BOT, Instance, READER};
use super::story::Story;
use crate::wait::{self, Probe};

/// An agent works every three seconds; the first time it may have to wait for its tool.
const ROUND: Duration = Duration::from_secs(30);

/// The agent's token, where client libraries look for it.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Where the identity says that the agent gets its key.
const CRM_KEY: &str = "CRM_API_KEY";

/// Tells step 2.
pub(crate) async fn are_separate(stage: &Stage<'_>, story: &mut Story, instances: &[Instance]) -> Result<()> {
    let of = |agent| instances.iter().filter(move |instance| instance.agent == agent);
    let reader = of(READER).next().context("no feedback-reader")?;
    let bot = of(BOT).next().context("no invoice-bot")?;

    let items = given(stage, reader, "items").await?;
    for instance in of(READER) {
        let round = round(stage, instance).await?;
        ensure!(
            round["items"] == items && round["crm_key"] == "ok",
            "{} was given {items} items and a key, and logged {round}",
            instance.pod
        );
    }
    story.step("Each reads what it was given", &format!("feedback: {items} items    CRM key: ok"));

    let lines = given(stage, bot, "list").await? - 1; // the heading
    let round = round(stage, bot).await?;
    ensure!(
        round["invoices"] == lines && round["payments_key"] == "ok",
        "{} was given {lines} invoices and a key, and logged {round}",
        bot.pod
    );
    story.and("", &format!("invoices: {lines:<2}          payments key: ok"));

    for (from, to) in [(reader, bot), (bot, reader)] {
        let own = stage.try_from_inside(from, from.agent.namespace, from.agent.config_map).await?;
        let others = stage.try_from_inside(from, to.agent.namespace, to.agent.config_map).await?;
        ensure!(
            (own, others) == (200, 403),
            "{} must get 200 for its own ConfigMap and 403 for {}/{}; it got {own} and {others}",
            from.pod,
            to.agent.namespace,
            to.agent.config_map
        );
        let what = if from.agent == READER { "and nothing else" } else { "" };
        let asked =
            format!("{} -> ConfigMap {}/{}", from.agent.name, to.agent.namespace, to.agent.config_map);
        story.and(what, &format!("{asked}: {others}"));
    }
    tool(stage, story, reader).await
}

/// The tool has nothing of what the agent beside it has; and whoever looks would see it, as one sees the agent's.
async fn tool(stage: &Stage<'_>, story: &mut Story, reader: &Instance) -> Result<()> {
    let agent = stage.holdings(reader, "agent").await?;
    let has_key = |env: &[String]| env.iter().any(|name| name == CRM_KEY);
    ensure!(
        agent.files.iter().any(|file| file == TOKEN) && has_key(&agent.env),
        "the agent must hold its token and {CRM_KEY}; it holds {agent:?}"
    );
    let tool = stage.holdings(reader, "summarise-tool").await?;
    ensure!(
        tool.files.is_empty() && !has_key(&tool.env),
        "the tool must hold no file and no {CRM_KEY}; it holds {tool:?}"
    );
    story.and("its tool gets none of it", "summarise-tool, in the same pod: no token, no Secret");
    Ok(())
}

/// How many lines the agent's ConfigMap has under `key`.
async fn given(stage: &Stage<'_>, instance: &Instance, key: &str) -> Result<usize> {
    let config_maps: Api<ConfigMap> = Api::namespaced(stage.client.clone(), instance.agent.namespace);
    let data = config_maps.get(instance.agent.config_map).await?.data.unwrap_or_default();
    let text = data.get(key).with_context(|| format!("no key {key} in {}", instance.agent.config_map))?;
    Ok(text.lines().count())
}

/// What the agent logged of its last round of work.
async fn round(stage: &Stage<'_>, instance: &Instance) -> Result<Value> {
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), instance.agent.namespace);
    let last = LogParams { container: Some("agent".into()), tail_lines: Some(1), ..LogParams::default() };
    let what = format!("{} should have done its work", instance.pod);
    wait::until(&what, ROUND, async || -> Probe<Value> {
        let line = match pods.logs(&instance.pod, &last).await {
            Ok(line) => line,
            Err(error) => return wait::not_yet(error),
        };
        match serde_json::from_str::<Value>(&line) {
            Ok(round) if round["msg"] == "round" => wait::ready(round),
            _ => wait::not_yet(format!("its last words are {line:?}")),
        }
    })
    .await
}
