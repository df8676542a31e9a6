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

fn refuse(status: StatusCode, message: &str) -> Refusal {
    Refusal(status, message.to_owned())
}

fn bad_request(message: &str) -> Refusal {
    refuse(StatusCode::BAD_REQUEST, message)
}

type Parameters = Query<HashMap<String, String>>;

pub(super) async fn root_crl_der(State(state): State<Arc<PccsState>>, uri: Uri) -> Response {
    let make = |platform: &Platform| Ok(crl(platform.root_crl()?).into_response());
    state.answer(Endpoint::RootCrl, None, &uri, make).await
}

pub(super) async fn root_crl_hex(State(state): State<Arc<PccsState>>, uri: Uri) -> Response {
    let make = |platform: &Platform| Ok(hex::encode(platform.root_crl()?).into_response());
    state.answer(Endpoint::RootCrl, None, &uri, make).await
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
    state.answer(Endpoint::PckCrl, None, &uri, make).await
}

pub(super) async fn tcb_info(
    State(state): State<Arc<PccsState>>,
    uri: Uri,
    Query(parameters): Parameters,
) -> Response {
    let fmspc = parameters.get("fmspc").and_then(|text| text.parse::<Fmspc>().ok());
    let make = |platform: &Platform| {
        let fmspc = fmspc.ok_or_else(|| bad_request("fmspc is 6 bytes of hexadecimal"))?;
        let update = update(&parameters, platform.collateral.tcb_info.tcb_evaluation_data_number)?;
        if platform.host_by_fmspc(fmspc).is_none() {
            return Err(refuse(StatusCode::NOT_FOUND, "no platform has this FMSPC"));
        }
        signed("tcbInfo", TCB_INFO_CHAIN, &platform.tcb_info(fmspc, update)?)
    };
    state.answer(Endpoint::TcbInfo, fmspc, &uri, make).await
}

pub(super) async fn qe_identity(
    State(state): State<Arc<PccsState>>,
    uri: Uri,
    Query(parameters): Parameters,
) -> Response {
    let make = |platform: &Platform| {
        let number = platform.collateral.qe_identity.tcb_evaluation_data_number;
        let document = platform.qe_identity(update(&parameters, number)?)?;
        signed("enclaveIdentity", QE_IDENTITY_CHAIN, &document)
    };
    state.answer(Endpoint::QeIdentity, None, &uri, make).await
}

/// Which requirements are asked for, by name or by number, where the standard ones have that number.
fn update(parameters: &HashMap<String, String>, standard: u32) -> Result<Update, Refusal> {
    let name = parameters.get("update").map(String::as_str);
    let number = parameters.get("tcbEvaluationDataNumber");
    match (name, number) {
        (None | Some("standard"), None) => Ok(Update::Standard),
        (Some("early"), None) => Ok(Update::Early),
        (None, Some(number)) => match number.parse::<u32>() {
            Ok(number) if number == standard => Ok(Update::Standard),
            Ok(number) if number == standard.saturating_add(1) => Ok(Update::Early),
            Ok(number) if number < standard => Err(refuse(StatusCode::GONE, "no longer served")),
            Ok(_) => Err(refuse(StatusCode::NOT_FOUND, "not published yet")),
            Err(_) => Err(bad_request("tcbEvaluationDataNumber is a number")),
        },
        (Some(_), Some(_)) => Err(bad_request("update or tcbEvaluationDataNumber, not both")),
        (Some(_), None) => Err(bad_request("update is early or standard")),
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
