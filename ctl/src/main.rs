//! `kmsctl`: the tool of operators, app owners and auditors.
//!
//! Owns the command line, what is printed, and the exit code. Decides nothing about evidence: `kms-attestation` does.
//! Nothing it prints as proven was proven by this program alone, and a refusal never ends in exit code 0.
#![cfg_attr(test, allow(non_snake_case))]

mod audit;
mod cli;
mod compose;
mod device;
mod doctor;
mod env;
mod error;
mod input;
mod layout;
mod node;
mod outcome;
mod owner;
mod quote;
mod row;
mod style;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command, ComposeCommand, DeviceCommand, QuoteCommand};
use crate::error::CtlError;
use crate::outcome::Outcome;

fn main() -> ExitCode {
    let cli = Cli::parse();
    run(&cli.command).unwrap_or_else(|error| error.outcome()).emit()
}

fn run(command: &Command) -> Result<Outcome, CtlError> {
    match command {
        Command::Quote(QuoteCommand::Verify(args)) => quote::verify(args),
        Command::Quote(QuoteCommand::Explain(args)) => quote::explain(args),
        Command::Compose(ComposeCommand::Hash(args)) => compose::hash(args),
        Command::Compose(ComposeCommand::Build(args)) => compose::build(args),
        Command::Device(DeviceCommand::Id(args)) => device::id(args),
        Command::App(command) => owner::app(command),
        Command::Kms(command) => owner::kms(command),
        Command::Env(command) => env::run(command),
        Command::Node(command) => node::run(command),
        Command::Audit(command) => audit::run(command),
        Command::Doctor(args) => doctor::run(args),
    }
}
