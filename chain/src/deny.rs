//! Why an answer from the chain is refused: the codes of this crate.
//!
//! A code is part of the protocol: callers match on it, records keep it, the documentation lists it. It is never
//! renamed or reused. Codes of this crate and of `kms-attestation` are distinct, and refusals have one form in both.

use kms_attestation::refusal::Refusal;

/// A refusal of what the chain, a provider or a witness says.
pub type ChainDeny = Refusal<ChainDenyCode>;

kms_attestation::deny_codes! {
    /// The stable codes of everything that this crate refuses.
    pub enum ChainDenyCode {
        // What the contracts say.
        ContractDenied = "contract-denied", Contract,
            "The contract does not allow it.",
            "Allow what the contract's reason names, with `kmsctl app` or `kmsctl kms`.";
        GrantNotFinal = "grant-not-final", Contract,
            "The contract allows it at the latest block, but not yet at the finalized one.",
            "Wait until the block that allowed it is finalized: about a quarter of an hour on Ethereum.";
        ContractMissing = "contract-missing", Contract,
            "No contract is deployed at the configured address.",
            "Check the address of DstackKms and the chain id in the configuration.";
        ContractReverted = "contract-reverted", Contract,
            "The contract reverted.",
            "Correct the app's contract: isAppAllowed must answer, not revert.";
        ContractOutOfGas = "contract-out-of-gas", Contract,
            "The contract used more gas than a view call may.",
            "Correct the app's contract: isAppAllowed must answer within 30 million gas.";
        ContractHalted = "contract-halted", Contract,
            "The contract stopped at an invalid operation.",
            "Correct the app's contract, and compile it for a fork that the chain has activated.";
        ContractAnswerTooLarge = "contract-answer-too-large", Contract,
            "The contract's answer is larger than any useful answer.",
            "Correct the app's contract: its reason must be a short sentence.";
        ContractAnswerMalformed = "contract-answer-malformed", Contract,
            "The contract's answer is not a (bool, string).",
            "Correct the app's contract: it must implement IAppAuth.";
        ContractReadsBlockHash = "contract-reads-block-hash", Contract,
            "The contract reads the hash of an earlier block, which no state proof carries.",
            "Correct the app's contract: isAppAllowed must not use blockhash.";
        ContractStateLimit = "contract-state-limit", Contract,
            "The contract reads more accounts or storage than a decision may.",
            "Correct the app's contract: isAppAllowed must read a bounded amount of state.";
        ContractCodeInvalid = "contract-code-invalid", Contract,
            "A contract's code cannot be executed.",
            "Check the address: code that starts with 0xEF and is no delegation is not executable.";
        KmsInfoUnusable = "kms-info-unusable", Contract,
            "The contract's kmsInfo holds no root public keys that can be used.",
            "Check the contract's address; publish the root public keys with `kmsctl kms set-info`.";
        // The head.
        HeaderMalformed = "header-malformed", Head,
            "The block header cannot be read.",
            "Use another provider, or a release that knows the chain's latest fork.";
        HeaderHashMismatch = "header-hash-mismatch", Head,
            "The block header does not have the hash that was announced for it.",
            "Use another provider: this one changes headers.";
        HeadStale = "head-stale", Head,
            "The latest head is older than policy accepts.",
            "Check that the providers follow the chain, that the node's packets are not held back, and its clock.";
        FinalizedStale = "finalized-stale", Head,
            "The finalized head is older than policy accepts.",
            "Wait until the chain finalizes again, and check that the providers follow it.";
        HeadFromFuture = "head-from-future", Head,
            "The head's timestamp is in the future of the node's clock.",
            "Set the clock: it is behind. If it is right, find out why the providers show a chain of the future.";
        HeadRegressed = "head-regressed", Head,
            "The head is lower than one that was already seen.",
            "Use providers that follow the chain: these fell back.";
        HeadEquivocation = "head-equivocation", Head,
            "Two different blocks were presented as finalized at one height.",
            "Stop and find out which provider lies: both headers are kept as evidence.";
        HeadsOutOfOrder = "heads-out-of-order", Head,
            "The finalized head is above the latest.",
            "Use providers that follow the chain.";
        HeadMissing = "head-missing", Head,
            "A head that policy demands is not there.",
            "Wait for the first verified heads, and check the providers with `doctor`.";
        HeadUnauthenticated = "head-unauthenticated", Head,
            "Too few of the configured providers vouch for the head.",
            "Configure more providers, or repair those that do not answer.";
        ProvidersDisagree = "providers-disagree", Head,
            "Providers present different blocks at one height.",
            "Wait for the chain to settle; if it lasts, find out which provider lies.";
        FeedStalled = "feed-stalled", Head,
            "No new head has arrived for longer than the chain takes.",
            "Check the providers and the node's network: its host may hold packets back.";
        ChainIdMismatch = "chain-id-mismatch", Head,
            "The chain is another than the configured one.",
            "Use providers of the configured chain.";
        DevChainOnly = "dev-chain-only", Head,
            "Unauthenticated heads are for the development chain alone.",
            "Configure a quorum of providers.";
        // The evidence.
        WitnessTooLarge = "witness-too-large", Proof,
            "The witness is larger than any genuine witness.",
            "Send the witness as it was recorded.";
        WitnessMalformed = "witness-malformed", Proof,
            "The bytes are not a well-formed witness.",
            "Send the witness as it was recorded.";
        WitnessVersion = "witness-version-unsupported", Proof,
            "The witness has a version that is not supported.",
            "Use the release that wrote it, or a later one.";
        WitnessNotCanonical = "witness-not-canonical", Proof,
            "The witness is not in its one canonical form.",
            "Send the witness as it was recorded.";
        WitnessSlack = "witness-slack", Proof,
            "The witness holds something that the decision does not use.",
            "Send the witness as it was recorded.";
        WitnessDigestMismatch = "witness-digest-mismatch", Proof,
            "The witness is not the one that the record names.",
            "Send the witness whose digest stands in the record.";
        QuestionMalformed = "question-malformed", Proof,
            "The call in the witness is not a canonical isAppAllowed or isKmsAllowed.",
            "Send the witness as it was recorded.";
        WitnessOtherQuestion = "witness-other-question", Proof,
            "The witness answers another question than the one that is asked.",
            "Send the witness of this very decision.";
        WitnessOtherTime = "witness-other-time", Proof,
            "The witness was made at another time than the decision.",
            "Send the witness of this very decision.";
        ContractMismatch = "contract-mismatch", Proof,
            "The witness is about another KMS contract.",
            "Replay it with the configuration that it was made under.";
        TrustAnchorMismatch = "trust-anchor-mismatch", Proof,
            "The witness was made under another trust anchor.",
            "Replay it with the configuration that it was made under.";
        ProofNodeMissing = "proof-node-missing", Proof,
            "A proof lacks a trie node.",
            "Use a provider that serves complete proofs for this block.";
        ProofTruncated = "proof-truncated", Proof,
            "A value is claimed to be absent, and the proof ends before it shows that.",
            "Use another provider: this one hides state.";
        ProofMalformed = "proof-malformed", Proof,
            "A proof holds something that is not a trie node.",
            "Use another provider.";
        ProofWrongAccount = "proof-wrong-account", Proof,
            "The proof is about another account or slot than the one asked for.",
            "Use another provider.";
        ProofValueMismatch = "proof-value-mismatch", Proof,
            "A provider states a value that its own proof contradicts.",
            "Use another provider: this one lies.";
        CodeMissing = "code-missing", Proof,
            "The code of a contract is missing.",
            "Use a provider that serves code at this block.";
        CodeMismatch = "code-mismatch", Proof,
            "The code of a contract does not have the hash that its account proves.",
            "Use another provider: this one lies.";
        // Providers.
        RpcTimeout = "rpc-timeout", Provider,
            "The provider did not answer in time.",
            "Check the provider, or configure another.";
        RpcUnreachable = "rpc-unreachable", Provider,
            "The provider cannot be reached.",
            "Check the provider's address, its TLS certificate and the node's network.";
        RpcStatus = "rpc-status", Provider,
            "The provider answered with an HTTP error.",
            "Check the provider's quota and key.";
        RpcTooLarge = "rpc-too-large", Provider,
            "The provider's answer is larger than any genuine answer.",
            "Use another provider.";
        RpcNotJson = "rpc-not-json", Provider,
            "The provider's answer is not JSON-RPC.",
            "Check the provider's address.";
        RpcWrongId = "rpc-wrong-id", Provider,
            "The provider answered another request than the one sent.",
            "Use another provider.";
        RpcError = "rpc-error", Provider,
            "The provider refused the request.",
            "Use a provider that supports eth_getProof for the last 128 blocks.";
        RpcAnswerInvalid = "rpc-answer-invalid", Provider,
            "The provider's answer has not the form that the method promises.",
            "Use another provider.";
        RpcConfig = "rpc-config", Provider,
            "The provider's configuration cannot be used.",
            "Use an https URL; plain http only to this machine, or with insecure_plain_http.";
        RoundsExhausted = "rounds-exhausted", Provider,
            "The state that the contract reads was not complete after the last round of fetching.",
            "Use a provider that supports eth_createAccessList; simplify the app's contract.";
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kms_attestation::DenyCode;

    use super::*;

    #[test]
    fn codes__should_be_unique_lower_case_words_that_attestation_does_not_use() {
        let mut codes: BTreeSet<_> = ChainDenyCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(codes.len(), ChainDenyCode::ALL.len());
        assert!(codes.iter().all(|c| c.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
        codes.extend(DenyCode::ALL.iter().map(|code| code.as_str()));
        assert_eq!(codes.len(), ChainDenyCode::ALL.len() + DenyCode::ALL.len());
    }

    #[test]
    fn codes__should_say_what_is_wrong_and_what_fixes_it() {
        for code in ChainDenyCode::ALL {
            assert!(code.message().ends_with('.') && code.fix().ends_with('.'), "{code}");
        }
    }
}
