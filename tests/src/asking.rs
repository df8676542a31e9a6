//! Asking again and again, until the answer is another: how tests wait for what takes its time.
//!
//! No test here waits for a moment, each waits for a state, with a bound that a slow machine does not reach.

use std::time::{Duration, Instant};

use kms_proto::v1::GetAppKeysResponse;
use kms_simulator::cvm::Cvm;

use crate::node::Node;
use crate::wire::{Refusal, Wire, granted, refusal};

/// How long a fault may take to show, or to be over.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// Tries until there is something; `what` is for people.
pub async fn until<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = attempt().await {
            return found;
        }
        assert!(Instant::now() < end, "not in {} s: {what}", PATIENCE.as_secs());
        tokio::time::sleep(PAUSE).await;
    }
}

/// Asks for keys until they are refused; with what.
pub async fn until_refused(node: &Node, cvm: &Cvm) -> Refusal {
    until("a refusal", async || {
        let answer = Wire::connect(node.address()).await.boot_as(cvm).await;
        answer.is_err().then(|| refusal(answer))
    })
    .await
}

/// Asks for keys until they are refused with that code.
pub async fn until_refused_with(node: &Node, cvm: &Cvm, code: &str) -> Refusal {
    let mut last = None;
    let found = until(code, async || {
        let answer = Wire::connect(node.address()).await.boot_as(cvm).await;
        last = answer.is_err().then(|| refusal(answer));
        last.clone().filter(|refused| refused.code == code)
    });
    found.await
}

/// Asks for keys until they are released.
pub async fn until_granted(node: &Node, cvm: &Cvm) -> GetAppKeysResponse {
    let end = Instant::now() + PATIENCE;
    loop {
        match Wire::connect(node.address()).await.boot_as(cvm).await {
            Ok(response) => return response,
            answer if Instant::now() >= end => return granted(answer),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
