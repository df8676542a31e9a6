//! Intel's PCS v4 interface: what is asked for, and how answers are read. No network, clock or disk here.
//!
//! ```text
//! PCK CRL      GET {base}/sgx/certification/v4/pckcrl?ca={platform|processor}&encoding=der
//!              -> DER (a PCCS may send it in hexadecimal)    SGX-PCK-CRL-Issuer-Chain
//! TCB info     GET {base}/tdx/certification/v4/tcb?fmspc={hex}&{update=..|tcbEvaluationDataNumber=n}
//!              -> {"tcbInfo":{..},"signature":"<hex>"}       TCB-Info-Issuer-Chain
//! QE identity  GET {base}/tdx/certification/v4/qe/identity?{update=..|tcbEvaluationDataNumber=n}
//!              -> {"enclaveIdentity":{..},"signature":"<hex>"}  SGX-Enclave-Identity-Issuer-Chain
//! root CRL     GET {base}/sgx/certification/v4/rootcacrl     (a PCCS: hexadecimal, or DER)
//!              or the root certificate's CRL distribution point (Intel: DER)
//! ```
//!
//! Issuer chains are URL-encoded PEM in the named header. The signatures are over the very bytes of `tcbInfo` and
//! `enclaveIdentity`, so these are cut out of the answer and never written anew.
//!
//! All bytes here come from a PCCS, which is hostile: [`assemble`] takes any bytes and is what a fuzzer calls.
//! It reads the form alone; what the bytes say is for [`CheckedCollateral`].

use std::fmt;

use dcap_qvl::QuoteCollateralV3;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::fault::Fault;
use crate::collateral::{CheckedCollateral, Collateral, PckCa};
use crate::ids::Fmspc;

/// Which of Intel's published requirements are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum EvaluationSet {
    /// Those that Intel enforces now.
    #[default]
    Standard,
    /// The newest ones that Intel has published: those that it will enforce later.
    Early,
    /// Those of the given TCB evaluation data number. Intel's own service has the current ones of the last years.
    Number(u32),
}

impl EvaluationSet {
    fn query(self) -> String {
        match self {
            Self::Standard => "update=standard".to_owned(),
            Self::Early => "update=early".to_owned(),
            Self::Number(number) => format!("tcbEvaluationDataNumber={number}"),
        }
    }

    /// Refuses an answer that is not the one asked for, where that can be told.
    pub(super) fn check(self, collateral: &CheckedCollateral) -> Result<(), Fault> {
        let Self::Number(asked) = self else { return Ok(()) };
        let marks = collateral.marks();
        match [marks.tcb_info_number, marks.qe_identity_number].into_iter().find(|found| *found != asked) {
            Some(found) => Err(Fault::OtherEvaluationNumber { found, asked }),
            None => Ok(()),
        }
    }
}

/// One of the four requests that collateral takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// The revocation list of a PCK CA.
    PckCrl,
    /// What Intel demands of a kind of platform.
    TcbInfo,
    /// What Intel demands of the TD quoting enclave.
    QeIdentity,
    /// The revocation list of the root.
    RootCrl,
}

impl Endpoint {
    /// The endpoint as people call it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PckCrl => "PCK CRL",
            Self::TcbInfo => "TCB info",
            Self::QeIdentity => "QE identity",
            Self::RootCrl => "root CRL",
        }
    }

    /// The largest body that is read, in bytes. Genuine TCB info has 3-6 KiB, lists have 1-7 KiB, in hexadecimal
    /// twice that. All four together stay below what [`Collateral::parse`] reads back.
    #[must_use]
    pub const fn max_bytes(self) -> usize {
        match self {
            Self::PckCrl => 256 * 1024,
            Self::TcbInfo => 192 * 1024,
            Self::QeIdentity | Self::RootCrl => 32 * 1024,
        }
    }

    /// The headers that may carry the issuer chain, the one of the v4 interface first.
    #[must_use]
    pub const fn chain_headers(self) -> &'static [&'static str] {
        match self {
            Self::PckCrl => &["SGX-PCK-CRL-Issuer-Chain"],
            Self::TcbInfo => &["TCB-Info-Issuer-Chain", "SGX-TCB-Info-Issuer-Chain"],
            Self::QeIdentity => &["SGX-Enclave-Identity-Issuer-Chain"],
            Self::RootCrl => &[],
        }
    }

    /// Path and query below a PCCS's base URL.
    pub(super) fn path(self, fmspc: Fmspc, ca: PckCa, set: EvaluationSet) -> String {
        match self {
            Self::PckCrl => format!("/sgx/certification/v4/pckcrl?ca={}&encoding=der", ca.as_str()),
            Self::TcbInfo => {
                // A PCCS looks up the FMSPC as text, in upper case; Intel takes either.
                let fmspc = hex::encode_upper(fmspc.as_bytes());
                format!("/tdx/certification/v4/tcb?fmspc={fmspc}&{}", set.query())
            }
            Self::QeIdentity => format!("/tdx/certification/v4/qe/identity?{}", set.query()),
            Self::RootCrl => "/sgx/certification/v4/rootcacrl".to_owned(),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An answer with status 200, as it came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// The value of the first of the endpoint's chain headers that was there.
    pub issuer_chain: Option<Vec<u8>>,
    /// The body.
    pub body: Vec<u8>,
}

/// The four answers of one source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answers {
    /// The answer for [`Endpoint::PckCrl`].
    pub pck_crl: Answer,
    /// The answer for [`Endpoint::TcbInfo`].
    pub tcb_info: Answer,
    /// The answer for [`Endpoint::QeIdentity`].
    pub qe_identity: Answer,
    /// The answer for [`Endpoint::RootCrl`].
    pub root_crl: Answer,
}

