//! `perpro revoke`

use super::ending::Ending;
use super::output::{count, print};
use super::subject::{About, Subject, refused};
use anyhow::bail;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Don't ask.
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    about: About,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let yes = self.yes;
        if !yes && !std::io::stdin().is_terminal() {
            bail!(
                "revoke deletes the AgentIdentity for good: pass --yes where nobody can be asked, or use suspend"
            );
        }
        self.about.run(async move |cluster, subject, timeout| {
            let ending = Ending::of(&cluster, &subject);
            let before = ending.live().await;
            if !yes {
                let question = question(&subject, before);
                // Reading blocks, and Ctrl-C must still be heard.
                if !tokio::task::spawn_blocking(move || confirmed(&question)).await?? {
                    bail!("nothing was done");
                }
            }
            let uid = subject.object.metadata.uid.clone().unwrap_or_default();
            let revoked = cluster.revoke_identity(&subject.namespace, &subject.name, &uid).await;
            revoked.map_err(|e| refused("revoke", &subject, &e))?;
            print(&format!("{subject} is deleted: no new pod of it starts\n"))?;
            ending.wait(before, timeout.deadline()).await
        })
    }
}

fn question(subject: &Subject, live: Option<usize>) -> String {
    let spec = &subject.object.spec;
    format!(
        "{subject}: {}\n  owner {}, until {}\nDelete it for good and end {}? [y/N] ",
        spec.justification,
        spec.owner.name,
        spec.expires_at.0,
        live.map_or_else(|| "its instances".to_owned(), |n| count(n, "instance")),
    )
}

fn confirmed(question: &str) -> anyhow::Result<bool> {
    let mut out = std::io::stderr().lock();
    out.write_all(question.as_bytes())?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
