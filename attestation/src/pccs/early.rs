//! What Intel will demand next, in a type that can forecast and do nothing else.
//!
//! `update=early` answers are as genuine as others, so nothing but a type keeps them from deciding: the quote
//! verifier takes [`CheckedCollateral`], and this gives none away.

use std::sync::Arc;

use crate::collateral::{CheckedCollateral, CollateralDates};

/// Collateral of Intel's early set.
#[derive(Debug, Clone)]
pub struct EarlyCollateral(Arc<CheckedCollateral>);

impl EarlyCollateral {
    pub(super) fn new(collateral: Arc<CheckedCollateral>) -> Self {
        Self(collateral)
    }

    pub(super) fn collateral(&self) -> &CheckedCollateral {
        &self.0
    }

    /// The evaluation data number of its TCB info.
    #[must_use]
    pub fn tcb_info_number(&self) -> u32 {
        self.0.marks().tcb_info_number
    }

    /// When it was issued and when it ends.
    #[must_use]
    pub fn dates(&self) -> CollateralDates {
        self.0.dates()
    }
}
