//! The words of `kmsctl audit mirror`.

use clap::Args;

use crate::audit::args::LogArgs;

pub(crate) const HELP: &str = "\
Example:
  kmsctl audit mirror https://kms.example/log /srv/log --follow
  kmsctl audit mirror https://kms.example/log s3://bucket/log --endpoint https://s3.example

All is verified before it is put in place, and the checkpoint comes last. What is
there is not sent again: run it anew after any end. An object store's credentials
and region come from the AWS_* environment variables alone.

Exit codes: 0 the target has all; 10 the log is refused, or the target has
another log or more of it, and nothing was overwritten; 3 the source could not be
had; 1 the target could not be read or written; 2 wrong usage.";

#[derive(Debug, Args)]
pub(crate) struct MirrorArgs {
    #[command(flatten)]
    pub(super) log: LogArgs,
    #[arg(value_name = "TARGET", help = "The copy: a folder, or s3://BUCKET/PREFIX")]
    pub(super) target: String,
    /// The address of an S3-compatible store [default: that of AWS in your region]
    #[arg(long, value_name = "URL")]
    pub(super) endpoint: Option<String>,
    /// Leave evidence out: for a source that is known to withhold it
    #[arg(long)]
    pub(super) no_evidence: bool,
    /// Go on, and copy what is new until ended
    #[arg(long)]
    pub(super) follow: bool,
    /// The seconds between two looks
    #[arg(long, value_name = "S", requires = "follow", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) every: u64,
}
