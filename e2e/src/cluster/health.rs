//! Whether the parts of a cluster work, asked of themselves. When one does not, the error carries the end of its log.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

use super::control_plane::Setup;
use super::layout::Layout;
use super::state::State;
use crate::command::file_tail;
use crate::wait::{self, Probe};

const LIMIT: Duration = Duration::from_secs(60);

/// A client for the cluster that a kubeconfig file describes. The person's own kubeconfig plays no part.
///
/// # Errors
/// When the file is missing or cannot be understood.
pub(crate) async fn client(kubeconfig: &std::path::Path) -> Result<Client> {
    Ok(Client::try_from(config(kubeconfig).await?)?)
}

/// What a client needs, as a kubeconfig has it.
pub(crate) async fn config(kubeconfig: &std::path::Path) -> Result<Config> {
    // A second call finds it installed already, which is as good.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let read = Kubeconfig::read_from(kubeconfig)?;
    Ok(Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?)
}

/// Asks an API server whether it is ready.
///
/// # Errors
/// When it says no, or says nothing for five seconds.
pub(crate) async fn api_server_is_ready(client: &Client) -> Result<()> {
    text(client, "/readyz").await.map(drop)
}

/// Waits until the API server is ready.
///
/// # Errors
/// When it ends, or is not ready in time.
pub(crate) async fn api_server(setup: Setup<'_>, state: &State) -> Result<()> {
    let client = client(&setup.layout.kubeconfig()).await?;
    component(setup.layout, state, "kube-apiserver", async || api_server_is_ready(&client).await).await
}

/// Waits until the controller manager has made the service account without which no pod is admitted.
///
/// # Errors
/// When it ends, or does not in time.
pub(crate) async fn controller_manager(setup: Setup<'_>, state: &State) -> Result<()> {
    let accounts: Api<ServiceAccount> = Api::default_namespaced(client(&setup.layout.kubeconfig()).await?);
    component(setup.layout, state, "kube-controller-manager", async || {
        Ok(accounts.get("default").await.map(drop)?)
    })
    .await
}

/// Waits until a component says that it is healthy.
///
/// # Errors
/// When it ends, or does not in time.
pub(crate) async fn says_healthy(setup: Setup<'_>, state: &State, name: &str) -> Result<()> {
    let client = local_client(setup, name)?;
    component(setup.layout, state, name, async || text(&client, "/healthz").await.map(drop)).await
}

/// Asks once: does every component run and say that it is healthy?
///
/// # Errors
/// When one does not, with its name.
pub(crate) async fn all(setup: Setup<'_>, state: &State, components: &[&str]) -> Result<()> {
    for name in components {
        if !state.is_alive(name) {
            bail!("{name} does not run");
        }
    }
    api_server_is_ready(&client(&setup.layout.kubeconfig()).await?).await.context("kube-apiserver")?;
    for name in components.iter().filter(|name| local_url(setup, name).is_some()) {
        text(&local_client(setup, name)?, "/healthz").await.context((*name).to_owned())?;
    }
    Ok(())
}

/// Where a component on this machine says how it is.
fn local_url(setup: Setup<'_>, component: &str) -> Option<String> {
    let ports = &setup.facts.ports;
    match component {
        "kube-controller-manager" => Some(format!("https://127.0.0.1:{}", ports.controller_manager)),
        "kube-scheduler" => Some(format!("https://127.0.0.1:{}", ports.scheduler)),
        "kubelet" => Some(format!("http://127.0.0.1:{}", ports.kubelet_health)),
        "kube-proxy" => Some(format!("http://127.0.0.1:{}", ports.proxy_health)),
        _ => None,
    }
}

fn local_client(setup: Setup<'_>, component: &str) -> Result<Client> {
    let url = local_url(setup, component).with_context(|| format!("{component} has no health endpoint"))?;
    let mut config = Config::new(url.parse()?);
    config.root_cert_file = Some(setup.layout.certificate("ca"));
    Ok(Client::try_from(config)?)
}

/// Waits until the node is Ready.
///
/// # Errors
/// When the kubelet ends, or the node is not Ready in time.
pub(crate) async fn node(setup: Setup<'_>, state: &State) -> Result<()> {
    let nodes: Api<Node> = Api::all(client(&setup.layout.kubeconfig()).await?);
    component(setup.layout, state, "kubelet", async || {
        let node = nodes.get("perpro").await?;
        let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
        let ready = conditions.into_iter().find(|condition| condition.type_ == "Ready");
        let ready = ready.context("the node has no condition Ready")?;
        if ready.status == "True" { Ok(()) } else { Err(anyhow!("{}", ready.message.unwrap_or_default())) }
    })
    .await
}

/// Waits until a component passes a check, and gives up at once when its process has ended.
///
/// # Errors
/// When it ends, or does not pass in time; with the last lines of its log.
pub(crate) async fn component(
    layout: &Layout,
    state: &State,
    name: &str,
    check: impl AsyncFn() -> Result<()>,
) -> Result<()> {
    let result = wait::until(&format!("{name} should work"), LIMIT, async || -> Probe<()> {
        if !state.is_alive(name) {
            return Probe::Break(Err(anyhow!("{name} has ended")));
        }
        match check().await {
            Ok(()) => wait::ready(()),
            Err(why) => wait::not_yet(format!("{why:#}")),
        }
    })
    .await;
    result.with_context(|| {
        let log = layout.log(name);
        format!("{name} does not work. The end of {}:\n{}\n", log.display(), file_tail(&log))
    })
}

/// Gets a path that answers 200 when all is well, and what it says.
pub(crate) async fn text(client: &Client, path: &str) -> Result<String> {
    let request = http::Request::get(path).body(Vec::new())?;
    let answer = tokio::time::timeout(Duration::from_secs(5), client.request_text(request)).await;
    Ok(answer.context("no answer for five seconds")??)
}
