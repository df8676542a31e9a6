//! `kms-node`: the daemon. Owns the command line, the log, signals and the exit code.
//!
//! Exit codes: 0 stopped as told; 1 could not start or go on; 2 wrong usage or configuration.
#![cfg_attr(test, allow(non_snake_case))]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use kms_node::assemble::{Assembled, assemble, bind};
use kms_node::config::log::LogFormat;
use kms_node::config::{Config, check_report};
use kms_node::hardening::harden;
use kms_node::serve::serve;
use tokio::signal::unix::{SignalKind, signal};

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

/// How long the end waits for jobs on threads of their own: a verification takes a millisecond, a name that the system
/// looks up may take many seconds, and nobody needs either any more.
const LAST_JOBS: Duration = Duration::from_secs(1);

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
        Command::Run(_) => run(&config),
    }
}

fn run(config: &Config) -> ExitCode {
    start_log(config);
    let outcome = harden(config.node.memory_lock).map_err(|error| error.to_string()).and_then(|hardened| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let outcome = runtime.block_on(async {
            let assembled = assemble(config, &hardened).await.map_err(|error| error.to_string())?;
            work(config, assembled).await.map_err(|error| error.to_string())
        });
        runtime.shutdown_timeout(LAST_JOBS);
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn work(config: &Config, assembled: Assembled) -> Result<(), Box<dyn std::error::Error>> {
    let Assembled { node, ledger, limits, terms } = assembled;
    let store = Arc::clone(&ledger.store);
    let listeners = bind(config, &node).await?;
    // Before anybody is told that it serves, so that no signal finds the default action.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    for setting in config.insecure_settings() {
        tracing::warn!(setting, "insecure");
    }
    if let Some(metrics) = &listeners.metrics {
        tracing::info!(address = %metrics.local_addr()?, "serving metrics");
    }
    for log in &listeners.log {
        let (address, evidence) = (log.listener.local_addr()?, log.blobs);
        if log.tls.is_some() {
            tracing::info!(%address, ?evidence, "serving auditors");
        } else {
            tracing::info!(%address, ?evidence, "serving the log of decisions");
        }
    }
    tracing::info!(address = %listeners.services.local_addr()?, node = %config.node.name, policy = %config.policy_digest(), "serving");
    let shutdown = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping");
    };
    serve(node, ledger, listeners, limits, terms, shutdown).await?;
    // What was recorded to the very end, the stop too.
    store.publish().await?;
    Ok(())
}

fn start_log(config: &Config) {
    let builder =
        tracing_subscriber::fmt().with_max_level(config.log.level.filter()).with_writer(std::io::stderr);
    match config.log.format {
        LogFormat::Text => builder.with_ansi(false).init(),
        LogFormat::Json => builder.json().init(),
    }
}
