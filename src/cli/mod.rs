//! The command line: one thin file per subcommand.

mod adopt;
mod certs;
mod check;
mod completion;
mod connection;
mod controller;
mod crds;
mod ending;
mod explain;
mod instance;
mod instances;
mod logs;
mod output;
mod plugin;
mod resume;
mod revoke;
mod scan;
mod status;
mod subject;
mod suspend;
mod uninstall;
mod webhook;
mod writes;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use plugin::Role;
use std::process::ExitCode;

/// Identity for AI agents on Kubernetes.
#[derive(Parser)]
#[command(name = "perpro", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Say whether perpro works in this cluster; exit code 1 when it does not
    Status(status::Args),
    /// List agent pods: identity, account, and whether they have power
    Instances(instances::Args),
    /// Stop an agent: no new pods, power of the running ones ends, then they do
    Suspend(suspend::Args),
    /// Let a suspended agent start again
    Resume(resume::Args),
    /// Delete an AgentIdentity, and end what runs under it
    Revoke(revoke::Args),
    /// Say of manifests what admission would say of them, before they are applied
    Check(check::Args),
    /// Write what a workload needs to run under an identity of its own, from what it uses today
    Adopt(adopt::Args),
    /// Say where agents run on borrowed identities, in any cluster; changes nothing
    Scan(scan::Args),
    /// Say what a code means, why the rule exists and how to get it right
    Explain(explain::Args),
    /// Print the script by which a shell completes these commands
    Completion(completion::Args),
    /// Print the definitions of perpro's kinds
    Crds(crds::Args),
    /// List every write that perpro makes to an API server, and what each asks of RBAC
    Writes(writes::Args),
    /// Process: answer the API server, decide on agent pods, mint their accounts, patch them
    Webhook(webhook::Args),
    /// Process: claim, bind and ungate agent pods, and end their power when it is over
    Controller(controller::Args),
    /// Job: make or renew the webhook's certificate, and tell the API server whom to trust
    #[command(hide = true)]
    Certs(certs::Args),
    /// Job: before an installation is removed, end the power of all agents, and pods at their gate
    #[command(hide = true)]
    Uninstall(uninstall::Args),
}

/// Parses the arguments and runs the command; an error is a sentence on stderr and exit code 1.
pub(crate) fn run() -> ExitCode {
    let role = Role::of(std::env::args_os().next().as_deref());
    let command = Cli::command().bin_name(role.name());
    if role == Role::Completer {
        let words: Vec<_> = std::env::args().skip(1).collect();
        return exit(role, succeeds(output::print(&completion::for_kubectl(&command, &words))));
    }
    let matches = command.get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let outcome = match cli.command {
        Command::Status(args) => args.run(),
        Command::Instances(args) => args.run(),
        Command::Suspend(args) => args.run(),
        Command::Resume(args) => args.run(),
        Command::Revoke(args) => args.run(),
        Command::Check(args) => args.run(),
        Command::Adopt(args) => args.run(),
        Command::Scan(args) => args.run(),
        Command::Explain(args) => succeeds(args.run()),
        Command::Completion(args) => succeeds(args.run(Cli::command())),
        Command::Crds(args) => succeeds(args.run()),
        Command::Writes(args) => succeeds(args.run()),
        Command::Webhook(args) => succeeds(args.run()),
        Command::Controller(args) => succeeds(args.run()),
        Command::Certs(args) => succeeds(args.run()),
        Command::Uninstall(args) => succeeds(args.run()),
    };
    exit(role, outcome)
}

fn succeeds(outcome: anyhow::Result<()>) -> anyhow::Result<ExitCode> {
    outcome.map(|()| ExitCode::SUCCESS)
}

fn exit(role: Role, outcome: anyhow::Result<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        eprintln!("{}: {error:#}", role.name());
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_processes_ask_how_to_log() {
        for command in Cli::command().get_subcommands() {
            let asks = command.get_arguments().any(|a| a.get_id() == "log_format");
            let process = ["webhook", "controller", "certs", "uninstall"].contains(&command.get_name());
            assert_eq!(asks, process, "{}", command.get_name());
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
