//! What to fetch: from a provider's hint, and from what the calls would read.
//!
//! Owns the calls whose reads are found out before the decision, and the bounds on what is fetched for them. Never
//! believes a hint: what it names is fetched with proofs, and dropped where the decision does not use it. Called by the
//! reader. Threats: a hint without end, a contract that makes a provider's answers long or slow.

use std::collections::BTreeSet;

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::sol_types::SolCall;
use serde_json::{Value, json};

use super::at;
use crate::abi::{
    allowAnyDeviceCall, allowedComposeHashesCall, allowedDeviceIdsCall, allowedOsImagesCall,
    kmsAllowedAggregatedMrsCall, kmsAllowedDeviceIdsCall, registeredAppsCall, requireTcbUpToDateCall,
};
use crate::answers::AccessList;
use crate::evm::{CALL_GAS, GETTER_GAS};
use crate::kms_info;
use crate::question::Question;
use crate::rpc::RpcCall;
use crate::state::{Footprint, MAX_ACCOUNTS, Missing};

/// What to fetch at one block: accounts, each with slots.
pub(super) type Wanted = Footprint;

pub(super) fn to_fetch(items: &BTreeSet<Missing>) -> Wanted {
    let mut wanted = Wanted::new();
    for item in items {
        match *item {
            Missing::Account(address) | Missing::Code(address) => drop(wanted.entry(address).or_default()),
            Missing::Slot(address, slot) => drop(wanted.entry(address).or_default().insert(slot)),
        }
    }
    wanted
}

/// A call whose reads are found out before the decision.
pub(super) struct Probe {
    pub(super) to: Address,
    pub(super) data: Bytes,
    pub(super) gas: u64,
}

impl Probe {
    fn getter(to: Address, call: &impl SolCall) -> Self {
        Self { to, data: call.abi_encode().into(), gas: GETTER_GAS }
    }

    /// With no more gas than the call will have: a contract that burns it all burns little of the provider's time.
    pub(super) fn access_list(&self, block: B256) -> RpcCall {
        let gas = format!("{:#x}", self.gas);
        let call = json!({ "from": Address::ZERO, "to": self.to, "data": self.data, "gas": gas });
        RpcCall { method: "eth_createAccessList", params: json!([call, at(block)]) }
    }
}

/// The call, and the getters that explain its answer.
pub(super) fn probes(question: &Question, kms: Address) -> Vec<Probe> {
    let info = question.boot_info();
    let app = info.appId;
    let mut probes = vec![
        Probe { to: kms, data: question.call_data(), gas: CALL_GAS },
        Probe::getter(kms, &allowedOsImagesCall { osImageHash: info.osImageHash }),
    ];
    match question {
        Question::Kms(_) => probes.extend([
            Probe::getter(kms, &kmsAllowedAggregatedMrsCall { mrAggregated: info.mrAggregated }),
            Probe::getter(kms, &kmsAllowedDeviceIdsCall { deviceId: info.deviceId }),
        ]),
        Question::App(_) => probes.extend([
            Probe::getter(kms, &registeredAppsCall { appId: app }),
            Probe::getter(app, &allowedComposeHashesCall { composeHash: info.composeHash }),
            Probe::getter(app, &allowedDeviceIdsCall { deviceId: info.deviceId }),
            Probe::getter(app, &allowAnyDeviceCall {}),
            Probe::getter(app, &requireTcbUpToDateCall {}),
        ]),
    }
    probes
}

/// The call of `kmsInfo()`, which nothing else explains.
pub(super) fn info_probes(kms: Address) -> Vec<Probe> {
    vec![Probe { to: kms, data: kms_info::call_data(), gas: CALL_GAS }]
}

/// Adds what a hint names, up to what may be read. A hint that cannot be read is no hint.
pub(super) fn take_hint(wanted: &mut Wanted, answer: Value, max_slots: usize) {
    let Ok(AccessList { access_list }) = AccessList::read(answer) else { return };
    let mut room = max_slots.saturating_sub(wanted.values().map(BTreeSet::len).sum());
    for item in access_list.into_iter().take(MAX_ACCOUNTS) {
        if wanted.len() < MAX_ACCOUNTS || wanted.contains_key(&item.address) {
            let slots = wanted.entry(item.address).or_default();
            let before = slots.len();
            slots.extend(item.storage_keys.into_iter().take(room).map(Into::<U256>::into));
            room = room.saturating_sub(slots.len() - before);
        }
    }
}
