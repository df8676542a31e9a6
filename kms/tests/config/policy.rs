//! The policy digest: a vector that another program computed, and what changes it.

use std::num::NonZeroUsize;

use kms_chain::{GrantAt, HeadTrust};
use kms_node::config::{PolicyDigest, PolicyDocument};
use kms_node::node::WorkLimits;

use crate::support::{MINIMAL, with_flags};

/// Printed by `policy_vector.py`, which knows the definition alone.
const DOCUMENT: &str = r#"{"attestation":{"collateral_set":"standard","root_key_id":"46e403bd34f05a3f2817ab9badcaacc7ffc98e0f261008cd30dae936cace18d5dcf58eef31463613de1570d516200993"},"certificates":{"app_ca_lifetime_s":7776000,"leaf_max_lifetime_s":86400,"node_lifetime_s":3600,"zone":"kms.internal"},"chain":{"chain_id":1,"confirmations":1,"contract":"0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed","freshness":{"finalized_max_age":1800,"latest_max_age":90,"max_future":15},"grant_at":"latest","heads":{"hosts":["rpc-a.example","rpc-b.example","rpc-c.example"],"mode":"quorum","threshold":2}},"decision":{"boot_phase":"booting","platform":{"accepted_tcb_statuses":["UpToDate"],"allowed_fmspcs":null,"denied_advisories":[],"grace_secs":0,"max_collateral_age_secs":2592000,"max_root_crl_age_secs":34560000,"min_evaluation_number":0}},"version":"onchain-kms/policy/v1"}"#;
const DIGEST: &str = "956117c102aa599b2ffe588a29279232adc03d57d977e5e0d9d75d38f9c36325";

fn digest(flags: &[&str]) -> PolicyDigest {
    with_flags(MINIMAL, flags).unwrap().policy_digest()
}

#[test]
fn policy_digest__should_be_what_another_program_computes() {
    let config = with_flags(MINIMAL, &[]).unwrap();
    assert_eq!(config.policy_document().to_json(), DOCUMENT);
    assert_eq!(PolicyDocument::parse(DOCUMENT.as_bytes()).unwrap(), config.policy_document());
    assert_eq!(config.policy_digest().to_string(), DIGEST);
}

#[test]
fn policy_digest__should_change_with_everything_that_decides() {
    let changes = [
        "chain.chain_id=2",
        "chain.contract=0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaee",
        "chain.grant_at=latest+finalized",
        "chain.confirmations=2",
        "chain.quorum=3",
        r#"chain.rpc=["https://rpc-a.example", "https://rpc-b.example", "https://rpc-d.example"]"#,
        "chain.latest_max_age_s=91",
        "chain.finalized_max_age_s=1801",
        "chain.max_future_s=16",
        "policy.boot_phase=any",
        r#"policy.platform.accepted_tcb_statuses=["UpToDate", "SWHardeningNeeded"]"#,
        r#"policy.platform.denied_advisories=["INTEL-SA-00001"]"#,
        "policy.platform.min_evaluation_number=17",
        "policy.platform.max_collateral_age_secs=1",
        "policy.platform.max_root_crl_age_secs=1",
        "policy.platform.grace_secs=1",
        r#"policy.platform.allowed_fmspcs=["00806f050000"]"#,
        "attestation.collateral_set=early",
        "certificates.zone=apps.internal",
        "certificates.leaf_max_lifetime_s=3600",
        "certificates.app_ca_lifetime_s=86400",
        "certificates.node_lifetime_s=600",
    ];
    let mut seen = vec![digest(&[])];
    for change in changes {
        let digest = digest(&[change]);
        assert!(!seen.contains(&digest), "{change}");
        seen.push(digest);
    }
}

#[test]
fn policy_digest__should_not_change_with_how_a_node_is_run() {
    let same = [
        "listen.address=[::]:1",
        "limits.connections=5000",
        "node.state_dir=/elsewhere",
        "chain.poll_every_ms=1000",
        "chain.contract=0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
        r#"chain.rpc=["https://rpc-c.example/v3/KEY", "https://rpc-b.example", "https://rpc-a.example:444"]"#,
        r#"policy.platform.accepted_tcb_statuses=["UpToDate", "UpToDate"]"#,
        "log.level=debug",
    ];
    for change in same {
        assert_eq!(digest(&[change]), digest(&[]), "{change}");
    }
    let sets = |statuses, advisories| {
        let statuses = format!("policy.platform.accepted_tcb_statuses={statuses}");
        digest(&[&statuses, &format!("policy.platform.denied_advisories={advisories}")])
    };
    let one = sets(r#"["UpToDate", "OutOfDate"]"#, r#"["INTEL-SA-2", "intel-sa-1"]"#);
    assert_eq!(one, sets(r#"["OutOfDate", "UpToDate"]"#, r#"["INTEL-SA-1", "INTEL-SA-2"]"#));
}

#[test]
fn anchor__should_be_the_configured_one() {
    let anchor = with_flags(MINIMAL, &["chain.grant_at=latest+finalized"]).unwrap().anchor().unwrap();
    assert_eq!((anchor.chain_id(), anchor.grant_at()), (1, GrantAt::LatestAndFinalized));
    let hosts = ["rpc-a.example", "rpc-b.example", "rpc-c.example"].map(str::to_owned).into();
    assert_eq!(*anchor.trust(), HeadTrust::Quorum { hosts, threshold: 2 });
}

#[test]
fn widened_settings__should_name_what_accepts_more_than_by_default() {
    let widened = |flag| with_flags(MINIMAL, &[flag]).unwrap().widened_settings();
    assert_eq!(widened("policy.boot_phase=any"), ["policy.boot_phase"]);
    assert_eq!(widened("policy.platform.grace_secs=3600"), ["policy.platform.grace_secs"]);
    assert_eq!(widened("chain.latest_max_age_s=91"), ["chain.latest_max_age_s"]);
    assert!(widened("chain.latest_max_age_s=89").is_empty());
    let statuses = r#"policy.platform.accepted_tcb_statuses=["SWHardeningNeeded"]"#;
    assert_eq!(widened(statuses), ["policy.platform.accepted_tcb_statuses"]);
}

#[test]
fn limits__should_be_what_the_server_takes() {
    let cores = NonZeroUsize::new(3).unwrap();
    let work = |flags| with_flags(MINIMAL, flags).unwrap().limits.work(cores);
    assert_eq!(work(&[]), WorkLimits { running: 3, queued: 3 + 3 * 16 });
    let one = work(&["limits.verifications=1", "limits.verification_queue=2"]);
    assert_eq!(one, WorkLimits { running: 1, queued: 3 });
}

#[test]
fn certificates__should_be_what_the_issuer_takes() {
    let config = with_flags(MINIMAL, &["listen.server_names=['kms.example']"]).unwrap();
    assert_eq!(config.certificates.policy().unwrap().zone().as_str(), "kms.internal");
    let terms = config.certificates.terms(config.listen.server_names);
    assert_eq!((terms.lifetime.secs(), terms.renew_every.as_secs()), (3600, 1800));
    assert_eq!(terms.names.first().unwrap().as_str(), "kms.example");
    for (flag, seconds) in [("certificates.node_lifetime_s=600", 300), ("certificates.node_renewal_s=60", 60)]
    {
        let config = with_flags(MINIMAL, &[flag]).unwrap();
        let terms = config.certificates.terms(config.listen.server_names);
        assert_eq!(terms.renew_every.as_secs(), seconds, "{flag}");
    }
}
