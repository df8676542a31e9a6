//! What Intel would say about the simulated platforms: TCB info, QE identity and revocation lists.
//!
//! A [`CollateralSpec`] is what is said, in plain fields with healthy defaults: a test changes the one field that
//! is its fault. [`crate::platform::Platform`] signs it. The documents have the field order and spelling of the
//! genuine ones, since what is signed is their exact bytes.

mod json;
mod qe_identity;
mod tcb_info;

pub(crate) use self::qe_identity::{QE_ISVPRODID, QE_MRSIGNER};
pub use self::qe_identity::{QeIdentitySpec, QeTcb, QeTcbLevel};
pub use self::tcb_info::{
    ModuleTcb, ModuleTcbLevel, Tcb, TcbInfoSpec, TcbLevel, TdxModule, TdxModuleIdentity,
};
use crate::pki::{CrlSpec, DAY, Pki, SignerSpec};

/// Seconds in an hour.
const HOUR: u64 = 3600;
/// How long TCB info, QE identity and PCK CRLs are current.
const MONTH: u64 = 30 * DAY;

/// Everything that the simulated Intel says.
#[derive(Debug, Clone)]
pub struct CollateralSpec {
    /// The TCB levels of the platforms.
    pub tcb_info: TcbInfoSpec,
    /// Who signs the TCB info.
    pub tcb_info_signer: SignerSpec,
    /// What a quoting enclave must be.
    pub qe_identity: QeIdentitySpec,
    /// Who signs the QE identity.
    pub qe_identity_signer: SignerSpec,
    /// Which authorities and TCB signers are revoked.
    pub root_crl: CrlSpec,
    /// Which PCK certificates are revoked, of either PCK CA.
    pub pck_crl: CrlSpec,
}

impl CollateralSpec {
    /// Collateral under which healthy platforms are `UpToDate`, issued hours before `now` (Unix seconds).
    #[must_use]
    pub(crate) fn healthy(pki: &Pki, now: u64) -> Self {
        let issued = now.saturating_sub(HOUR);
        let crl = |this_update: u64, validity| CrlSpec {
            this_update,
            next_update: this_update.saturating_add(validity),
            number: 1,
            revoked: Vec::new(),
            issuer: None,
        };
        Self {
            tcb_info: TcbInfoSpec::healthy(issued),
            tcb_info_signer: pki.healthy_signer(),
            qe_identity: QeIdentitySpec::healthy(issued),
            qe_identity_signer: pki.healthy_signer(),
            root_crl: crl(now.saturating_sub(3 * MONTH), 12 * MONTH),
            pck_crl: crl(issued, MONTH),
        }
    }

    /// Issues the same statements again at another time (Unix seconds): only dates change.
    pub(crate) fn reissue(&mut self, pki: &Pki, now: u64) {
        let fresh = Self::healthy(pki, now);
        self.tcb_info.issue_date = fresh.tcb_info.issue_date;
        self.tcb_info.next_update = fresh.tcb_info.next_update;
        self.qe_identity.issue_date = fresh.qe_identity.issue_date;
        self.qe_identity.next_update = fresh.qe_identity.next_update;
        self.root_crl.this_update = fresh.root_crl.this_update;
        self.root_crl.next_update = fresh.root_crl.next_update;
        self.pck_crl.this_update = fresh.pck_crl.this_update;
        self.pck_crl.next_update = fresh.pck_crl.next_update;
    }
}
