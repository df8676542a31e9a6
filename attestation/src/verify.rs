//! From a quote and collateral to a verified quote, in two steps that the types keep apart.
//!
//! [`Verifier::authenticate`] establishes what is true: the quote is genuine, from this hardware, in this state.
//! [`AuthenticQuote::appraise`] decides whether policy accepts that state. Only a [`VerifiedQuote`] has passed
//! both, and there is no other way to make one.
//!
//! dcap-qvl is the authority on signatures, chains and TCB levels, on one code path for Intel's root and for a
//! configured one. Around it stand the checks that it leaves to its caller, and checks that name a fault in terms
//! that a person can act on. Whatever those let through and dcap-qvl refuses is refused. Nothing here reads a clock.

use std::sync::Arc;

use dcap_qvl::verify::QuoteVerifier;
use dcap_qvl::{QuoteClaims, QuotePolicy, TcbStatus};

use crate::collateral::{CheckedCollateral, Collateral, CollateralDates};
use crate::deny::{DenyCode, DenyReason};
use crate::hash::sha256;
use crate::ids::RootKeyId;
use crate::memo::{MemoisedConfig, scoped};
use crate::pki::PkiFault;
use crate::platforms::{PckChain, Platforms};
use crate::policy::Policy;
use crate::quote::{Platform, Quote, read_chain};
use crate::root::RootOfTrust;
use crate::tcb::{PlatformSvns, Shortfall, phrase};
use crate::td::TdReport;
use crate::time::rfc3339;

/// Verifies quotes against one root of trust. Remembers platforms that it has found genuine, so that what is the same in
/// each of their quotes is read and its signatures are verified once.
pub struct Verifier {
    root: RootOfTrust,
    qvl: QuoteVerifier<MemoisedConfig>,
    platforms: Platforms,
}

impl Verifier {
    /// A verifier that trusts the given root and no other.
    #[must_use]
    pub fn new(root: RootOfTrust) -> Self {
        let qvl = QuoteVerifier::new_with_config(root.der().to_vec());
        Self { qvl, root, platforms: Platforms::default() }
    }

    /// The root of trust.
    #[must_use]
    pub fn root(&self) -> &RootOfTrust {
        &self.root
    }

    /// Checks collateral once, so that it can serve for many quotes. See [`CheckedCollateral::check`].
    pub fn check_collateral(
        &self,
        collateral: Collateral,
        now: u64,
    ) -> Result<CheckedCollateral, DenyReason> {
        CheckedCollateral::check(&self.root, collateral, now)
    }

    /// Reads a quote as [`Quote::parse`] does. The certificates of a platform that was found genuine are not read again.
    pub fn parse(&self, quote: &[u8]) -> Result<Quote, DenyReason> {
        Quote::parse_with(quote, |pem| self.platforms.read(pem, || read_chain(pem)))
    }

    /// Establishes that the quote is genuine, and in what state its platform is at `now` (Unix seconds).
    ///
    /// With collateral that has been checked before, none of its signatures is verified again; nor, for a quote that
    /// [`Self::parse`] read, those of its platform that stood in an earlier genuine quote byte for byte. Dates, the
    /// signers' and the platform's validity and revocation, and the TCB levels are evaluated as for the first quote.
    ///
    /// Refused with one of the `td-*`, `pck-*`, `qe-*`, `collateral-*`, `tdx-module-*` codes, `quote-signature-invalid`,
    /// `fmspc-mismatch`, `pceid-mismatch`, `tcb-level-unknown`, `tcb-revoked` or `verifier-disagreement`.
    pub fn authenticate(
        &self,
        quote: &Quote,
        collateral: &CheckedCollateral,
        now: u64,
    ) -> Result<AuthenticQuote, DenyReason> {
        quote.td().check_production()?;
        let known = vec![Arc::clone(&collateral.memo), Arc::clone(&quote.known.signatures)];
        let (claims, learned) = scoped(known, || {
            collateral.check_time(&self.root, now)?;
            check_applies(quote, collateral)?;
            self.check_pck(quote, collateral, now)?;
            self.run_qvl(quote, collateral, now)
        });
        let authentic = AuthenticQuote::new(quote, collateral, &claims?)?;
        self.platforms.note(&quote.known, learned);
        Ok(authentic)
    }

