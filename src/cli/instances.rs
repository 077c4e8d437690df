//! `perpro instances`

use super::connection::Connection;
use super::instance::{Instance, Instances};
use super::output::{self, Table, age, clean, print};
use super::subject::missing;
use crate::cluster::Selection;
use anyhow::bail;
use jiff::Timestamp;
use serde_json::json;
use std::process::ExitCode;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only of this AgentIdentity.
    identity: Option<String>,
    /// In all namespaces.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// More columns, or everything for a program.
    #[arg(short, long, value_enum)]
    output: Option<Format>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Wide,
    Json,
    Yaml,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let (identity, everywhere, format) = (self.identity, self.all_namespaces, self.output);
        self.connection.run(async move |cluster, namespace| {
            let which = Selection {
                namespace: (!everywhere).then_some(namespace.as_str()),
                identity: identity.as_deref(),
            };
            let found = Instances::read(&cluster, &which).await?.instances;
            // Who may not read identities learns only that none has a pod.
            if let Some(identity) = which.identity.filter(|_| found.is_empty())
                && matches!(cluster.has_identity(which.namespace, identity).await, Ok(false))
            {
                bail!(missing(which.namespace, identity));
            }
            let shown = json!({ "instances": found });
            match format {
                Some(Format::Json) => output::Format::Json.print(&shown)?,
                Some(Format::Yaml) => output::Format::Yaml.print(&shown)?,
                _ if found.is_empty() => match which.namespace {
                    Some(namespace) => eprintln!("No instances found in {namespace} namespace."),
                    None => eprintln!("No instances found."),
                },
                _ => print(&table(&found, everywhere, format == Some(Format::Wide), Timestamp::now()))?,
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}

fn table(instances: &[Instance], everywhere: bool, wide: bool, now: Timestamp) -> String {
    let mut headings = vec!["IDENTITY", "POD", "ACCOUNT", "POWER", "STATUS", "AGE"];
    if everywhere {
        headings.insert(0, "NAMESPACE");
    }
    if wide {
        headings.extend(["NODE", "OWNER", "EXPIRES", "POD-UID"]);
    }
    let mut table = Table::new(&headings);
    for i in instances {
        let age = i.created.map(|at| age(at, now)).unwrap_or_default();
        let text = |s: &Option<String>| s.clone().unwrap_or_default();
        let mut row = vec![
            i.identity.clone(),
            i.pod.clone(),
            i.account.clone(),
            i.power.as_str().to_owned(),
            i.status.clone(),
            age,
        ];
        if everywhere {
            row.insert(0, i.namespace.clone());
        }
        if wide {
            row.extend([text(&i.node), text(&i.owner), text(&i.expires_at), i.pod_uid.clone()]);
        }
        table.row(row);
    }
    let mut text = table.render();
    for i in instances {
        let stale = i.stale_since.as_ref().map(|since| {
            format!(
                "since {since} it holds what AgentIdentity \"{}\" lists no more, and ends staleSeconds (900, if no \
                 AgentPolicy says otherwise) after that: restart its workload to have new pods first",
                i.identity
            )
        });
        for why in i.waiting.iter().chain(&stale) {
            let namespace = if everywhere { format!("{}/", i.namespace) } else { String::new() };
            text += &clean(&format!("{namespace}{}: {why}", i.pod));
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::instance::Power;
    use super::*;

    #[test]
    fn the_namespace_is_a_column_only_where_there_are_several() {
        let instance = Instance {
            namespace: "support".into(),
            identity: "bot".into(),
            pod: "bot-1".into(),
            pod_uid: "u".into(),
            account: "aid-bot-0123456789".into(),
            power: Power::Live,
            claimed: true,
            status: "Running".into(),
            waiting: None,
            stale_since: None,
            node: None,
            created: Timestamp::from_second(100).ok(),
            owner: Some("User:jane".into()),
            expires_at: None,
        };
        let now = Timestamp::from_second(107).unwrap();
        assert_eq!(
            table(std::slice::from_ref(&instance), false, false, now),
            "IDENTITY   POD     ACCOUNT              POWER   STATUS    AGE\n\
             bot        bot-1   aid-bot-0123456789   Live    Running   7s\n"
        );
        let wide = table(std::slice::from_ref(&instance), true, true, now);
        assert!(
            wide.starts_with("NAMESPACE   IDENTITY") && wide.ends_with("<none>   User:jane   <none>    u\n"),
            "{wide}"
        );
        let why =
            "container \"agent\": CreateContainerConfigError: couldn't find key x in Secret support/y\n";
        let waits =
            Instance { status: "CreateContainerConfigError".into(), waiting: Some(why.into()), ..instance };
        let told = table(std::slice::from_ref(&waits), true, false, now);
        let last = "support/bot-1: container \"agent\": CreateContainerConfigError: couldn't find key x in Secret support/y\\n";
        assert_eq!(told.lines().last(), Some(last));
        let stale = Instance { stale_since: Some("2026-01-01T00:00:00Z".into()), ..waits };
        let told = table(&[stale], false, false, now);
        let begin = "bot-1: since 2026-01-01T00:00:00Z it holds what AgentIdentity \"bot\" lists no more";
        assert!(told.lines().count() == 4 && told.lines().last().unwrap().starts_with(begin), "{told}");
    }
}
