//! Programs run in the containers of the agents, by kubectl.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Stage;
use super::agents::Instance;
use crate::command::output;
use crate::install::kubectl;

/// What a container can read that might be a credential.
#[derive(Debug, Deserialize)]
pub(crate) struct Holdings {
    /// Files where tokens and Secrets are mounted.
    pub(crate) files: Vec<String>,
    /// Names of environment variables.
    pub(crate) env: Vec<String>,
}

/// What the API server answered to an agent.
#[derive(Debug, Deserialize)]
struct Answer {
    status: u16,
}

impl Stage<'_> {
    /// The status with which the API server answers when the agent itself asks for a ConfigMap.
    pub(crate) async fn try_from_inside(
        &self,
        instance: &Instance,
        namespace: &str,
        name: &str,
    ) -> Result<u16> {
        let args = ["try", "--namespace", namespace, "--configmap", name];
        Ok(self.said::<Answer>(instance, "agent", &args).await?.status)
    }

    /// What a container says it holds.
    pub(crate) async fn holdings(&self, instance: &Instance, container: &str) -> Result<Holdings> {
        self.said(instance, container, &["self"]).await
    }

    /// The agent's own token.
    pub(crate) async fn token(&self, instance: &Instance) -> Result<String> {
        Ok(self.exec(instance, "agent", &["show-token"]).await?.trim().to_owned())
    }

    async fn said<T: DeserializeOwned>(
        &self,
        instance: &Instance,
        container: &str,
        args: &[&str],
    ) -> Result<T> {
        let said = self.exec(instance, container, args).await?;
        serde_json::from_str(&said).with_context(|| format!("{} {container} said {said}", instance.pod))
    }

    /// The program of a container is called as the container is, except that the agent's is called as the agent.
    async fn exec(&self, instance: &Instance, container: &str, args: &[&str]) -> Result<String> {
        let program = if container == "agent" { instance.agent.name } else { container };
        let mut exec = kubectl(self.cluster);
        exec.args(["exec", "--namespace", instance.agent.namespace, &instance.pod, "--container", container]);
        exec.args(["--", &format!("/{program}")]).args(args);
        output(&mut exec).await
    }
}