    /// Checks the PCK certificate and its CA, with a reason for each way in which they can fail.
    fn check_pck(&self, quote: &Quote, collateral: &CheckedCollateral, now: u64) -> Result<(), DenyReason> {
        let PckChain { pck, pck_ca, .. } = &*quote.known.chain;
        let ca = pck_ca.check_issued_by(self.root.cert(), &collateral.root_crl, now);
        ca.map_err(|fault| pck_fault("PCK CA", DenyCode::PckCaRevoked, fault, now))?;
        let listed = &collateral.pck_ca;
        if pck_ca.public_key() != listed.public_key() {
            let found = format!("a list from {}", listed.x509().tbs_certificate().subject());
            return Err(DenyReason::quoting(DenyCode::PckCrlMismatch, &found, "one from the PCK's issuer"));
        }
        let pck = pck.check_issued_by(pck_ca, &collateral.pck_crl, now);
        pck.map_err(|fault| pck_fault("PCK certificate", DenyCode::PckRevoked, fault, now))
    }

    fn run_qvl(
        &self,
        quote: &Quote,
        collateral: &CheckedCollateral,
        now: u64,
    ) -> Result<QuoteClaims, DenyReason> {
        // What is acceptable is for `Policy` to say. The crate's own policy counts grace from a level's date, which
        // is years ago, and refuses all real servers for their platform flags.
        let policy = QuotePolicy::claims_only(now);
        let claims = self.qvl.verify_with_policy(quote.raw(), collateral.source().parts(), now, &policy);
        claims.map_err(|error| qvl_refusal(&format!("{error:#}"), quote, collateral))
    }
}

/// Checks that the collateral is about this platform.
fn check_applies(quote: &Quote, collateral: &CheckedCollateral) -> Result<(), DenyReason> {
    let platform = quote.platform();
    if platform.fmspc != collateral.fmspc() {
        let found = format!("collateral for {}", collateral.fmspc());
        return Err(DenyReason::new(DenyCode::FmspcMismatch, found, platform.fmspc));
    }
    let pce_id = hex::encode(platform.pce_id);
    if !collateral.tcb_info.pce_id.eq_ignore_ascii_case(&pce_id) {
        let found = format!("collateral for {}", collateral.tcb_info.pce_id);
        return Err(DenyReason::quoting(DenyCode::PceIdMismatch, &found, pce_id));
    }
    Ok(())
}

fn pck_fault(name: &str, revoked: DenyCode, fault: PkiFault, now: u64) -> DenyReason {
    let at = rfc3339(now);
    let deny = |code, found: String, expected: String| DenyReason::new(code, found, expected);
    match fault {
        PkiFault::Revoked => deny(revoked, format!("a revoked {name}"), "one that is not revoked".into()),
        PkiFault::Expired { until } => deny(
            DenyCode::PckExpired,
            format!("{name} valid until {}", rfc3339(until)),
            format!("valid at {at}"),
        ),
        PkiFault::NotYetValid { from } => deny(
            DenyCode::PckNotYetValid,
            format!("{name} valid from {}", rfc3339(from)),
            format!("valid at {at}"),
        ),
        PkiFault::Malformed => deny(
            DenyCode::PckChainMalformed,
            format!("{name} that cannot be read"),
            "P-256 with SHA-256".into(),
        ),
        PkiFault::WrongIssuer | PkiFault::NotCa | PkiFault::BadSignature => {
            let expected = "one that leads to the root of trust".into();
            deny(DenyCode::PckChainUntrusted, format!("{name} of another issuer"), expected)
        }
    }
}

