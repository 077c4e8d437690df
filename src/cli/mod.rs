//! The command line: one thin file per subcommand.

mod certs;
mod controller;
mod crds;
mod webhook;

use crate::runtime::telemetry::{self, LogFormat};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Identity for AI agents on Kubernetes.
#[derive(Parser)]
#[command(name = "perpro", version, about, arg_required_else_help = true)]
struct Cli {
    /// How log lines are written.
    #[arg(long, global = true, value_enum, default_value = "text", env = "PERPRO_LOG_FORMAT")]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answer the API server: decide on agent pods, mint their accounts, patch them.
    Webhook(webhook::Args),
    /// Claim, bind and ungate agent pods, and end their power when it is over.
    Controller(controller::Args),
    /// Make or renew the webhook's certificate, and tell the API server whom to trust.
    Certs(certs::Args),
    /// Print the definitions of perpro's kinds.
    Crds(crds::Args),
}

/// Parses the arguments and runs the command; an error is one line on stderr and exit code 1.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    telemetry::start(cli.log_format);
    let outcome = match cli.command {
        Command::Webhook(args) => args.run(),
        Command::Controller(args) => args.run(),
        Command::Certs(args) => args.run(),
        Command::Crds(args) => args.run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("perpro: {error:#}");
            ExitCode::FAILURE
        }
    }
}
