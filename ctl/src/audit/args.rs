//! The words of `kmsctl audit`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use kms_attestation::ids::AppId;
use kms_ledger::note::{KeyName, LogKey, WitnessKey};

use super::mirror::{self, MirrorArgs};
use super::replay::Chosen;
use super::select::Filter;
use super::source::SourceArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check a whole log: signature, every record, tile and blob, and an earlier checkpoint
    #[command(after_help = VERIFY_HELP)]
    Verify(VerifyArgs),
    /// Decide records again, from their evidence, and compare bit for bit
    #[command(after_help = REPLAY_HELP)]
    Replay(ReplayArgs),
    /// Print a record as JSON
    #[command(after_help = "Example:\n  kmsctl audit show log/ 17")]
    Show(OneArgs),
    /// Explain a record: who asked, what was proven, what the chain said, and why
    #[command(after_help = "Example:\n  kmsctl audit explain log/ 17 --root root.der")]
    Explain(OneArgs),
    /// Find records by app, device, answer and time
    #[command(after_help = "Example:\n  kmsctl audit search log/ --app 0x... --code contract-denied")]
    Search(SearchArgs),
    /// Write records, with all that they rest on, to one file
    #[command(after_help = "Example:\n  kmsctl audit export log/ 17 18 --output case.bundle")]
    Export(ExportArgs),
    /// Check a receipt of kms-client offline, and that a log still has what it shows
    #[command(after_help = RECEIPT_HELP)]
    Receipt(ReceiptArgs),
    /// Follow a log: alert on a fork, a rollback, and on releases
    #[command(after_help = WATCH_HELP)]
    Watch(WatchArgs),
    /// Carry a log to a folder or an object store: verified, resumable, the checkpoint last
    #[command(after_help = mirror::HELP)]
    Mirror(MirrorArgs),
    /// Run a witness: cosign the checkpoints of logs that go on as they were
    #[command(after_help = WITNESS_HELP)]
    Witness(WitnessArgs),
}

const WATCH_HELP: &str = "\
Example:
  kmsctl audit watch https://kms.example/log --state seen --app 0x...

Prints a line for each release, and ends at a fork or a rollback, of which both
checkpoints are kept. The state is the last checkpoint that was seen.

Exit codes: 10 the log was forked or rolled back; 3 with --once, the source could
not be had; 2 wrong usage.";

const RECEIPT_HELP: &str = "\
Example:
  kmsctl audit receipt release --key kms.example/log+1a2b3c4d+AQ... --log log/

Reads the two files that kms-client --receipt wrote: FILE and FILE.json. Without
--log nothing but these files is read. With --witness, the record must stand in a
checkpoint that these witnesses have cosigned: the receipt's, or with --log, the
log's newest of that kind.

Exit codes: 0 it holds; 10 it does not, or the log does not continue it; 3 the
log could not be had; 2 wrong usage.";

const WITNESS_HELP: &str = "\
Example:
  openssl rand -hex 32 > witness.key && chmod 600 witness.key
  kmsctl audit witness --listen 127.0.0.1:8080 --name witness.example \\
      --key-file witness.key --state witness/ --log kms.example/log+1a2b3c4d+AQ...

Plain HTTP: put it behind a proxy that speaks TLS. A witness that loses its
state has forgotten what it cosigned.";

const VERIFY_HELP: &str = "\
Example:
  kmsctl audit verify log/ --key kms.example/log+1a2b3c4d+AQ... --since old

Keep the checkpoint that you have verified: a later run with --since finds a
log that was cut or rewritten.

Exit codes: 0 all is as it was signed; 10 something is not; 3 the source could
not be had, or withholds evidence; 2 wrong usage.";

const REPLAY_HELP: &str = "\
Example:
  kmsctl audit replay log/ --root root.der

Exit codes: 0 every record is as it would be decided again; 10 one is not; 3 the
source could not be had, or evidence is missing; 2 wrong usage.";

