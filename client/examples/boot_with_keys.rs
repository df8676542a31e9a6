//! Getting an app's keys from the library: `boot_with_keys HOST:PORT PINS MANIFEST [ROOT]`.
//!
//! The fourth argument is another root of trust than Intel's, for simulated platforms.

use std::path::Path;

use kms_attestation::platform::{GuestAgent, Platform};
use kms_attestation::{RootOfTrust, Verifier};
use kms_client::boot::{BootRequest, Booted, Evidence, Pins, ReceiptWanted, Retry, Trust, boot};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [node, pins, manifest, root @ ..] = &arguments[..] else { return Err("wrong usage".into()) };
    let root = match root {
        [path, ..] => RootOfTrust::configured(&std::fs::read(path)?)?,
        [] => RootOfTrust::intel(),
    };
    let socket = std::env::var("AGENT_SOCKET").unwrap_or("/var/run/dstack.sock".to_owned());
    let request = BootRequest {
        evidence: Evidence {
            platform: Platform::GuestAgent(GuestAgent::new(Path::new(&socket))),
            os_image_manifest: std::fs::read(manifest)?,
        },
        trust: Trust::pinned(Pins::parse(&std::fs::read(pins)?)?),
        verifier: Verifier::new(root),
        fresh: true,
        certificate: None,
        receipt: ReceiptWanted::No,
    };
    let nodes = [node.clone()];
    let report = |node: &str, error: &_| eprintln!("{node}: {error}");
    let Booted { keys, node, .. } = boot(&request, &nodes, Retry::default(), report).await?;
    // Use them: keys.disk_key, keys.env_key, keys.signing_key. Each is wiped when it is dropped.
    println!("keys of {} from the node {}, record {}", keys.app_id, node.measurement, keys.record.index);
    Ok(())
}
