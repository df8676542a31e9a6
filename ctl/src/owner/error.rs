//! Why an owner's command was not carried out: each reason with a stable code, what was found, what was expected and
//! what fixes it.
//!
//! A refusal of the chain (exit 10) and a provider that could not be asked (exit 3) never look alike: the first calls for
//! another decision, the second for another provider.

use std::fmt;

use kms_chain::{ChainDenyCode, RpcFault};
use serde::Serialize;

use crate::layout::hang;
use crate::outcome::Exit;

/// The width of a label with the space around it: 66 characters, a hash with 0x, fit beside it.
const INDENT: usize = 12;

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $exit:ident, $message:literal, $fix:literal;)+) => {
        /// Which reason.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Fault {
            $($(#[doc = $doc])+ $name,)+
            /// The provider could not be asked.
            Rpc(ChainDenyCode),
        }

        impl Fault {
            #[cfg(test)]
            const ALL: &'static [Self] = &[$(Self::$name),+];

            fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ Self::Rpc(code) => code.as_str() }
            }

            fn message(self) -> &'static str {
                match self { $(Self::$name => $message,)+ Self::Rpc(code) => code.message() }
            }

            fn fix(self) -> &'static str {
                match self {
                    $(Self::$name => $fix,)+
                    Self::Rpc(ChainDenyCode::RpcError) => "Check the provider's quota, or use another (--rpc).",
                    Self::Rpc(ChainDenyCode::RpcConfig) => {
                        "Use an https URL; plain http only to this machine, or with --insecure-plain-http."
                    }
                    Self::Rpc(_) => "Check --rpc and the network, or use another provider.",
                }
            }

            fn exit(self) -> Exit {
                match self {
                    $(Self::$name => Exit::$exit,)+
                    Self::Rpc(ChainDenyCode::RpcConfig) => Exit::Usage,
                    Self::Rpc(_) => Exit::Undecided,
                }
            }
        }
    };
}

faults! {
    /// `--chain-id` names another chain than the provider's.
    WrongChain = "chain-id-mismatch", Refused,
        "The provider is on another chain.", "Use a provider of the chain that is meant.";
    /// No code where a contract should be.
    NotAContract = "not-a-contract", Refused,
        "There is no such contract at this address on this chain.", "Check the address and the chain.";
    /// The contract lacks a function of later versions.
    OlderContract = "older-contract", Refused,
        "The contract is of an older version, which cannot do this.", "Upgrade the contract first.";
    /// Only the owner may do this.
    NotOwner = "not-owner", Refused,
        "Only the contract's owner may do this.",
        "Use the owner's key, or hand it over: --safe-batch, --timelock, --calldata.";
    /// Only the pending owner may accept.
    NotPendingOwner = "not-pending-owner", Refused,
        "Only the one to whom ownership was offered may accept it.",
        "Let the owner run transfer-ownership first; then accept with that key or Safe.";
    /// A simulation reverted: nothing was sent.
    Reverts = "call-reverts", Refused,
        "The contract refuses this: nothing was sent.", "See the reason under found.";
    /// A transaction was mined and failed.
    TransactionFailed = "transaction-failed", Refused,
        "The transaction was mined and failed: only its fee was spent.",
        "Something changed since it was simulated: run the command again.";
    /// Mined, but the effect does not show.
    EffectMissing = "effect-missing", Undecided,
        "The transaction was mined, but its effect does not show.",
        "Look again with status; ask another provider.";
    /// Not mined in time.
    NotConfirmed = "not-confirmed", Undecided,
        "The transaction was sent, but not seen in a block in time.",
        "Look for that transaction first; run the command again once it is mined, or dropped.";
    /// The sender cannot pay the fee.
    InsufficientFunds = "insufficient-funds", Refused,
        "The sender cannot pay the fee.", "Send it funds on this chain.";
    /// The fee exceeds the limit.
    FeeTooHigh = "fee-too-high", Refused,
        "The fee that the provider asks for is above the limit.",
        "Wait, use another provider, or raise --max-fee.";
    /// What the events say is not what the state says.
    HistoryContradiction = "history-contradicts-state", Undecided,
        "The provider's events and its state contradict each other.",
        "Do not act on either; ask another provider.";
    /// The provider does not give its events.
    HistoryUnavailable = "history-unavailable", Undecided,
        "The provider does not give the contract's events.",
        "Use a provider with full history, or a later --from-block.";
    /// The chain changed while it was read.
    Reorganised = "chain-reorganised", Undecided,
        "The chain was reorganised meanwhile.", "Run the command again.";
    /// A consequence to be confirmed.
    ConfirmationNeeded = "confirmation-needed", Usage,
        "This may lock everybody out of the contract.", "Check the address; if it is right, give --yes.";
    /// Nobody said who shall own it.
    OwnerNeeded = "owner-needed", Usage,
        "Nobody is named who shall own the app.", "Give --owner.";
    /// A key or password file that others may read.
    KeyExposed = "key-file-exposed", Usage,
        "Others may read this file: take what it holds for known.",
        "Make a new key, and a file that only its owner may read: chmod 600.";
    /// A key file that holds no key.
    KeyUnusable = "key-file-unusable", Usage,
        "The file holds no private key.", "It must hold 32 bytes in hexadecimal, and nothing else.";
    /// A keystore that does not open.
    KeystoreClosed = "keystore-not-opened", Usage,
        "The keystore does not open.", "Check the password, and that it is an Ethereum keystore (version 3).";
    /// No password to be had.
    NoPassword = "password-needed", Usage,
        "There is no terminal to ask for the password.", "Give --password-file.";
    /// The signer lacks a role at the timelock.
    RoleMissing = "timelock-role-missing", Refused,
        "The sender may not do this at the timelock.", "Use the key or Safe that has the role.";
    /// The delay is shorter than the timelock's own.
    DelayTooShort = "timelock-delay-too-short", Refused,
        "The delay is shorter than the timelock demands.", "Give a longer --delay, or none.";
    /// Nothing was scheduled under this operation id.
    NotScheduled = "timelock-not-scheduled", Refused,
        "No such operation is scheduled.", "Schedule it first: --timelock-step schedule.";
    /// Scheduled, but the delay has not passed.
    TooEarly = "timelock-too-early", Refused,
        "The timelock's delay has not passed.", "Wait, then run the same command again.";
    /// The operation id is spent.
    OperationDone = "timelock-operation-done", Refused,
        "The same operation was executed before, and can be only once.", "Give another --salt.";
    /// The file is another chain's or another Safe's batch.
    ForeignBatch = "batch-file-mismatch", Usage,
        "The file is no batch that this can be added to.", "Use another file.";
}

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnerError {
    fault: Fault,
    found: String,
    expected: String,
    /// Where the fault's own advice is not the best.
    fix: Option<String>,
}

