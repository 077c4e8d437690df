//! `perpro suspend`

use super::ending::Ending;
use super::output::print;
use super::subject::{About, refused};
use std::process::ExitCode;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    about: About,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        self.about.run(async move |cluster, subject, timeout| {
            let ending = Ending::of(&cluster, &subject);
            let before = ending.live().await;
            let suspended = cluster.suspend_identity(&subject.namespace, &subject.name).await;
            suspended.map_err(|e| refused("suspend", &subject, &e))?;
            let already =
                if subject.object.spec.suspended { "was suspended already" } else { "is suspended" };
            print(&format!("{subject} {already}: no new pod of it starts\n"))?;
            ending.wait(before, timeout.deadline()).await
        })
    }
}
