//! `kms-simulator`: simulated TDX hosts, CVMs and a PCCS for trying the KMS without hardware.
//!
//! Owns the command line. What it starts or writes is the library's.

mod guest;
mod quote;
mod up;

use std::path::Path;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

/// Simulated TDX hosts, CVMs and a PCCS, for trying the KMS without hardware.
///
/// Nothing that it makes is secret or verifies against Intel's root. Whoever configures its root certificate as a
/// root of trust trusts anybody who knows the seed.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Up(up::Up),
    Quote(quote::Quote),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Up(up) => up.run().await,
        Command::Quote(quote) => quote.run(),
    }
}

/// Writes a file of the output folder, whole or not at all: another process may be waiting for it.
fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> anyhow::Result<()> {
    let unfinished = folder.join(format!("{name}.unfinished"));
    let write = || {
        std::fs::write(&unfinished, content)?;
        std::fs::rename(&unfinished, folder.join(name))
    };
    write().with_context(|| format!("cannot write {}", folder.join(name).display()))
}
