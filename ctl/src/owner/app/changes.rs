//! What an app's owner can change, each as a [`Change`].

use alloy::primitives::{Address, B256};
use kms_attestation::ids::{ComposeHash, DeviceId};
use kms_chain::bindings::DstackApp;

use crate::owner::change::{Change, Input};

pub(super) fn add_compose_hash(app: Address, hash: ComposeHash) -> Change {
    let hash = B256::from(hash.0);
    let call = DstackApp::addComposeHashCall { composeHash: hash };
    Change::by_owner(format!("allow compose hash {hash}"), app, &call, vec![Input::word("composeHash", hash)])
        .until(&DstackApp::allowedComposeHashesCall { composeHash: hash }, &true)
        .emits(&DstackApp::ComposeHashAdded { composeHash: hash })
}

pub(super) fn remove_compose_hash(app: Address, hash: ComposeHash) -> Change {
    let hash = B256::from(hash.0);
    let call = DstackApp::removeComposeHashCall { composeHash: hash };
    Change::by_owner(
        format!("forbid compose hash {hash}"),
        app,
        &call,
        vec![Input::word("composeHash", hash)],
    )
    .until(&DstackApp::allowedComposeHashesCall { composeHash: hash }, &false)
    .emits(&DstackApp::ComposeHashRemoved { composeHash: hash })
}

pub(super) fn add_device(app: Address, device: DeviceId) -> Change {
    let device = B256::from(device.0);
    let call = DstackApp::addDeviceCall { deviceId: device };
    Change::by_owner(format!("allow device {device}"), app, &call, vec![Input::word("deviceId", device)])
        .until(&DstackApp::allowedDeviceIdsCall { deviceId: device }, &true)
        .emits(&DstackApp::DeviceAdded { deviceId: device })
}

pub(super) fn remove_device(app: Address, device: DeviceId) -> Change {
    let device = B256::from(device.0);
    let call = DstackApp::removeDeviceCall { deviceId: device };
    Change::by_owner(format!("forbid device {device}"), app, &call, vec![Input::word("deviceId", device)])
        .until(&DstackApp::allowedDeviceIdsCall { deviceId: device }, &false)
        .emits(&DstackApp::DeviceRemoved { deviceId: device })
}

pub(super) fn set_allow_any_device(app: Address, call: &DstackApp::setAllowAnyDeviceCall) -> Change {
    let title = if call.allowAny { "allow all devices" } else { "allow only the devices on the list" };
    let inputs = vec![Input::new("allowAny", "bool", &call.allowAny)];
    Change::by_owner(title.to_owned(), app, call, inputs)
        .until(&DstackApp::allowAnyDeviceCall {}, &call.allowAny)
        .emits(&DstackApp::AllowAnyDeviceSet { allowAny: call.allowAny })
}

pub(super) fn set_require_tcb(app: Address, call: &DstackApp::setRequireTcbUpToDateCall) -> Change {
    let title = if call.requireUpToDate {
        "demand up-to-date platforms"
    } else {
        "leave the platforms' state to the KMS"
    };
    let inputs = vec![Input::new("requireUpToDate", "bool", &call.requireUpToDate)];
    Change::by_owner(title.to_owned(), app, call, inputs)
        .until(&DstackApp::requireTcbUpToDateCall {}, &call.requireUpToDate)
        .emits(&DstackApp::RequireTcbUpToDateSet { requireUpToDate: call.requireUpToDate })
}

#[cfg(test)]
mod tests {
    use alloy::primitives::keccak256;

    use super::*;
    use crate::owner::change::{accept_ownership, transfer_ownership};

    #[test]
    fn method__should_be_that_of_the_calldata() {
        let (app, hash, device) = (Address::repeat_byte(1), ComposeHash([2; 32]), DeviceId([3; 32]));
        for change in [
            add_compose_hash(app, hash),
            remove_compose_hash(app, hash),
            add_device(app, device),
            remove_device(app, device),
            set_allow_any_device(app, &DstackApp::setAllowAnyDeviceCall { allowAny: true }),
            set_require_tcb(app, &DstackApp::setRequireTcbUpToDateCall { requireUpToDate: true }),
            transfer_ownership(app, app, app),
            accept_ownership(app, app, app),
        ] {
            assert_eq!(keccak256(change.method.signature())[..4], change.data[..4], "{}", change.title);
        }
    }
}