/// Collateral from the answers of one source, unchecked.
///
/// Fails with `MissingHeader`, `TooLarge` or `Malformed` at the given endpoint.
pub fn assemble(answers: &Answers) -> Result<Collateral, (Endpoint, Fault)> {
    let (pck_crl_issuer_chain, pck_crl) = read(Endpoint::PckCrl, &answers.pck_crl, list)?;
    let (tcb_info_issuer_chain, (tcb_info, tcb_info_signature)) =
        read(Endpoint::TcbInfo, &answers.tcb_info, signed)?;
    let (qe_identity_issuer_chain, (qe_identity, qe_identity_signature)) =
        read(Endpoint::QeIdentity, &answers.qe_identity, signed)?;
    let (_, root_ca_crl) = read(Endpoint::RootCrl, &answers.root_crl, list)?;
    Ok(Collateral::new(QuoteCollateralV3 {
        pck_crl_issuer_chain,
        root_ca_crl,
        pck_crl,
        tcb_info_issuer_chain,
        tcb_info,
        tcb_info_signature,
        qe_identity_issuer_chain,
        qe_identity,
        qe_identity_signature,
        pck_certificate_chain: None,
    }))
}

/// The issuer chain (empty where the endpoint has none) and the content of an answer.
fn read<T>(
    endpoint: Endpoint,
    answer: &Answer,
    content: impl FnOnce(&[u8]) -> Result<T, Fault>,
) -> Result<(String, T), (Endpoint, Fault)> {
    let read = || {
        if answer.body.len() > endpoint.max_bytes() {
            return Err(Fault::TooLarge(endpoint.max_bytes()));
        }
        let chain = match (endpoint.chain_headers(), &answer.issuer_chain) {
            ([], _) => String::new(),
            ([name, ..], None) => return Err(Fault::MissingHeader(name)),
            (_, Some(value)) => issuer_chain(value)?,
        };
        Ok((chain, content(&answer.body)?))
    };
    read().map_err(|fault| (endpoint, fault))
}

/// A revocation list in DER, or in the hexadecimal that a PCCS sends.
fn list(body: &[u8]) -> Result<Vec<u8>, Fault> {
    // DER begins with 0x30, its hexadecimal form with "30", that is 0x33.
    if body.first() == Some(&0x30) {
        return Ok(body.to_vec());
    }
    let der = hex::decode(body.trim_ascii()).ok().filter(|der| !der.is_empty());
    der.ok_or(Fault::Malformed("neither DER nor hexadecimal"))
}

/// A signed JSON document as it was served, and the raw `r || s` over its bytes.
#[derive(Deserialize)]
struct Signed<'a> {
    /// Which of the two it is shows in the document itself, and is checked with it.
    #[serde(borrow, rename = "tcbInfo", alias = "enclaveIdentity")]
    document: &'a RawValue,
    signature: &'a str,
}

fn signed(body: &[u8]) -> Result<(String, Vec<u8>), Fault> {
    let Signed { document, signature } = serde_json::from_slice(body)
        .map_err(|_| Fault::Malformed("not the JSON of a signed document and its signature"))?;
    let signature = hex::decode(signature).map_err(|_| Fault::Malformed("a signature not in hexadecimal"))?;
    Ok((document.get().to_owned(), signature))
}

/// The PEM in a header. `+` stands for itself: it occurs in Base64, and this is no form.
fn issuer_chain(value: &[u8]) -> Result<String, Fault> {
    const MALFORMED: Fault = Fault::Malformed("an issuer chain that is not URL-encoded PEM");
    let mut text = Vec::with_capacity(value.len());
    let mut rest = value.iter();
    while let Some(byte) = rest.next() {
        let decoded = match byte {
            b'%' => hex_digit(rest.next())
                .zip(hex_digit(rest.next()))
                .map(|(high, low)| high << 4 | low)
                .ok_or(MALFORMED)?,
            other => *other,
        };
        text.push(decoded);
    }
    String::from_utf8(text).ok().filter(|text| text.is_ascii()).ok_or(MALFORMED)
}

