//! From what a quote proves to what a contract is asked.
//!
//! Every field has the contract's own length; nothing is padded and nothing is cut. Called by the verdict, with an
//! identity that only a verified quote can have made.

use alloy::primitives::{Address, B256};
use kms_attestation::ids::OsImageHash;
use kms_attestation::{BootIdentity, VerifiedQuote, identity::mr_aggregated};

use crate::abi::AppBootInfo;

/// The contract's view of a boot.
///
/// Where the guest has no instance the instance id is the zero address, as deployed contracts expect it. The TCB status
/// is Intel's word for it, `UpToDate` for instance. The OS image must be one whose manifest was checked against
/// the quote.
#[must_use]
pub fn app_boot_info(identity: &BootIdentity, quote: &VerifiedQuote, os_image: OsImageHash) -> AppBootInfo {
    from_parts(identity, os_image, quote.tcb().status.to_string(), quote.tcb().advisory_ids.clone())
}

/// The contract's view of a machine that is to be a KMS node: hardware, measurements and OS image. It is no app, so the
/// fields that name one are zero.
#[must_use]
pub fn kms_boot_info(quote: &VerifiedQuote, os_image: OsImageHash) -> AppBootInfo {
    AppBootInfo {
        deviceId: B256::from(quote.platform().ppid.device_id().0),
        mrAggregated: B256::from(mr_aggregated(quote.td()).0),
        osImageHash: B256::from(os_image.0),
        tcbStatus: quote.tcb().status.to_string(),
        advisoryIds: quote.tcb().advisory_ids.clone(),
        ..AppBootInfo::default()
    }
}

fn from_parts(
    identity: &BootIdentity,
    os_image: OsImageHash,
    tcb_status: String,
    advisory_ids: Vec<String>,
) -> AppBootInfo {
    AppBootInfo {
        appId: Address::from(identity.app_id.0),
        composeHash: B256::from(identity.compose_hash.0),
        instanceId: identity.instance_id.map(|id| Address::from(id.0)).unwrap_or_default(),
        deviceId: B256::from(identity.device_id.0),
        mrAggregated: B256::from(identity.mr_aggregated.0),
        mrSystem: B256::from(identity.mr_system.0),
        osImageHash: B256::from(os_image.0),
        tcbStatus: tcb_status,
        advisoryIds: advisory_ids,
    }
}

#[cfg(test)]
mod tests {
    use kms_attestation::BootPhase;
    use kms_attestation::ids::{AppId, ComposeHash, DeviceId, InstanceId, MrAggregated, MrSystem};

    use super::*;

    #[test]
    fn app_boot_info__should_keep_every_byte_in_its_field() {
        let mut identity = BootIdentity {
            app_id: AppId([1; 20]),
            compose_hash: ComposeHash([2; 32]),
            instance_id: Some(InstanceId([3; 20])),
            device_id: DeviceId([4; 32]),
            mr_system: MrSystem([5; 32]),
            mr_aggregated: MrAggregated([6; 32]),
            key_provider: None,
            phase: BootPhase::Booting,
        };
        let advisories = vec!["INTEL-SA-00001".to_owned()];
        let info = from_parts(&identity, OsImageHash([7; 32]), "UpToDate".to_owned(), advisories.clone());
        let expected = AppBootInfo {
            appId: Address::repeat_byte(1),
            composeHash: B256::repeat_byte(2),
            instanceId: Address::repeat_byte(3),
            deviceId: B256::repeat_byte(4),
            mrSystem: B256::repeat_byte(5),
            mrAggregated: B256::repeat_byte(6),
            osImageHash: B256::repeat_byte(7),
            tcbStatus: "UpToDate".to_owned(),
            advisoryIds: advisories,
        };
        assert_eq!(info, expected);
        identity.instance_id = None;
        let info = from_parts(&identity, OsImageHash([7; 32]), String::new(), vec![]);
        assert_eq!(info.instanceId, Address::ZERO);
    }
}
