//! `perpro resume`

use super::output::print;
use super::subject::{About, Subject, refused};
use crate::cluster::Cluster;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use perpro_core::api::AgentIdentity;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Between two looks at the identity's status.
const INTERVAL: Duration = Duration::from_millis(250);

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    about: About,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        self.about.run(async move |cluster, subject, timeout| {
            let resumed = cluster.resume_identity(&subject.namespace, &subject.name).await;
            let resumed = resumed.map_err(|e| refused("resume", &subject, &e))?;
            let was = if subject.object.spec.suspended { "is resumed" } else { "was not suspended" };
            print(&format!("{subject} {was}\n"))?;
            wait(&cluster, &subject, resumed, timeout.deadline()).await
        })
    }
}

/// Waits for the controller's word on this generation.
async fn wait(
    cluster: &Cluster,
    subject: &Subject,
    resumed: AgentIdentity,
    deadline: Instant,
) -> anyhow::Result<ExitCode> {
    let generation = resumed.metadata.generation;
    let mut current = resumed;
    loop {
        match ready(&current, generation) {
            Some(ready) if ready.status == "True" => {
                print(
                    "it is Ready: workloads start its pods again as their controllers retry; a bare pod must be applied again\n",
                )?;
                return Ok(ExitCode::SUCCESS);
            }
            Some(ready) => {
                print(&format!("it is not Ready ({}): {}\n", ready.reason, ready.message))?;
                return Ok(ExitCode::FAILURE);
            }
            None if Instant::now() >= deadline => {
                print(
                    "the controller has not looked at it yet: `perpro status` says what is wrong with it\n",
                )?;
                return Ok(ExitCode::FAILURE);
            }
            None => tokio::time::sleep(INTERVAL).await,
        }
        current = Subject::find(cluster, &subject.namespace, &subject.name).await?.object;
    }
}

/// Condition Ready, if it speaks of this generation.
fn ready(identity: &AgentIdentity, generation: Option<i64>) -> Option<&Condition> {
    let status = identity.status.as_ref().filter(|s| s.observed_generation >= generation)?;
    status.conditions.iter().find(|c| c.type_ == "Ready")
}