/// A log, and what is believed of it.
#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// The log: a URL, a folder, or a bundle that `export` wrote
    #[arg(value_name = "LOG")]
    pub(super) log: String,
    /// The key that signs the log [default: the one in its first record, if a quote vouches for it]
    #[arg(long, value_name = "VKEY")]
    pub(super) key: Option<LogKey>,
    /// The root of trust, a certificate in DER [default: Intel's]
    #[arg(long, value_name = "DER")]
    pub(super) root: Option<PathBuf>,
    #[command(flatten)]
    pub(super) witnesses: WitnessesArgs,
    #[command(flatten)]
    pub(super) source: SourceArgs,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Whose word an auditor wants, that others see the same log.
#[derive(Debug, Args)]
pub(super) struct WitnessesArgs {
    /// A witness that must have cosigned the checkpoint; repeat for more
    #[arg(long = "witness", id = "witness", value_name = "VKEY")]
    pub(super) keys: Vec<WitnessKey>,
    /// How many of them must have [default: all]
    #[arg(long = "witness-quorum", id = "witness_quorum", value_name = "N", requires = "witness")]
    pub(super) quorum: Option<NonZeroUsize>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(super) log: LogArgs,
    /// An earlier checkpoint of the same log, which it must continue
    #[arg(long, value_name = "FILE")]
    pub(super) since: Option<PathBuf>,
    /// Write the checkpoint to this file once the log is as it was signed
    #[arg(long, value_name = "FILE")]
    pub(super) keep: Option<PathBuf>,
    /// Leave evidence out: for a source that is known to withhold it
    #[arg(long)]
    pub(super) no_evidence: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    pub(super) log: LogArgs,
    /// The records: 17, 17..30 or 17.. [default: all]
    #[arg(value_name = "INDEX")]
    pub(super) indices: Vec<Chosen>,
    /// How many threads [default: as many as there are cores]
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<NonZeroUsize>,
}

#[derive(Debug, Args)]
pub(crate) struct OneArgs {
    #[command(flatten)]
    pub(super) log: LogArgs,
    /// The record
    #[arg(value_name = "INDEX")]
    pub(super) index: u64,
}

#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    pub(super) log: LogArgs,
    #[command(flatten)]
    pub(super) filter: Filter,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(super) log: LogArgs,
    /// The records; those that they follow from come with them
    #[arg(value_name = "INDEX", required = true)]
    pub(super) indices: Vec<u64>,
    /// Where to write
    #[arg(long, short, value_name = "FILE")]
    pub(super) output: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ReceiptArgs {
    /// The receipt; FILE.json is read too
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// The key that signs the log [default: the receipt's own, which only its receiver can rely on]
    #[arg(long, value_name = "VKEY")]
    pub(super) key: Option<LogKey>,
    /// A log, a URL or a folder, that must continue the receipt's and have its record
    #[arg(long, value_name = "LOG")]
    pub(super) log: Option<String>,
    #[command(flatten)]
    pub(super) witnesses: WitnessesArgs,
    #[command(flatten)]
    pub(super) source: SourceArgs,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    pub(super) log: LogArgs,
    /// What was seen last: a checkpoint, made where there is none
    #[arg(long, value_name = "FILE")]
    pub(super) state: PathBuf,
    /// Tell of releases to this app only; repeat for more [default: of every release]
    #[arg(long = "app", value_name = "HEX")]
    pub(super) apps: Vec<AppId>,
    /// The seconds between two looks
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) every: u64,
    /// Look once, and end
    #[arg(long)]
    pub(super) once: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WitnessArgs {
    /// Where to listen
    #[arg(long, value_name = "ADDR:PORT")]
    pub(super) listen: std::net::SocketAddr,
    /// The witness's name: a URL without its scheme, mostly
    #[arg(long)]
    pub(super) name: KeyName,
    /// The key: 32 bytes in hexadecimal, in a file that only its owner may read
    #[arg(long, value_name = "FILE")]
    pub(super) key_file: PathBuf,
    /// Where it remembers
    #[arg(long, value_name = "DIR")]
    pub(super) state: PathBuf,
    /// The key of a log to watch; repeat for more
    #[arg(long = "log", value_name = "VKEY", required = true)]
    pub(super) logs: Vec<LogKey>,
}
