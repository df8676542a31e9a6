//! What governance can change, each as a [`Change`].

use alloy::primitives::{Address, B256};
use kms_attestation::ids::{DeviceId, MrAggregated, OsImageHash};
use kms_chain::bindings::DstackKms;

use crate::owner::change::{Change, Input, Who};

/// The fields of `KmsInfo`.
const INFO_FIELDS: &[(&str, &str)] =
    &[("k256Pubkey", "bytes"), ("caPubkey", "bytes"), ("quote", "bytes"), ("eventlog", "bytes")];

pub(super) fn add_os_image(kms: Address, image: OsImageHash) -> Change {
    let hash = B256::from(image.0);
    let call = DstackKms::addOsImageHashCall { osImageHash: hash };
    Change::by_owner(format!("allow OS image {hash}"), kms, &call, vec![Input::word("osImageHash", hash)])
        .until(&DstackKms::allowedOsImagesCall { osImageHash: hash }, &true)
        .emits(&DstackKms::OsImageHashAdded { osImageHash: hash })
}

pub(super) fn remove_os_image(kms: Address, image: OsImageHash) -> Change {
    let hash = B256::from(image.0);
    let call = DstackKms::removeOsImageHashCall { osImageHash: hash };
    Change::by_owner(format!("forbid OS image {hash}"), kms, &call, vec![Input::word("osImageHash", hash)])
        .until(&DstackKms::allowedOsImagesCall { osImageHash: hash }, &false)
        .emits(&DstackKms::OsImageHashRemoved { osImageHash: hash })
}

pub(super) fn add_mr(kms: Address, mr: MrAggregated) -> Change {
    let mr = B256::from(mr.0);
    let call = DstackKms::addKmsAggregatedMrCall { mrAggregated: mr };
    Change::by_owner(
        format!("allow nodes of measurement {mr}"),
        kms,
        &call,
        vec![Input::word("mrAggregated", mr)],
    )
    .until(&DstackKms::kmsAllowedAggregatedMrsCall { mrAggregated: mr }, &true)
    .emits(&DstackKms::KmsAggregatedMrAdded { mrAggregated: mr })
}

pub(super) fn remove_mr(kms: Address, mr: MrAggregated) -> Change {
    let mr = B256::from(mr.0);
    let call = DstackKms::removeKmsAggregatedMrCall { mrAggregated: mr };
    Change::by_owner(
        format!("forbid nodes of measurement {mr}"),
        kms,
        &call,
        vec![Input::word("mrAggregated", mr)],
    )
    .until(&DstackKms::kmsAllowedAggregatedMrsCall { mrAggregated: mr }, &false)
    .emits(&DstackKms::KmsAggregatedMrRemoved { mrAggregated: mr })
}

pub(super) fn add_device(kms: Address, device: DeviceId) -> Change {
    let device = B256::from(device.0);
    let call = DstackKms::addKmsDeviceCall { deviceId: device };
    Change::by_owner(
        format!("allow nodes on device {device}"),
        kms,
        &call,
        vec![Input::word("deviceId", device)],
    )
    .until(&DstackKms::kmsAllowedDeviceIdsCall { deviceId: device }, &true)
    .emits(&DstackKms::KmsDeviceAdded { deviceId: device })
}

pub(super) fn remove_device(kms: Address, device: DeviceId) -> Change {
    let device = B256::from(device.0);
    let call = DstackKms::removeKmsDeviceCall { deviceId: device };
    Change::by_owner(
        format!("forbid nodes on device {device}"),
        kms,
        &call,
        vec![Input::word("deviceId", device)],
    )
    .until(&DstackKms::kmsAllowedDeviceIdsCall { deviceId: device }, &false)
    .emits(&DstackKms::KmsDeviceRemoved { deviceId: device })
}

pub(super) fn set_info(kms: Address, info: DstackKms::KmsInfo) -> Change {
    let fields = [&info.k256Pubkey, &info.caPubkey, &info.quote, &info.eventlog].map(Clone::clone);
    let kept = DstackKms::kmsInfoReturn {
        k256Pubkey: info.k256Pubkey.clone(),
        caPubkey: info.caPubkey.clone(),
        quote: info.quote.clone(),
        eventlog: info.eventlog.clone(),
    };
    let event = DstackKms::KmsInfoSet { k256Pubkey: info.k256Pubkey.clone() };
    let call = DstackKms::setKmsInfoCall { info };
    let inputs = vec![Input::tuple("info", INFO_FIELDS, &fields)];
    Change::by_owner("publish the root public keys".to_owned(), kms, &call, inputs)
        .until(&DstackKms::kmsInfoCall {}, &kept)
        .emits(&event)
}

/// The contract keeps it as text; the form with a checksum is what people compare.
pub(super) fn set_gateway_app_id(kms: Address, app: Address) -> Change {
    let id = app.to_string();
    let call = DstackKms::setGatewayAppIdCall { appId: id.clone() };
    Change::by_owner(
        format!("set the gateway's app to {app}"),
        kms,
        &call,
        vec![Input::new("appId", "string", &&id)],
    )
    .until(&DstackKms::gatewayAppIdCall {}, &id)
    .emits(&DstackKms::GatewayAppIdSet { gatewayAppId: id })
}

pub(super) fn set_app_implementation(kms: Address, implementation: Address) -> Change {
    let call = DstackKms::setAppImplementationCall { implementation };
    let inputs = vec![Input::new("implementation", "address", &implementation)];
    Change::by_owner(format!("set new apps' code to {implementation}"), kms, &call, inputs)
        .until(&DstackKms::appImplementationCall {}, &implementation)
        .emits(&DstackKms::AppImplementationSet { implementation })
}

pub(super) fn register_app(kms: Address, app: Address) -> Change {
    let call = DstackKms::registerAppCall { appId: app };
    Change::by_owner(format!("register app {app}"), kms, &call, vec![Input::new("appId", "address", &app)])
        .until(&DstackKms::registeredAppsCall { appId: app }, &true)
        .emits(&DstackKms::AppRegistered { appId: app })
        .by(Who::Anyone)
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{Bytes, keccak256};

    use super::*;

    #[test]
    fn method__should_be_that_of_the_calldata() {
        let kms = Address::repeat_byte(1);
        let empty = || Bytes::new();
        let info =
            DstackKms::KmsInfo { k256Pubkey: empty(), caPubkey: empty(), quote: empty(), eventlog: empty() };
        for change in [
            add_os_image(kms, OsImageHash([2; 32])),
            remove_os_image(kms, OsImageHash([2; 32])),
            add_mr(kms, MrAggregated([2; 32])),
            remove_mr(kms, MrAggregated([2; 32])),
            add_device(kms, DeviceId([2; 32])),
            remove_device(kms, DeviceId([2; 32])),
            set_info(kms, info),
            set_gateway_app_id(kms, kms),
            set_app_implementation(kms, kms),
            register_app(kms, kms),
        ] {
            assert_eq!(keccak256(change.method.signature())[..4], change.data[..4], "{}", change.title);
        }
    }
}
