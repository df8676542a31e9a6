//! What keeps a command from doing its work, other than a verdict on evidence: each with what to do about it.

use std::io;
use std::path::PathBuf;

use kms_attestation::deny::DenyReason;
use kms_attestation::pccs::ConfigError;
use kms_attestation::root::RootError;
use kms_chain::ChainDeny;
use kms_client::boot::{BootError, FailureKind};
use kms_ledger::audit_bundle::BundleRefusal;
use kms_ledger::refusal::LedgerRefusal;
use kms_ledger::replay::{Gap, ReplayCode};

use crate::audit::{MirrorError, OpenError};
use crate::compose::ComposeError;
use crate::env::EnvCommandError;
use crate::outcome::{Exit, Outcome};
use crate::owner::OwnerError;

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CtlError {
    /// A file that the command line names is missing or unreadable.
    #[error("cannot read {}: {source}", .path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// A file is larger than anything that could be meant.
    #[error("{} is larger than {max} bytes; no such input of kmsctl is", .path.display())]
    TooLarge { path: PathBuf, max: u64 },
    /// The policy file is not a policy.
    #[error("{} is not a policy in JSON: {source}", .path.display())]
    Policy { path: PathBuf, source: serde_json::Error },
    /// The root certificate cannot serve as one.
    #[error("{}: {source}", .path.display())]
    Root { path: PathBuf, source: RootError },
    /// A URL of `--pccs` cannot be used.
    #[error("--pccs: {0}")]
    Pccs(#[from] ConfigError),
    /// A node that does not answer, or is not to be trusted.
    #[error("{0}")]
    Node(Box<BootError>),
    /// Providers that cannot be used as given.
    #[error("--rpc: {0}; {fix}", fix = .0.code.fix())]
    Providers(ChainDeny),
    /// The system gives no means to wait for the network.
    #[error("cannot use the network: {0}")]
    Runtime(io::Error),
    /// The arguments of `compose build` do not make an `app-compose.json`.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// Variables could not be encrypted or opened.
    #[error(transparent)]
    Env(#[from] EnvCommandError),
    /// The output file is there already.
    #[error("{} exists; give --force to replace it", .path.display())]
    Exists { path: PathBuf },
    /// The output file cannot be written.
    #[error("cannot write {}: {source}", .path.display())]
    NotWritten { path: PathBuf, source: io::Error },
    /// The result has no JSON form, which should not happen.
    #[error("cannot print the result as JSON: {0}")]
    Encode(serde_json::Error),
    /// The evidence itself is refused, in a command that prints no verdict.
    #[error("refused: {0}; {fix}", fix = .0.code.fix())]
    Refused(#[from] DenyReason),
    /// A log cannot be opened, or is refused as a whole.
    #[error("{0}")]
    Audit(#[from] OpenError),
    /// An address that is none of a log.
    #[error("{0}; {fix}", fix = .0.code.fix())]
    Source(LedgerRefusal),
    /// A file does not hold the key of a witness.
    #[error("{} does not hold 64 hexadecimal digits; make them with `openssl rand -hex 32`", .path.display())]
    WitnessKey { path: PathBuf },
    /// A record cannot be shown.
    #[error("{0}; {fix}", fix = .0.code.fix())]
    Gap(Gap),
    /// A file is no audit bundle.
    #[error("{}: {refusal}; {fix}", .path.display(), fix = .refusal.code.fix())]
    Bundle { path: PathBuf, refusal: BundleRefusal },
    /// A file is no checkpoint of this log.
    #[error("{}: {refusal}; {fix}", .path.display(), fix = .refusal.code.fix())]
    Checkpoint { path: PathBuf, refusal: LedgerRefusal },
    /// A receipt does not hold.
    #[error("{}: {refusal}; {fix}", .path.display(), fix = .refusal.code.fix())]
    Receipt { path: PathBuf, refusal: LedgerRefusal },
    /// A log is not mirrored.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// A bundle has no tiles to make other proofs of.
    #[error("this is a bundle already; export from the log's files")]
    ExportOfBundle,
    /// A bundle has no tiles to show that it continues another checkpoint.
    #[error("a bundle can be compared with a checkpoint of its own size only; give the log's files")]
    BundleSince,
    /// A bundle never changes.
    #[error("this is a bundle, which nothing is added to; give the log's URL or folder")]
    WatchOfBundle,
    /// A file holds no certificates.
    #[error("{} holds no certificate in PEM or DER", .path.display())]
    Certificates { path: PathBuf },
    /// A file holds no private key.
    #[error("{} holds no private key in PEM (BEGIN PRIVATE KEY, EC PRIVATE KEY or RSA PRIVATE KEY)", .path.display())]
    ClientKey { path: PathBuf },
    /// A client's certificate and key cannot be used together.
    #[error("--client-cert {}, --client-key {}: {refusal}; {fix}", .certificate.display(), .key.display(), fix = .refusal.code.fix())]
    Client { certificate: PathBuf, key: PathBuf, refusal: LedgerRefusal },
    /// An owner's command was not carried out.
    #[error(transparent)]
    Owner(#[from] OwnerError),
}

impl CtlError {
    /// The error as what the command did.
    pub(crate) fn outcome(&self) -> Outcome {
        let exit = match self {
            Self::NotWritten { .. } | Self::Encode(_) => Exit::NotWritten,
            Self::Node(error) => match error.kind() {
                FailureKind::Undecided => Exit::Undecided,
                FailureKind::Refused => Exit::Refused,
                FailureKind::Unfit => Exit::Usage,
            },
            Self::Refused(_) | Self::Bundle { .. } | Self::Checkpoint { .. } | Self::Receipt { .. } => {
                Exit::Refused
            }
            Self::Audit(error) => error.exit(),
            Self::Mirror(error) => error.exit(),
            Self::Gap(gap) => match gap.code {
                ReplayCode::BlobDamaged | ReplayCode::RecordUnproven => Exit::Refused,
                ReplayCode::RecordMissing => Exit::Usage,
                _ => Exit::Undecided,
            },
            Self::Owner(error) => error.exit(),
            Self::Env(error) => error.exit(),
            _ => Exit::Usage,
        };
        Outcome { exit, stdout: Vec::new(), stderr: format!("error: {self}\n") }
    }
}
