//! The text of both kinds of `status`: who owns the contract, and lists with what put each entry there.

use std::fmt::Display;

use super::examine::Base;
use super::history::Entry;
use super::report::line;
use crate::style::{Style, Tone};

/// What both contracts have.
pub(crate) fn base_text(base: &Base, style: Style) -> String {
    let address = |at: Option<alloy::primitives::Address>| at.map(|at| at.to_string());
    let pending = address(base.pending_owner).unwrap_or_else(|| "nobody".to_owned());
    let code = address(base.implementation).unwrap_or_else(|| "none: not an ERC-1967 proxy".to_owned());
    let headline = format!("As of block {} of chain {}", base.block_number, base.chain_id);
    let older = if base.complete { "" } else { ": what is older is not listed" };
    let since = format!("block {} on{older}", base.from_block);
    let mut text = format!("{}\n", style.paint(Tone::Heading, &headline));
    text += &line("block hash", &base.block_hash.to_string());
    text += &line("contract", &base.contract.to_string());
    text += &line("owner", &base.owner.to_string());
    text += &line("offered to", &pending);
    text += &line("code", &code);
    text + &line("events", &since)
}

/// A list under its heading: each entry, and faintly below it what put it there.
pub(crate) fn list_text<T: Display>(heading: &str, entries: &[Entry<T>], style: Style) -> String {
    let heading = style.paint(Tone::Heading, heading);
    let none = if entries.is_empty() { "  none\n" } else { "" };
    let entries: Vec<String> = entries.iter().map(|entry| entry_text(entry, style)).collect();
    format!("\n{heading}\n{none}{}", entries.concat())
}

fn entry_text<T: Display>(entry: &Entry<T>, style: Style) -> String {
    let block = style.paint(Tone::Faint, &format!("    block {}", entry.block_number));
    let transaction = style.paint(Tone::Faint, &format!("    tx {}", entry.transaction));
    format!("  {}\n{block}\n{transaction}\n", entry.value)
}
