//! `kmsctl doctor`: are these providers fit for a node, and what has to change?
//!
//! Owns the words and what is printed; the examination is `kms-chain`'s. A clean bill is no promise: a provider may lie in
//! the next answer, and is then found out by a node through its proofs.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use alloy::primitives::Address;
use clap::{Args, ValueEnum};
use kms_chain::doctor::{Checkup, Finding, Health, Report, examine};
use kms_chain::{Anchor, ChainDeny, Freshness, GrantAt, HeadTrust, Rpc, RpcLimits, Transport};
use tokio::runtime::Builder;

use crate::error::CtlError;
use crate::layout::hang;
use crate::outcome::{Exit, Outcome, json};
use crate::owner::parse_address;
use crate::style::{Style, Tone};

/// Development chains have no providers that could vouch for a head.
const DEV_CHAIN_ID: u64 = kms_chain::anchor::DEV_CHAIN_ID;
/// The width of a mark and the name of a check.
const INDENT: usize = 20;

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// A JSON-RPC provider; repeat it for each that the node will use
    #[arg(long, required = true, value_name = "URL")]
    rpc: Vec<String>,
    /// The KMS contract
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    kms: Address,
    /// The chain
    #[arg(long, value_name = "ID")]
    chain_id: u64,
    /// How many providers must agree [default: all but a minority]
    #[arg(long, value_name = "N")]
    quorum: Option<usize>,
    /// At which heads the node will want a grant
    #[arg(long, value_enum, default_value_t = Grant::Latest)]
    grant_at: Grant,
    /// Allow providers on other machines over plain HTTP
    #[arg(long)]
    insecure_plain_http: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Grant {
    /// The latest verified head
    Latest,
    /// That, and the finalized head
    #[value(name = "latest+finalized")]
    LatestAndFinalized,
}

/// Examines the providers. Exit code 10 where a node could not work with them.
pub(crate) fn run(args: &DoctorArgs) -> Result<Outcome, CtlError> {
    let transport = if args.insecure_plain_http { Transport::InsecurePlainHttp } else { Transport::Secure };
    let client = |url: &String| Rpc::new(url, transport, RpcLimits::default()).map(Arc::new);
    let providers = args.rpc.iter().map(client).collect::<Result<Vec<_>, _>>();
    let providers = providers.map_err(|fault| CtlError::Providers(fault.into()))?;
    let anchor = anchor(args, &providers).map_err(CtlError::Providers)?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(CtlError::Runtime)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let report = runtime.block_on(examine(&providers, &anchor, now));
    let exit = if report.health() == Health::Unfit { Exit::Refused } else { Exit::Done };
    let stdout = if args.json { json(&report)? } else { text(&report, Style::of_stdout()).into_bytes() };
    Ok(Outcome { exit, stdout, stderr: String::new() })
}

fn anchor(args: &DoctorArgs, providers: &[Arc<Rpc>]) -> Result<Anchor, ChainDeny> {
    let trust = if args.chain_id == DEV_CHAIN_ID && providers.len() == 1 {
        HeadTrust::Dev
    } else {
        let threshold = args.quorum.unwrap_or(providers.len() / 2 + 1);
        HeadTrust::Quorum { hosts: providers.iter().map(|rpc| rpc.host().to_owned()).collect(), threshold }
    };
    let grant_at = match args.grant_at {
        Grant::Latest => GrantAt::Latest,
        Grant::LatestAndFinalized => GrantAt::LatestAndFinalized,
    };
    Anchor::new(args.chain_id, args.kms, trust, grant_at, Freshness::default())
}

fn text(report: &Report, style: Style) -> String {
    let mut text = String::new();
    for Checkup { provider, findings } in &report.providers {
        text += &section(style, provider, findings);
    }
    if !report.together.is_empty() {
        text += &section(style, "all together", &report.together);
    }
    text + match report.health() {
        Health::Good => "A node works with these providers.\n",
        Health::Costly => "A node works with these providers, at a price.\n",
        Health::Unfit => "A node does NOT work with these providers.\n",
    }
}

fn section(style: Style, title: &str, findings: &[Finding]) -> String {
    let lines: String = findings.iter().map(|finding| line(style, finding)).collect();
    format!("{}\n{lines}\n", style.paint(Tone::Heading, title))
}

fn line(style: Style, finding: &Finding) -> String {
    let (tone, mark) = match finding.health {
        Health::Good => (Tone::Good, "ok  "),
        Health::Costly => (Tone::Heading, "note"),
        Health::Unfit => (Tone::Bad, "FAIL"),
    };
    let head = format!("  {} {:13}", style.paint(tone, mark), finding.check.to_string());
    let advice = finding.advice.as_deref().map(|advice| hang(&" ".repeat(INDENT), INDENT, advice));
    hang(&head, INDENT, &finding.found) + &advice.unwrap_or_default()
}
