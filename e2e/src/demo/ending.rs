//! Step 5: a pod ends, and what it could do ends with it.
//!
//! Measured from outside: with the pod's own token, taken from it while it ran, and from the moment at which the API
//! server tells that the pod has finished (phase Succeeded or Failed) or is gone. Until then it keeps its power, for
//! at most `drainSeconds` of its AgentPolicy.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, ServiceAccount};
use kube::api::{DeleteParams, ListParams, WatchEvent, WatchParams};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, Error, ResourceExt};

use super::Stage;
use super::agents::Instance;
use super::story::Story;
use crate::progress;

/// From one question to the next.
const INTERVAL: Duration = Duration::from_millis(5);

/// How long to go on asking.
const LIMIT: Duration = Duration::from_secs(60);

/// More than this after the pod's end is wrong, on a busy machine too: power, account, token. The API server itself
/// goes on trusting a token for ten seconds after it has last checked it.
const AT_MOST: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(10), Duration::from_secs(15)];

/// Tells step 5.
pub(crate) async fn takes_the_power(stage: &Stage<'_>, story: &mut Story, instance: &Instance) -> Result<()> {
    let ending = progress::meanwhile("a pod ends, and its token is tried until it is worth nothing", async {
        end(stage, instance).await
    })
    .await?;
    let after = ending.after();
    ensure!(
        after.iter().zip(AT_MOST).all(|(took, most)| *took <= most),
        "power, account and token must end within {AT_MOST:?}, and took {after:?}"
    );
    let [power, account, token] = after.map(seconds);
    let told = format!("power gone after {power}, account after {account}, old token refused after {token}");
    story.step("A pod ends", &format!("{told}   (from the pod's end)"));
    let end = seconds(ending.finished.saturating_duration_since(ending.deleted));
    story.and(
        "its end: the containers have stopped",
        &format!("{}, {end} after it was deleted", instance.pod),
    );
    Ok(())
}

/// When what was first seen.
struct Ending {
    deleted: Instant,
    finished: Instant,
    power: Instant,
    account: Instant,
    token: Instant,
}

impl Ending {
    /// Power, account and token, from the pod's end.
    fn after(&self) -> [Duration; 3] {
        [self.power, self.account, self.token].map(|seen| seen.saturating_duration_since(self.finished))
    }
}

async fn end(stage: &Stage<'_>, instance: &Instance) -> Result<Ending> {
    let namespace = instance.agent.namespace;
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), namespace);
    let accounts: Api<ServiceAccount> = Api::namespaced(stage.client.clone(), namespace);
    let as_agent = client_of_agent(stage, instance).await?;
    let config_maps: Api<ConfigMap> = Api::namespaced(as_agent, namespace);
    let ask = async || status(config_maps.get(instance.agent.config_map).await);
    let before = ask().await?;
    ensure!(before == 200, "{} got {before} for its own ConfigMap while it ran", instance.pod);

    let version = version_of_list(&pods, instance).await?;
    pods.delete(&instance.pod, &DeleteParams::default()).await?;
    let deleted = Instant::now();
    let (finished, (power, token), account) = tokio::try_join!(
        finished(&pods, instance, &version),
        async {
            // Forbidden at first; Unauthorized as soon as the API server checks the token again.
            let power = first("the pod has its power still", async || Ok(ask().await? != 200)).await?;
            let token = first("the pod's token counts still", async || Ok(ask().await? == 401)).await?;
            anyhow::Ok((power, token))
        },
        first("the pod's account is there still", async || Ok(accounts
            .get_opt(&instance.account)
            .await?
            .is_none())),
    )?;
    Ok(Ending { deleted, finished, power, account, token })
}

/// A client that has nothing but the agent's token.
async fn client_of_agent(stage: &Stage<'_>, instance: &Instance) -> Result<Client> {
    let read = Kubeconfig::read_from(stage.cluster.kubeconfig())?;
    let mut config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?;
    config.auth_info = AuthInfo { token: Some(stage.token(instance).await?.into()), ..AuthInfo::default() };
    Ok(Client::try_from(config)?)
}

/// The version from which on to watch the pod. Its own may be too old for that: it is that of its last change.
async fn version_of_list(pods: &Api<Pod>, instance: &Instance) -> Result<String> {
    let listed = pods.list_metadata(&ListParams::default().fields(&only(instance))).await?;
    listed.metadata.resource_version.context("a list has a version")
}

fn only(instance: &Instance) -> String {
    format!("metadata.name={}", instance.pod)
}

/// When the API server tells that the pod has finished, or is gone.
async fn finished(pods: &Api<Pod>, instance: &Instance, version: &str) -> Result<Instant> {
    let params = WatchParams::default().fields(&only(instance)).timeout(LIMIT.as_secs().try_into()?);
    let events = pods.watch(&params, version).await?;
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.try_next().await? {
        match event {
            WatchEvent::Deleted(pod) if pod.uid().as_ref() == Some(&instance.uid) => {
                return Ok(Instant::now());
            }
            WatchEvent::Modified(pod) if has_finished(&pod) => return Ok(Instant::now()),
            WatchEvent::Error(error) => bail!("the pod cannot be watched: {}", error.message),
            _ => {}
        }
    }
    bail!("pod {} has not ended after {} s", instance.pod, LIMIT.as_secs())
}

fn has_finished(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// When `seen` first says yes. Asks more often than `wait::until` does: this is a measurement.
async fn first(why_not: &str, mut seen: impl AsyncFnMut() -> Result<bool>) -> Result<Instant> {
    let started = Instant::now();
    while !seen().await? {
        if started.elapsed() > LIMIT {
            bail!("{why_not}, {} s after it was deleted", LIMIT.as_secs());
        }
        tokio::time::sleep(INTERVAL).await;
    }
    Ok(Instant::now())
}

/// The status of HTTP; an error means that there was no answer.
fn status<T>(answer: kube::Result<T>) -> Result<u16> {
    match answer {
        Ok(_) => Ok(200),
        Err(Error::Api(status)) => Ok(status.code),
        Err(error) => Err(error.into()),
    }
}

/// Two digits say enough of a second, one of ten. What was seen before the end itself has no time at all: both were
/// told to different listeners.
fn seconds(duration: Duration) -> String {
    if duration < Duration::from_millis(10) {
        return "under 0.01 s".to_owned();
    }
    let digits = if duration < Duration::from_secs(1) { 2 } else { 1 };
    format!("{:.digits$} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_exactly_as_they_matter() {
        assert_eq!(seconds(Duration::ZERO), "under 0.01 s");
        assert_eq!(seconds(Duration::from_millis(42)), "0.04 s");
        assert_eq!(seconds(Duration::from_millis(10_240)), "10.2 s");
    }

    #[test]
    fn what_was_seen_before_the_end_took_no_time() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let ending = Ending { deleted: now, finished: later, power: now, account: later, token: later };
        assert_eq!(ending.after(), [Duration::ZERO; 3]);
    }
}