/// The refusals of dcap-qvl 0.7.1 that no check before it names. Its errors are text; a test pins each row.
const QVL_REFUSALS: &[(&str, DenyCode, &str)] = &[
    ("Signature is invalid for qe_report", DenyCode::QeReportSignature, "the PCK's signature"),
    ("QE report hash mismatch", DenyCode::QeReportBinding, "the attestation key's hash in the QE report"),
    ("QE MRSIGNER mismatch", DenyCode::QeIdentityMismatch, "Intel's QE signer"),
    ("QE ISVPRODID mismatch", DenyCode::QeIdentityMismatch, "the TD quoting enclave's product id"),
    ("QE MISCSELECT mismatch", DenyCode::QeIdentityMismatch, "the TD quoting enclave's MISCSELECT"),
    ("QE ATTRIBUTES mismatch", DenyCode::QeIdentityMismatch, "the TD quoting enclave's attributes"),
    ("QE report validation failed", DenyCode::QeIdentityMismatch, "a production enclave"),
    ("QE ISVSVN", DenyCode::QeTcbUnknown, "a level of the QE identity"),
    ("ISV enclave report signature is invalid", DenyCode::QuoteSignature, "the attestation key's signature"),
    ("TDX module MRSIGNER mismatch", DenyCode::TdxModuleMismatch, "the signer in the TCB info"),
    ("TDX module SEAMATTRIBUTES", DenyCode::TdxModuleMismatch, "the attributes in the TCB info"),
    ("No TDX module identity", DenyCode::TdxModuleUnknown, "a module version in the TCB info"),
    ("TDX module ISVSVN", DenyCode::TdxModuleUnknown, "a module level in the TCB info"),
    ("TCB status is invalid: Revoked", DenyCode::TcbRevoked, "a TCB level that is not revoked"),
];

fn qvl_refusal(text: &str, quote: &Quote, collateral: &CheckedCollateral) -> DenyReason {
    if text.contains("No matching TCB level found") {
        let missing = PlatformSvns::of(quote.platform(), quote.td()).shortfalls(&collateral.tcb_info);
        return DenyReason::new(
            DenyCode::TcbUnknown,
            phrase(&missing),
            "at least the lowest level of the TCB info",
        );
    }
    let row = QVL_REFUSALS.iter().find(|(needle, ..)| text.contains(needle));
    let (_, code, expected) =
        row.copied().unwrap_or(("", DenyCode::VerifierDisagreement, "agreement of both verifiers"));
    DenyReason::quoting(code, text, expected)
}

/// A platform's state by Intel's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcbStanding {
    /// The status of platform, TDX module and quoting enclave together.
    pub status: TcbStatus,
    /// The quoting enclave's own status: a QE that needs configuration leaves `status` as it is.
    pub qe_status: TcbStatus,
    /// The advisories that apply, of any part.
    pub advisory_ids: Vec<String>,
    /// The date of the matched TCB level, RFC 3339: not the date when it ceased to be current.
    pub tcb_date: String,
    /// What the platform lacks to be up to date, where it is not.
    pub shortfalls: Vec<Shortfall>,
}

/// A genuine quote: signed by real hardware whose state is known. Whether that state is acceptable is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthenticQuote {
    version: u16,
    td: TdReport,
    platform: Platform,
    tcb: TcbStanding,
    collateral: CollateralDates,
    root_key_id: RootKeyId,
    tcb_key: PlatformTcbKey,
}

/// One piece of hardware at one set of security version numbers: what grace is counted for. The same hardware
/// brought back to older firmware has another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlatformTcbKey(pub [u8; 32]);

