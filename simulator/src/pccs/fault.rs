//! What goes wrong at a PCCS, in what it says or in how it says it.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, LOCATION};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use kms_attestation::ids::Fmspc;
use serde::{Deserialize, Serialize};

use super::body::Pieces;
use super::{Endpoint, collateral};
use crate::pki::{Authority, DAY};
use crate::platform::Platform;

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// TCB info, QE identity and PCK CRL ended a month ago.
    Expired,
    /// They begin tomorrow.
    Future,
    /// The PCK certificates of all hosts are revoked.
    RevokedPck,
    /// The certificates of the PCK CAs are revoked.
    RevokedPckCa,
    /// The TCB signer's certificate is revoked.
    RevokedTcbSigner,
    /// A TCB recovery has happened: what was required early is required now, and all hosts are out of date.
    OutOfDate,
    /// TCB info is about another FMSPC than was asked for.
    WrongFmspc,
    /// Collateral of three weeks ago, still current, of an earlier evaluation.
    RolledBack,
    /// Answers come late.
    Slow {
        /// By so many milliseconds.
        delay_ms: u64,
    },
    /// Answers have a status and no document.
    Status {
        /// The status, for instance 500.
        code: u16,
    },
    /// Answers are `200` with so much of nothing, in chunks without a stated length.
    HugeBody {
        /// In units of 2^20 bytes.
        megabytes: u32,
    },
    /// Answers are `200` with bytes that are no document.
    Garbage,
    /// Answers end before the length that they state.
    Truncated,
    /// Answers lack the certificates of the issuer.
    MissingHeader,
    /// The connection closes without an answer.
    ConnectionClosed,
    /// Answers point elsewhere.
    Redirect {
        /// Where.
        location: String,
    },
    /// Answers point to themselves.
    RedirectLoop,
}

/// A fault, where, and about which platforms.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FaultPlan {
    /// What goes wrong.
    #[serde(flatten)]
    pub fault: Fault,
    /// At which endpoint alone; by default at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Endpoint>,
    /// In what is said of one kind of platform alone, its TCB info; by default in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fmspc: Option<Fmspc>,
}

impl From<Fault> for FaultPlan {
    fn from(fault: Fault) -> Self {
        Self { fault, ..Self::default() }
    }
}

impl FaultPlan {
    /// That fault at one endpoint.
    #[must_use]
    pub fn only(endpoint: Endpoint, fault: Fault) -> Self {
        Self { fault, only: Some(endpoint), ..Self::default() }
    }

    /// That fault in what is said of one kind of platform.
    #[must_use]
    pub fn of(fmspc: Fmspc, fault: Fault) -> Self {
        Self { fault, fmspc: Some(fmspc), ..Self::default() }
    }

    /// What goes wrong with an answer, which is about one kind of platform or about all.
    pub(super) fn fault_at(&self, endpoint: Endpoint, fmspc: Option<Fmspc>) -> Fault {
        let here = self.only.is_none_or(|only| only == endpoint);
        let about = self.fmspc.is_none_or(|only| Some(only) == fmspc);
        if here && about { self.fault.clone() } else { Fault::None }
    }
}

impl Fault {
    /// Changes what is said. Faults of how it is said change nothing.
    pub(super) fn apply(&self, platform: &mut Platform, now: u64) -> anyhow::Result<()> {
        match self {
            Self::Expired => platform.reissue_collateral(now.saturating_sub(60 * DAY)),
            Self::Future => platform.reissue_collateral(now.saturating_add(DAY)),
            Self::RevokedPck => {
                (0..platform.hosts().len()).try_for_each(|host| platform.revoke_pck(host))?;
            }
            Self::RevokedPckCa => {
                platform.revoke_authority(Authority::PlatformCa);
                platform.revoke_authority(Authority::ProcessorCa);
            }
            Self::RevokedTcbSigner => platform.revoke_tcb_signer(),
            Self::OutOfDate => {
                platform.collateral.tcb_info = platform.collateral.tcb_info.early();
                platform.collateral.qe_identity = platform.collateral.qe_identity.early();
            }
            Self::WrongFmspc => platform.collateral.tcb_info.fmspc = Some(Fmspc([0xff; 6])),
            Self::RolledBack => {
                platform.reissue_collateral(now.saturating_sub(21 * DAY));
                let collateral = &mut platform.collateral;
                for number in [
                    &mut collateral.tcb_info.tcb_evaluation_data_number,
                    &mut collateral.qe_identity.tcb_evaluation_data_number,
                ] {
                    *number = number.saturating_sub(1);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What is answered instead of a document, if anything. Waits where answers come late.
    pub(super) async fn instead(&self, uri: &Uri) -> Option<Response> {
        match self {
            Self::Slow { delay_ms } => {
                tokio::time::sleep(Duration::from_millis(*delay_ms)).await;
                None
            }
            Self::Status { code } => {
                let status = StatusCode::from_u16(*code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                Some((status, "simulated fault").into_response())
            }
            Self::HugeBody { megabytes } => Some(Body::new(Pieces::zeros(*megabytes)).into_response()),
            Self::Garbage => Some("\u{1}not a document at all\u{7f}".into_response()),
            Self::ConnectionClosed => Some(Body::new(Pieces::broken(Vec::new())).into_response()),
            Self::Redirect { location } => Some(redirect(location)),
            Self::RedirectLoop => Some(redirect(&uri.to_string())),
            _ => None,
        }
    }

    /// Spoils an answer on its way out.
    pub(super) async fn spoil(&self, mut response: Response) -> Response {
        match self {
            Self::MissingHeader => {
                for header in &collateral::CHAINS {
                    response.headers_mut().remove(header);
                }
                response
            }
            Self::Truncated => truncate(response).await,
            _ => response,
        }
    }
}

fn redirect(location: &str) -> Response {
    (StatusCode::FOUND, [(LOCATION, location)]).into_response()
}

/// States the whole length, and sends half.
async fn truncate(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(mut body) = axum::body::to_bytes(body, usize::MAX).await.map(|bytes| bytes.to_vec()) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    parts.headers.insert(CONTENT_LENGTH, body.len().into());
    body.truncate(body.len() / 2);
    Response::from_parts(parts, Body::new(Pieces::broken(body)))
}
