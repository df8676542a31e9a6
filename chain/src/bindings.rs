//! The contracts' interfaces, generated from the committed artifacts: calls, events, bytecode.
//!
//! The artifacts are what `contracts/` compiles to, and the interface is that of the deployed dstack contracts, so the same
//! bindings read deployments of others. Generated code only: nothing here decides or fetches. What a decision calls, and
//! the strict reading of what comes back, stands in `abi`.

/// `DstackKms`: what governance allows to nodes, and which applications there are.
#[allow(missing_docs, unreachable_pub, clippy::pedantic, clippy::too_many_arguments)]
pub mod kms {
    alloy::sol!(
        #[sol(all_derives = true)]
        DstackKms,
        "../contracts/artifacts/DstackKms.json"
    );
}

/// `DstackApp`: what one application's owner allows.
#[allow(missing_docs, unreachable_pub, clippy::pedantic, clippy::too_many_arguments)]
pub mod app {
    alloy::sol!(DstackApp, "../contracts/artifacts/DstackApp.json");
}

/// `ERC1967Proxy` of OpenZeppelin: what stands at a contract's address.
#[allow(missing_docs, unreachable_pub, clippy::pedantic, clippy::too_many_arguments)]
pub mod proxy {
    alloy::sol!(ERC1967Proxy, "../contracts/artifacts/ERC1967Proxy.json");
}

/// `TimelockController` of OpenZeppelin: an owner that waits before it acts.
#[allow(missing_docs, unreachable_pub, clippy::pedantic, clippy::too_many_arguments)]
pub mod timelock {
    alloy::sol!(TimelockController, "../contracts/artifacts/TimelockController.json");
}

pub use app::DstackApp;
pub use kms::DstackKms;
pub use proxy::ERC1967Proxy;
pub use timelock::TimelockController;
