//! `perpro suspend`

use super::connection::Connection;
use super::ending::{Ending, Timeout};
use super::output::print;
use super::subject::{Subject, refused};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Name of the AgentIdentity.
    name: String,
    #[command(flatten)]
    timeout: Timeout,
    #[command(flatten)]
    connection: Connection,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<std::process::ExitCode> {
        let (name, timeout) = (self.name, self.timeout);
        self.connection.run(async move |cluster, namespace| {
            let subject = Subject::find(&cluster, &namespace, &name).await?;
            let ending = Ending::of(&cluster, &subject);
            let before = ending.live().await;
            let suspended = cluster.suspend_identity(&namespace, &name).await;
            suspended.map_err(|e| refused("suspend", &subject, &e))?;
            let already =
                if subject.object.spec.suspended { "was suspended already" } else { "is suspended" };
            print(&format!("{subject} {already}: no new pod of it starts\n"))?;
            ending.wait(before, timeout.deadline()).await
        })
    }
}