fn hex_digit(byte: Option<&u8>) -> Option<u8> {
    char::from(*byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
pub(super) mod tests_support {
    //! Collateral of the right form, for the tests of those who only carry it.

    use super::{Answer, Answers, Collateral, assemble};

    pub(crate) fn answers() -> Answers {
        let answer = |body: &str| Answer { issuer_chain: Some(b"-%2D%0A+".to_vec()), body: body.into() };
        Answers {
            pck_crl: answer("0\u{1}"),
            tcb_info: answer(
                "{\"tcbInfo\": {\"a\" : 1.0e2, \"a\":\t2 } ,\"signature\":\"00ff\",\"more\":[]}",
            ),
            qe_identity: answer(r#"{"signature":"01","enclaveIdentity":[ ]}"#),
            root_crl: Answer { issuer_chain: None, body: b" 3001\n".to_vec() },
        }
    }

    pub(crate) fn collateral() -> Collateral {
        assemble(&answers()).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::tests_support::answers;
    use super::*;

    #[test]
    fn assemble__should_keep_the_signed_bytes_as_they_were_served() {
        let collateral = assemble(&answers()).unwrap();
        let parts = collateral.parts();
        assert_eq!(parts.tcb_info, "{\"a\" : 1.0e2, \"a\":\t2 }");
        assert_eq!(parts.tcb_info_signature, [0x00, 0xff]);
        assert_eq!(parts.qe_identity, "[ ]");
        assert_eq!(parts.tcb_info_issuer_chain, "--\n+");
        assert_eq!(parts.pck_crl, [0x30, 1]);
        assert_eq!(parts.root_ca_crl, [0x30, 1]);
    }

    #[test]
    fn assemble__should_name_the_endpoint_and_what_is_wrong_with_it() {
        let with = |change: fn(&mut Answers)| {
            let mut answers = answers();
            change(&mut answers);
            assemble(&answers).unwrap_err()
        };
        let missing = Fault::MissingHeader("TCB-Info-Issuer-Chain");
        assert_eq!(with(|a| a.tcb_info.issuer_chain = None), (Endpoint::TcbInfo, missing));
        let too_large = Fault::TooLarge(Endpoint::QeIdentity.max_bytes());
        assert_eq!(with(|a| a.qe_identity.body = vec![0; 40_000]), (Endpoint::QeIdentity, too_large));
        for (endpoint, fault) in [
            with(|a| a.pck_crl.issuer_chain = Some(b"%2".to_vec())),
            with(|a| a.pck_crl.issuer_chain = Some(b"%f0".to_vec())),
            with(|a| a.pck_crl.issuer_chain = Some(b"%+1".to_vec())),
            with(|a| a.pck_crl.body = b"<html>".to_vec()),
        ] {
            assert_eq!((endpoint, fault.code()), (Endpoint::PckCrl, "malformed"));
        }
        for body in ["", "{}", r#"{"tcbInfo":{}}"#, r#"{"tcbInfo":{},"signature":"zz"}"#, "\u{0}"] {
            let mut answers = answers();
            answers.tcb_info.body = body.into();
            let (endpoint, fault) = assemble(&answers).unwrap_err();
            assert_eq!((endpoint, fault.code()), (Endpoint::TcbInfo, "malformed"), "{body}");
        }
    }

    #[test]
    fn path__should_be_that_of_the_v4_interface() {
        let path =
            |endpoint: Endpoint, set| endpoint.path(Fmspc([0xb0, 0xc0, 0x6f, 0, 0, 0]), PckCa::Platform, set);
        assert_eq!(
            path(Endpoint::TcbInfo, EvaluationSet::Early),
            "/tdx/certification/v4/tcb?fmspc=B0C06F000000&update=early"
        );
        assert_eq!(
            path(Endpoint::QeIdentity, EvaluationSet::Number(19)),
            "/tdx/certification/v4/qe/identity?tcbEvaluationDataNumber=19"
        );
        assert_eq!(
            path(Endpoint::PckCrl, EvaluationSet::Standard),
            "/sgx/certification/v4/pckcrl?ca=platform&encoding=der"
        );
    }

    fn any_answer() -> impl Strategy<Value = Answer> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..64);
        (proptest::option::of(bytes()), bytes())
            .prop_map(|(issuer_chain, body)| Answer { issuer_chain, body })
    }

    proptest! {
        #[test]
        fn assemble__should_not_panic_on_any_bytes(
            pck_crl in any_answer(), tcb_info in any_answer(), qe_identity in any_answer(), root_crl in any_answer(),
        ) {
            let _ = assemble(&Answers { pck_crl, tcb_info, qe_identity, root_crl });
        }
    }
}
