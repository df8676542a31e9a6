//! The daemon: a node from its configuration to its end. Owns the process's log, its runtime and its signals.
//!
//! Called by `kms-node`, and by the benchmark that measures what the log of decisions costs. Threat: a secret in a process
//! that is not hardened: that comes first.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use kms_ledger::store::Store;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::assemble::{Assembled, assemble, bind};
use crate::config::Config;
use crate::config::log::LogFormat;
use crate::hardening::harden;
use crate::record::Recorder;
use crate::serve::serve;

/// How long the end waits for jobs on threads of their own: a verification takes a millisecond, a name that the system
/// looks up may take many seconds, and nobody needs either any more.
const LAST_JOBS: Duration = Duration::from_secs(1);

/// Serves until SIGTERM or SIGINT. Everything is recorded through the door to the log that `door` makes: `kms-node` gives
/// the log itself.
pub fn run(
    config: &Config,
    door: impl FnOnce(Arc<Store>) -> Arc<dyn Recorder>,
) -> Result<(), Box<dyn Error>> {
    start_log(config);
    let hardened = harden(config.node.memory_lock)?;
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(async { work(config, assemble(config, &hardened, door).await?).await });
    runtime.shutdown_timeout(LAST_JOBS);
    outcome
}

async fn work(config: &Config, assembled: Assembled) -> Result<(), Box<dyn Error>> {
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
