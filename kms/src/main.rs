//! `kms-node`: the command line of the daemon, and its exit code.
//!
//! Exit codes: 0 stopped as told; 1 could not start or go on; 2 wrong usage or configuration.
#![cfg_attr(test, allow(non_snake_case))]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use kms_node::config::{Config, check_report};
use kms_node::daemon;

/// A KMS node: releases keys to confidential VMs that the contracts allow.
#[derive(Debug, Parser)]
#[command(name = "kms-node", version, max_term_width = 80)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT
    Run(ConfigArgs),
    /// What a configuration says
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Read a configuration as `run` would, and say what counts; every fault at once
    Check(ConfigArgs),
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// The configuration file; the environment and --set come after it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One setting, section.key=value; comes last
    #[arg(long, value_name = "SETTING")]
    set: Vec<String>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let (Command::Run(args) | Command::Config(ConfigCommand::Check(args))) = &cli.command;
    let config = match Config::load(args.config.as_deref(), std::env::vars_os(), &args.set) {
        Ok(config) => config,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(2);
        }
    };
    match cli.command {
        Command::Config(_) => {
            print!("{}", check_report(&config));
            ExitCode::SUCCESS
        }
        Command::Run(_) => match daemon::run(&config, |log| log) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!("{error}");
                ExitCode::FAILURE
            }
        },
    }
}