impl AuthenticQuote {
    fn new(quote: &Quote, collateral: &CheckedCollateral, claims: &QuoteClaims) -> Result<Self, DenyReason> {
        let platform = quote.platform().clone();
        let dates = collateral.dates();
        let pck = &claims.platform.pck;
        let agree = pck.ppid == platform.ppid.0
            && pck.fmspc == platform.fmspc.0
            && pck.cpu_svn == platform.cpu_svn
            && claims.tcb.eval_data_number == dates.evaluation_number
            && TdReport::read(&claims.report).as_ref() == Some(quote.td());
        let root_key_id = RootKeyId::try_from(&claims.platform.root_key_id[..]).ok().filter(|_| agree);
        let Some(root_key_id) = root_key_id else {
            let found = "claims that differ from the quote";
            return Err(DenyReason::new(
                DenyCode::VerifierDisagreement,
                found,
                "agreement of both verifiers",
            ));
        };
        let tcb = standing(quote, collateral, claims);
        let tcb_key = tcb_key(quote, claims.qe.report.isv_svn);
        Ok(Self {
            version: quote.version(),
            td: quote.td().clone(),
            platform,
            tcb,
            collateral: dates,
            root_key_id,
            tcb_key,
        })
    }

    /// The quote's version: 4 or 5.
    #[must_use]
    pub fn version(&self) -> u16 {
        self.version
    }

    /// What the TDX module reported of the TD.
    #[must_use]
    pub fn td(&self) -> &TdReport {
        &self.td
    }

    /// The hardware.
    #[must_use]
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// The hardware's state.
    #[must_use]
    pub fn tcb(&self) -> &TcbStanding {
        &self.tcb
    }

    /// When the collateral was issued and ends.
    #[must_use]
    pub fn collateral(&self) -> CollateralDates {
        self.collateral
    }

    /// The root of trust that vouches for all this.
    #[must_use]
    pub fn root_key_id(&self) -> RootKeyId {
        self.root_key_id
    }

    /// The key under which to remember when this platform fell out of date.
    #[must_use]
    pub fn tcb_key(&self) -> PlatformTcbKey {
        self.tcb_key
    }

    /// Accepts the platform, or refuses it with the first of [`Self::findings`].
    pub fn appraise(
        self,
        policy: &Policy,
        now: u64,
        out_of_date_since: Option<u64>,
    ) -> Result<VerifiedQuote, DenyReason> {
        match self.findings(policy, now, out_of_date_since).into_iter().next() {
            None => Ok(VerifiedQuote(self)),
            Some(reason) => Err(reason),
        }
    }

    /// Everything about the platform that policy does not accept; empty means accepted.
    ///
    /// `now` is in Unix seconds, as is `out_of_date_since`: when this verifier first saw the platform out of date
    /// after it had seen it up to date, or none if it never did.
    #[must_use]
    pub fn findings(&self, policy: &Policy, now: u64, out_of_date_since: Option<u64>) -> Vec<DenyReason> {
        let checks = [
            self.check_fmspc(policy),
            self.check_age(policy, now),
            self.check_evaluation_number(policy),
            self.check_status(policy, now, out_of_date_since),
            self.check_advisories(policy),
        ];
        checks.into_iter().filter_map(Result::err).collect()
    }

    fn check_fmspc(&self, policy: &Policy) -> Result<(), DenyReason> {
        let fmspc = self.platform.fmspc;
        if policy.allows_fmspc(&fmspc) {
            return Ok(());
        }
        Err(DenyReason::new(DenyCode::FmspcNotAllowed, fmspc, "an FMSPC of allowed_fmspcs"))
    }

    fn check_age(&self, policy: &Policy, now: u64) -> Result<(), DenyReason> {
        let dates = self.collateral;
        for (name, issued, limit) in [
            ("collateral", dates.issued, policy.max_collateral_age_secs),
            ("root CRL", dates.root_crl_issued, policy.max_root_crl_age_secs),
        ] {
            if now.saturating_sub(issued) > limit {
                let found = format!("{name} issued at {}", rfc3339(issued));
                let expected = format!("{} or later", rfc3339(now.saturating_sub(limit)));
                return Err(DenyReason::new(DenyCode::CollateralStale, found, expected));
            }
        }
        Ok(())
    }

