//! perpro's processes on this machine, for a cluster without a node. Each runs under the account that the chart
//! gives it, so the chart's RBAC is what it lives with; tests kill and restart them.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, Client, Config};
use rustix::process::Signal;

use super::{NAMESPACE, product};
use crate::cluster::kubeconfig::{self, Credential};
use crate::cluster::pki::Authority;
use crate::cluster::process::{self, Launch};
use crate::cluster::state::Facts;
use crate::cluster::{Cluster, ProcessId, health};
use crate::files;

/// A process of perpro.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostProcess {
    /// Answers the API server.
    Webhook,
    /// Claims, binds and ends instances.
    Controller,
    /// Another of the same account, which waits for the Lease. Only tests start it.
    SecondController,
    /// Ends all agents before the charts go, and then itself. Only tests start it.
    Uninstall,
}

impl HostProcess {
    /// Those that `install` starts.
    pub(crate) const INSTALLED: [Self; 2] = [Self::Webhook, Self::Controller];

    /// Its name among the cluster's processes, and of its log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Webhook => "perpro-webhook",
            Self::Controller => "perpro-controller",
            Self::SecondController => "perpro-controller-2",
            Self::Uninstall => "perpro-uninstall",
        }
    }

    fn account(self) -> &'static str {
        match self {
            Self::Webhook => "perpro-webhook",
            Self::Controller | Self::SecondController | Self::Uninstall => "perpro-controller",
        }
    }

    fn args(self, cluster: &Cluster, facts: &Facts) -> Vec<String> {
        let health = |port| {
            vec![
                "controller".into(),
                format!("--lease-namespace={NAMESPACE}"),
                format!("--health-listen=127.0.0.1:{port}"),
            ]
        };
        match self {
            Self::Webhook => vec![
                "webhook".into(),
                format!("--listen=127.0.0.1:{}", facts.ports.webhook),
                format!("--health-listen=127.0.0.1:{}", facts.ports.webhook_health),
                format!("--tls-dir={}", tls(cluster).display()),
            ],
            Self::Controller => health(facts.ports.controller),
            Self::SecondController => health(facts.ports.second_controller),
            Self::Uninstall => vec![
                "uninstall".into(),
                format!("--namespace={NAMESPACE}"),
                "--secret=perpro-webhook-tls".into(),
                "--secret=perpro-ca".into(),
                "--timeout-seconds=60".into(),
            ],
        }
    }

    /// What it has counted is read at this port, without TLS.
    fn health_port(self, facts: &Facts) -> Result<u16> {
        match self {
            Self::Webhook => Ok(facts.ports.webhook_health),
            Self::Controller => Ok(facts.ports.controller),
            Self::SecondController => Ok(facts.ports.second_controller),
            Self::Uninstall => anyhow::bail!("it serves nothing"),
        }
    }

    /// Where it is asked whether it is ready: of the webhook as the API server reaches it.
    fn readiness(self, cluster: &Cluster, facts: &Facts) -> Result<Config> {
        let (scheme, port) = match self {
            Self::Webhook => ("https", facts.ports.webhook),
            _ => ("http", self.health_port(facts)?),
        };
        let mut config = Config::new(format!("{scheme}://127.0.0.1:{port}").parse()?);
        config.root_cert_file = (self == Self::Webhook).then(|| tls(cluster).join("ca.crt"));
        Ok(config)
    }
}

/// A process that serves on a port of 127.0.0.1.
#[derive(Clone, Copy, Debug)]
pub struct Served {
    /// The process.
    pub process: ProcessId,
    /// The port.
    pub port: u16,
}

/// The processes of perpro for one cluster.
#[derive(Clone, Copy, Debug)]
pub struct HostProcesses<'a> {
    cluster: &'a Cluster,
}

impl<'a> HostProcesses<'a> {
    /// Those of this cluster, into which perpro was installed.
    pub fn of(cluster: &'a Cluster) -> Self {
        Self { cluster }
    }

