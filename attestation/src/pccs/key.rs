//! What collateral is for: one kind of platform under one PCK CA. The key of cache, disk, pack and marks.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::collateral::{CheckedCollateral, PckCa};
use crate::deny::{DenyCode, DenyReason};
use crate::ids::Fmspc;

/// One kind of platform under one PCK CA. All platforms of that kind share its collateral.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollateralKey {
    /// The kind of platform.
    pub fmspc: Fmspc,
    /// The CA that issues its PCK certificates.
    pub ca: PckCa,
}

impl CollateralKey {
    /// What the given collateral is for.
    #[must_use]
    pub fn of(collateral: &CheckedCollateral) -> Self {
        Self { fmspc: collateral.fmspc(), ca: collateral.pck_ca() }
    }

    /// Refuses with `fmspc-mismatch` or `pck-crl-mismatch` collateral that is for something else.
    pub(super) fn check(self, collateral: &CheckedCollateral) -> Result<(), DenyReason> {
        let found = Self::of(collateral);
        if found.fmspc != self.fmspc {
            return Err(DenyReason::new(DenyCode::FmspcMismatch, found.fmspc, self.fmspc));
        }
        if found.ca != self.ca {
            return Err(DenyReason::new(DenyCode::PckCrlMismatch, found.ca.as_str(), self.ca.as_str()));
        }
        Ok(())
    }
}

impl fmt::Display for CollateralKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.fmspc, self.ca.as_str())
    }
}