    fn check_evaluation_number(&self, policy: &Policy) -> Result<(), DenyReason> {
        let (found, least) = (self.collateral.evaluation_number, policy.min_evaluation_number);
        if found >= least {
            return Ok(());
        }
        Err(DenyReason::new(DenyCode::EvaluationNumber, found, format_args!("at least {least}")))
    }

    fn check_status(&self, policy: &Policy, now: u64, since: Option<u64>) -> Result<(), DenyReason> {
        for (status, code) in
            [(self.tcb.qe_status, DenyCode::QeTcbNotAccepted), (self.tcb.status, DenyCode::TcbNotAccepted)]
        {
            if !policy.accepts(status) {
                self.check_grace(policy, now, since, status, code)?;
            }
        }
        Ok(())
    }

    /// Grace is for platforms that fell out of date by the passing of time, and for nothing else.
    fn check_grace(
        &self,
        policy: &Policy,
        now: u64,
        since: Option<u64>,
        status: TcbStatus,
        code: DenyCode,
    ) -> Result<(), DenyReason> {
        let fell = matches!(status, TcbStatus::OutOfDate | TcbStatus::TDRelaunchAdvised);
        match since.filter(|since| fell && policy.grace_secs > 0 && *since <= now) {
            Some(since) if now - since <= policy.grace_secs => Ok(()),
            Some(since) => {
                let found = format!("{status} since {}", rfc3339(since));
                let expected = format!("at most {} s ago", policy.grace_secs);
                Err(DenyReason::new(DenyCode::TcbGraceExpired, found, expected))
            }
            None => {
                let why = phrase(&self.tcb.shortfalls);
                let found = if why.is_empty() { status.to_string() } else { format!("{status}: {why}") };
                let accepted: Vec<_> = policy.accepted_tcb_statuses.iter().map(ToString::to_string).collect();
                Err(DenyReason::new(code, found, accepted.join(" or ")))
            }
        }
    }

    fn check_advisories(&self, policy: &Policy) -> Result<(), DenyReason> {
        let Some(denied) = policy.denied_advisory(&self.tcb.advisory_ids) else { return Ok(()) };
        Err(DenyReason::quoting(DenyCode::AdvisoryDenied, denied, "no advisory of denied_advisories"))
    }
}

fn standing(quote: &Quote, collateral: &CheckedCollateral, claims: &QuoteClaims) -> TcbStanding {
    let mut advisory_ids = claims.tcb.advisory_ids.clone();
    // A TD that was launched before a module update has advisories of its launch and of its present state.
    let current = claims.platform.current_tcb_level.iter().flat_map(|level| &level.advisory_ids);
    for id in current {
        if !advisory_ids.contains(id) {
            advisory_ids.push(id.clone());
        }
    }
    let up_to_date = claims.tcb.status == TcbStatus::UpToDate;
    let svns = PlatformSvns::of(quote.platform(), quote.td());
    TcbStanding {
        status: claims.tcb.status,
        qe_status: claims.qe.tcb_level.tcb_status,
        advisory_ids,
        tcb_date: claims.platform.tcb_level.tcb_date.clone(),
        shortfalls: if up_to_date { Vec::new() } else { svns.shortfalls(&collateral.tcb_info) },
    }
}

fn tcb_key(quote: &Quote, qe_isv_svn: u16) -> PlatformTcbKey {
    let platform = quote.platform();
    let td = quote.td();
    PlatformTcbKey(sha256(&[
        b"onchain-kms/platform-tcb/v1",
        &platform.ppid.0,
        &platform.cpu_svn,
        &platform.pce_svn.to_be_bytes(),
        &td.tee_tcb_svn,
        &td.tee_tcb_svn2.unwrap_or(td.tee_tcb_svn),
        &qe_isv_svn.to_be_bytes(),
    ]))
}

/// A genuine quote of a platform that policy accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedQuote(AuthenticQuote);

impl std::ops::Deref for VerifiedQuote {
    type Target = AuthenticQuote;

    fn deref(&self) -> &AuthenticQuote {
        &self.0
    }
}