    /// Starts a process and waits until it is ready. `env` is added to its environment.
    ///
    /// # Errors
    /// When it ends or is not ready in time; with the end of its log.
    pub async fn start(&self, process: HostProcess, env: &[(&str, &str)]) -> Result<()> {
        let _lock = self.cluster.lock().await?;
        self.launch_locked(process, env).await?;
        self.is_ready(process).await
    }

    /// Starts a process and does not wait: for one that is meant to crash.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn launch(&self, process: HostProcess, env: &[(&str, &str)]) -> Result<()> {
        let _lock = self.cluster.lock().await?;
        self.launch_locked(process, env).await
    }

    /// Kills a process as `kill -9` does, and waits until it is gone.
    ///
    /// # Errors
    /// When it does not go.
    pub async fn kill(&self, process: HostProcess) -> Result<()> {
        let _lock = self.cluster.lock().await?;
        self.kill_locked(process).await
    }

    /// Ends a process as the kubelet does: asks, and waits until it has ended by itself.
    ///
    /// # Errors
    /// When it still runs after `grace`; then it is killed.
    pub async fn stop(&self, process: HostProcess, grace: Duration) -> Result<()> {
        let _lock = self.cluster.lock().await?;
        let mut state = self.cluster.state()?;
        let id = state.process(process.name()).filter(|id| id.is_alive());
        let id = id.with_context(|| format!("{} does not run", process.name()))?;
        id.signal(Signal::TERM);
        let what = format!("{} should end", process.name());
        let ended = crate::wait::until(&what, grace, async || {
            if id.is_alive() { crate::wait::not_yet("it runs") } else { crate::wait::ready(()) }
        })
        .await;
        process::stop(&[id], Duration::ZERO).await?;
        state.forget(process.name())?;
        ended
    }

    /// Kills it, and starts it again.
    ///
    /// # Errors
    /// Those of [`Self::kill`] and [`Self::start`].
    pub async fn restart(&self, process: HostProcess, env: &[(&str, &str)]) -> Result<()> {
        let _lock = self.cluster.lock().await?;
        self.restart_locked(process, env).await
    }

    /// Whether it runs.
    pub fn is_alive(&self, process: HostProcess) -> bool {
        self.cluster.state().is_ok_and(|state| state.is_alive(process.name()))
    }

    /// Waits until a process that was launched has ended by itself.
    ///
    /// # Errors
    /// When it still runs after `limit`.
    pub async fn ends(&self, process: HostProcess, limit: Duration) -> Result<()> {
        crate::wait::until(&format!("{} should end", process.name()), limit, async || {
            if self.is_alive(process) { crate::wait::not_yet("it runs") } else { crate::wait::ready(()) }
        })
        .await
    }

    /// Its log, all starts in one file.
    pub fn log(&self, process: HostProcess) -> PathBuf {
        self.cluster.layout().log(process.name())
    }

    pub(crate) async fn restart_locked(&self, process: HostProcess, env: &[(&str, &str)]) -> Result<()> {
        self.kill_locked(process).await?;
        self.launch_locked(process, env).await?;
        self.is_ready(process).await
    }

    async fn launch_locked(&self, process: HostProcess, env: &[(&str, &str)]) -> Result<()> {
        let mut state = self.cluster.state()?;
        anyhow::ensure!(!state.is_alive(process.name()), "{} runs already", process.name());
        let kubeconfig = self.write_kubeconfig(process).await?;
        let added = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let launch = Launch {
            name: process.name().into(),
            program: product()?,
            args: process.args(self.cluster, state.facts()),
            env: added.chain([("KUBECONFIG".to_owned(), kubeconfig)]).collect::<BTreeMap<_, _>>(),
            log: self.log(process),
        };
        state.start(&launch).map(drop)
    }

    async fn kill_locked(&self, process: HostProcess) -> Result<()> {
        let mut state = self.cluster.state()?;
        if let Some(id) = state.process(process.name()).filter(|_| state.is_alive(process.name())) {
            id.signal(Signal::KILL);
            process::stop(&[id], Duration::ZERO).await?;
        }
        state.forget(process.name())
    }

    /// The webhook, as whoever asks it directly sees it.
    ///
    /// # Errors
    /// When it does not run.
    pub fn webhook(&self) -> Result<Served> {
        let state = self.cluster.state()?;
        let name = HostProcess::Webhook.name();
        let process = state.process(name).with_context(|| format!("{name} does not run"))?;
        Ok(Served { process, port: state.facts().ports.webhook })
    }

    /// Starts `program` beside ours, for comparisons; it ends with the cluster. After `args` it is told the port to
    /// listen on, and [`Self::tls`].
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn rival(&self, program: PathBuf, args: &[&str]) -> Result<Served> {
        let mut state = self.cluster.state()?;
        let port = state.facts().ports.rival;
        let told = [port.to_string(), self.tls().to_string_lossy().into()];
        let process = state.start(&Launch {
            name: "rival".into(),
            program,
            args: args.iter().map(|arg| (*arg).to_owned()).chain(told).collect(),
            env: BTreeMap::new(),
            log: self.cluster.layout().log("rival"),
        })?;
        Ok(Served { process, port })
    }

    /// The folder with the webhook's `tls.crt` and `tls.key`, and `ca.crt`, whom the API server trusts.
    pub fn tls(&self) -> PathBuf {
        tls(self.cluster)
    }

    /// A client that speaks to the process itself.
    ///
    /// # Errors
    /// When the cluster does not run.
    pub fn client(&self, process: HostProcess) -> Result<Client> {
        let state = self.cluster.state()?;
        Ok(Client::try_from(process.readiness(self.cluster, state.facts())?)?)
    }

    /// Its page of metrics.
    ///
    /// # Errors
    /// When the process does not answer.
    pub async fn metrics(&self, process: HostProcess) -> Result<String> {
        let port = process.health_port(self.cluster.state()?.facts())?;
        let client = Client::try_from(Config::new(format!("http://127.0.0.1:{port}").parse()?))?;
        health::text(&client, "/metrics").await
    }

    async fn is_ready(&self, process: HostProcess) -> Result<()> {
        let state = self.cluster.state()?;
        let client = self.client(process)?;
        health::component(self.cluster.layout(), &state, process.name(), async || {
            health::text(&client, "/readyz").await.map(drop)
        })
        .await
    }

    /// A kubeconfig with a token of the account, as the kubelet would give it to a pod, but for a day.
    async fn write_kubeconfig(&self, process: HostProcess) -> Result<String> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.cluster.client().await?, NAMESPACE);
        let spec = TokenRequestSpec { expiration_seconds: Some(24 * 3600), ..TokenRequestSpec::default() };
        let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
        let answer = accounts.create_token_request(process.account(), &PostParams::default(), &request).await;
        let answer = answer.with_context(|| format!("no token for {NAMESPACE}/{}", process.account()))?;
        let token = answer.status.and_then(|status| status.token).context("the API server gave no token")?;
        let path = self.cluster.layout().kubeconfig_of(process.name());
        let state = self.cluster.state()?;
        let server = self.cluster.setup(state.facts()).server();
        kubeconfig::write(&path, self.cluster.layout(), &server, Credential::Token(&token))?;
        path.into_os_string().into_string().ok().context("the cluster's folder is not text")
    }
}

/// Writes the webhook's certificate where it reads it, and returns that of its CA.
pub(crate) fn write_certificate(cluster: &Cluster, authority: &Authority) -> Result<String> {
    let folder = tls(cluster);
    files::private_dir(&folder)?;
    let leaf = authority.server(&["localhost"], &[Ipv4Addr::LOCALHOST])?;
    files::write(&folder.join("tls.key"), leaf.key)?;
    files::write(&folder.join("tls.crt"), leaf.certificate)?;
    files::write(&folder.join("ca.crt"), authority.certificate())?;
    Ok(fs::read_to_string(folder.join("ca.crt"))?)
}

fn tls(cluster: &Cluster) -> PathBuf {
    cluster.layout().config().join("webhook-tls")
}