/// The `error` of the JSON output.
#[derive(Serialize)]
struct ErrorReport<'a> {
    code: &'static str,
    message: &'static str,
    found: &'a str,
    expected: &'a str,
    fix: &'a str,
}

impl OwnerError {
    /// A reason, with both sides.
    pub(crate) fn new(fault: Fault, found: impl fmt::Display, expected: impl fmt::Display) -> Self {
        Self { fault, found: found.to_string(), expected: expected.to_string(), fix: None }
    }

    /// What happened at a provider.
    pub(crate) fn provider(host: &str, fault: &RpcFault) -> Self {
        Self::new(Fault::Rpc(fault.code()), format_args!("{fault}, from {host}"), "an answer")
    }

    /// The same with this advice.
    pub(crate) fn fixed_by(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        self.fault.exit()
    }

    /// The error for programs.
    pub(crate) fn report(&self) -> impl Serialize + '_ {
        let (code, message) = (self.fault.code(), self.fault.message());
        ErrorReport { code, message, found: &self.found, expected: &self.expected, fix: self.fix() }
    }

    /// What fixes it.
    pub(crate) fn fix(&self) -> &str {
        self.fix.as_deref().unwrap_or(self.fault.fix())
    }
}

impl fmt::Display for OwnerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fault, found, expected, .. } = self;
        let rows = [("found", &**found), ("expected", expected), ("fix", self.fix())];
        let rows = rows.map(|(label, text)| hang(&format!("  {label:<10}"), INDENT, text)).concat();
        write!(f, "{}\n  {}\n{}", fault.code(), fault.message(), rows.trim_end())
    }
}

impl std::error::Error for OwnerError {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn faults__should_have_codes_that_are_unique_lower_case_words() {
        let codes: BTreeSet<_> = Fault::ALL.iter().map(|fault| fault.code()).collect();
        assert_eq!(codes.len(), Fault::ALL.len());
        assert!(codes.iter().all(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
    }

    #[test]
    fn faults__should_be_documented() {
        let documented = include_str!("../../../docs/owners.md");
        for fault in Fault::ALL {
            let row = format!("| `{}` | {} |", fault.code(), fault.exit() as u8);
            assert!(documented.contains(&row), "{row}");
        }
    }

    #[test]
    fn provider__should_never_look_like_a_refusal() {
        for fault in [RpcFault::Timeout, RpcFault::Unreachable, RpcFault::NotJson, RpcFault::Status(500)] {
            assert_eq!(OwnerError::provider("rpc.example", &fault).exit(), Exit::Undecided);
        }
        assert_eq!(OwnerError::provider("", &RpcFault::Config("not a URL")).exit(), Exit::Usage);
    }
}
