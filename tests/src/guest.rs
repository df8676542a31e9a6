//! The guests of apps: what they run, where, and the evidence that they show.

use kms_attestation::SessionBinding;
use kms_attestation::hash::sha256;
use kms_attestation::ids::{AppId, ComposeHash, InstanceId};
use kms_proto::v1::GetAppKeysRequest;
use kms_simulator::cvm::{Cvm, CvmSpec};
use kms_simulator::host::Host;
use kms_simulator::image::OsImage;

/// A compose file that says so much and no more: each text has a hash of its own.
pub fn compose(text: &str) -> Vec<u8> {
    format!(r#"{{"docker_compose_file":"services: {{}}\n","manifest_version":2,"name":"{text}"}}"#)
        .into_bytes()
}

/// The hash under which contracts allow it.
pub fn compose_hash(compose: &[u8]) -> ComposeHash {
    ComposeHash(sha256(&[compose]))
}

/// The number of an instance as its id.
pub fn instance(number: u8) -> InstanceId {
    InstanceId([number; 20])
}

/// A guest of an app that is about to ask for its keys.
pub fn booted(host: &Host, image: &OsImage, app: AppId, compose: &[u8], instance_id: InstanceId) -> Cvm {
    let mut spec = CvmSpec::new(compose);
    spec.app_id = app;
    spec.instance_id = Some(instance_id);
    Cvm::booted(host, image, spec)
}

/// What a guest shows in the session.
pub fn evidence(cvm: &Cvm, binding: &SessionBinding) -> GetAppKeysRequest {
    GetAppKeysRequest {
        quote: cvm.quote(binding.report_data()).expect("a quote"),
        event_log: cvm.event_log().to_json().into_bytes(),
        os_image_manifest: cvm.image().manifest().to_vec(),
    }
}
