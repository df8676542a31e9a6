//! The endpoints of Intel's PCS: parameters in, documents, headers and statuses out.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use kms_attestation::ids::Fmspc;

use super::{Endpoint, PccsState};
use crate::pki::{Authority, SignedDocument};
use crate::platform::{Platform, Update};

/// The header with the issuers of a PCK CRL.
const PCK_CRL_CHAIN: HeaderName = HeaderName::from_static("sgx-pck-crl-issuer-chain");
/// The header with the signer of TCB info.
const TCB_INFO_CHAIN: HeaderName = HeaderName::from_static("tcb-info-issuer-chain");
/// The header with the signer of the QE identity.
const QE_IDENTITY_CHAIN: HeaderName = HeaderName::from_static("sgx-enclave-identity-issuer-chain");
/// All headers with issuers.
pub(super) const CHAINS: [HeaderName; 3] = [PCK_CRL_CHAIN, TCB_INFO_CHAIN, QE_IDENTITY_CHAIN];

/// A status and what is wrong.
pub(super) struct Refusal(StatusCode, String);

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"))
    }
}

impl From<Refusal> for Response {
    fn from(Refusal(status, message): Refusal) -> Self {
        (status, message).into_response()
    }
}

fn bad_request(message: &str) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, message.to_owned())
}

type Parameters = Query<HashMap<String, String>>;

pub(super) async fn root_crl_der(State(state): State<Arc<PccsState>>, uri: Uri) -> Response {
    let make = |platform: &Platform| Ok(crl(platform.root_crl()?).into_response());
    state.answer(Endpoint::RootCrl, &uri, make).await
}

pub(super) async fn root_crl_hex(State(state): State<Arc<PccsState>>, uri: Uri) -> Response {
    let make = |platform: &Platform| Ok(hex::encode(platform.root_crl()?).into_response());
    state.answer(Endpoint::RootCrl, &uri, make).await
}

pub(super) async fn pck_crl(
    State(state): State<Arc<PccsState>>,
    uri: Uri,
    Query(parameters): Parameters,
) -> Response {
    let make = |platform: &Platform| {
        let ca = match parameters.get("ca").map(String::as_str) {
            Some("platform") => Authority::PlatformCa,
            Some("processor") => Authority::ProcessorCa,
            _ => return Err(bad_request("ca is platform or processor")),
        };
        let der = platform.pck_crl(ca)?;
        let chain = chain_header(PCK_CRL_CHAIN, &platform.pki().chain_pem(ca))?;
        Ok(match parameters.get("encoding").map(String::as_str) {
            Some("der") => (chain, crl(der)).into_response(),
            _ => (chain, hex::encode(der)).into_response(),
        })
    };
    state.answer(Endpoint::PckCrl, &uri, make).await
}

pub(super) async fn tcb_info(
    State(state): State<Arc<PccsState>>,
    uri: Uri,
    Query(parameters): Parameters,
) -> Response {
    let make = |platform: &Platform| {
        let fmspc = parameters.get("fmspc").and_then(|text| text.parse::<Fmspc>().ok());
        let fmspc = fmspc.ok_or_else(|| bad_request("fmspc is 6 bytes of hexadecimal"))?;
        let update = update(platform, &parameters)?;
        if platform.host_by_fmspc(fmspc).is_none() {
            return Err(Refusal(StatusCode::NOT_FOUND, format!("no platform has FMSPC {fmspc}")));
        }
        signed("tcbInfo", TCB_INFO_CHAIN, &platform.tcb_info(fmspc, update)?)
    };
    state.answer(Endpoint::TcbInfo, &uri, make).await
}

pub(super) async fn qe_identity(State(state): State<Arc<PccsState>>, uri: Uri) -> Response {
    let make = |platform: &Platform| signed("enclaveIdentity", QE_IDENTITY_CHAIN, &platform.qe_identity()?);
    state.answer(Endpoint::QeIdentity, &uri, make).await
}

/// Which TCB info is asked for, by name or by number.
fn update(platform: &Platform, parameters: &HashMap<String, String>) -> Result<Update, Refusal> {
    let name = parameters.get("update").map(String::as_str);
    let number = parameters.get("tcbEvaluationDataNumber");
    match (name, number) {
        (None | Some("standard"), None) => Ok(Update::Standard),
        (Some("early"), None) => Ok(Update::Early),
        (None, Some(number)) => {
            let number: u32 = number.parse().map_err(|_| bad_request("tcbEvaluationDataNumber"))?;
            numbered(platform, number)
        }
        (Some(_), Some(_)) => Err(bad_request("update or tcbEvaluationDataNumber, not both")),
        (Some(_), None) => Err(bad_request("update is early or standard")),
    }
}

fn numbered(platform: &Platform, number: u32) -> Result<Update, Refusal> {
    let info = &platform.collateral.tcb_info;
    if number == info.tcb_evaluation_data_number {
        Ok(Update::Standard)
    } else if number == info.early().tcb_evaluation_data_number {
        Ok(Update::Early)
    } else if number < info.tcb_evaluation_data_number {
        Err(Refusal(StatusCode::GONE, format!("evaluation {number} is no longer served")))
    } else {
        Err(Refusal(StatusCode::NOT_FOUND, format!("there is no evaluation {number}")))
    }
}

/// A CRL in DER with its media type.
fn crl(der: Vec<u8>) -> ([(HeaderName, &'static str); 1], Vec<u8>) {
    ([(CONTENT_TYPE, "application/pkix-crl")], der)
}

/// `{"<name>":<the document verbatim>,"signature":"<hex>"}`
fn signed(name: &str, header: HeaderName, document: &SignedDocument) -> Result<Response, Refusal> {
    let SignedDocument { json, signature, issuer_chain } = document;
    let body = format!(r#"{{"{name}":{json},"signature":"{}"}}"#, hex::encode(signature));
    let mut headers = chain_header(header, issuer_chain)?;
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok((headers, body).into_response())
}

/// PEM in a header: URL-encoded.
fn chain_header(name: HeaderName, chain: &str) -> Result<HeaderMap, Refusal> {
    let encoded = urlencoding::encode(chain);
    let value = HeaderValue::try_from(encoded.as_ref()).map_err(anyhow::Error::from)?;
    Ok(HeaderMap::from_iter([(name, value)]))
}
