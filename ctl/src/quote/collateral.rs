//! Where the collateral comes from: a file, or services that are asked in order.
//!
//! What a file holds can be refused. A service that has nothing to offer, or nothing that is valid, says nothing
//! about the quote: then there is no verdict at all.

use std::sync::Arc;

use kms_attestation::collateral::{CheckedCollateral, Collateral, CollateralMarks};
use kms_attestation::pccs::{
    Ask, CachePolicy, Clock, CollateralCache, CollateralClient, CollateralKey, CollateralUnavailable,
    ConfigError, EvaluationSet, FetchLimits, Fetched, Forecast, Source, SourceConfig, SourceKind,
};
use kms_attestation::quote::{Platform, Quote};
use kms_attestation::root::RootOfTrust;
use kms_attestation::tcb::PlatformSvns;
use kms_attestation::verify::Verifier;
use tokio::runtime::{Builder, Runtime};

use super::finding::Finding;
use super::inputs;
use crate::cli::{EvidenceArgs, NetworkArgs};
use crate::error::CtlError;
use crate::input;

/// Intel's own service, which has the root's revocation list elsewhere than a PCCS.
const INTEL_SERVICE: &str = "https://api.trustedservices.intel.com";

/// Where the collateral comes from.
pub(crate) enum CollateralSource {
    /// The JSON form, from a file.
    File(Vec<u8>),
    /// PCCSs or Intel's own service.
    Services(Box<Services>),
}

/// Services to ask, and what it takes to wait for them.
pub(crate) struct Services {
    client: CollateralClient,
    runtime: Runtime,
}

/// Collateral that can be judged by, and what is worth knowing of how it was come by.
pub(crate) struct Obtained {
    pub(crate) collateral: CheckedCollateral,
    /// What happened at services that had none, a line for each.
    pub(crate) remarks: Vec<String>,
}

impl CollateralSource {
    /// What the arguments name. Nothing is asked or checked yet.
    pub(crate) fn load(args: &EvidenceArgs) -> Result<Self, CtlError> {
        match &args.source.collateral {
            Some(path) => input::read(path).map(Self::File),
            None => Self::services(args, inputs::root(args)?),
        }
    }

    fn services(args: &EvidenceArgs, root: RootOfTrust) -> Result<Self, CtlError> {
        let sources = args.source.pccs.iter().map(|url| source(url, &args.network));
        let sources = sources.collect::<Result<_, _>>()?;
        let client = CollateralClient::new(Arc::new(root), sources, &[], FetchLimits::default())?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(CtlError::Runtime)?;
        Ok(Self::Services(Box::new(Services { client, runtime })))
    }

    /// The collateral for a platform. That of services is valid at `at` (Unix seconds); the dates in a file are judged with
    /// the quote, so that a refusal can show them.
    pub(crate) fn obtain(
        &self,
        verifier: &Verifier,
        platform: &Platform,
        at: u64,
    ) -> Result<Obtained, Finding> {
        match self {
            Self::File(json) => {
                let collateral =
                    CheckedCollateral::check_signatures(verifier.root(), Collateral::parse(json)?)?;
                Ok(Obtained { collateral, remarks: Vec::new() })
            }
            Self::Services(services) => Ok(services.fetch(platform, at)?.into()),
        }
    }
}

impl CollateralSource {
    /// What Intel will demand next of a platform, as services tell; a file tells nothing.
    pub(crate) fn forecast(
        self,
        quote: &Quote,
        enforced: &CheckedCollateral,
        at: u64,
    ) -> Option<Result<Forecast, CollateralUnavailable>> {
        match self {
            Self::File(_) => None,
            Self::Services(services) => Some(services.forecast(quote, enforced, at)),
        }
    }
}

impl Services {
    fn forecast(
        self,
        quote: &Quote,
        enforced: &CheckedCollateral,
        at: u64,
    ) -> Result<Forecast, CollateralUnavailable> {
        // Only a cache gives out early collateral, in a type that cannot decide.
        let cache =
            CollateralCache::open(self.client, CachePolicy::default(), None, Box::new(FixedClock(at)));
        let platform = quote.platform();
        let early = self.runtime.block_on(cache.early(platform.fmspc, platform.ca, at))?;
        Ok(early.forecast(enforced, &PlatformSvns::of(platform, quote.td())))
    }

    fn fetch(&self, platform: &Platform, at: u64) -> Result<Fetched, CollateralUnavailable> {
        let ask = Ask {
            key: CollateralKey { fmspc: platform.fmspc, ca: platform.ca },
            set: EvaluationSet::Standard,
            seen: CollateralMarks::default(),
            fresh_until: at,
        };
        self.runtime.block_on(self.client.fetch(&ask, &|| at))
    }
}

/// The time that a quote is judged at, in Unix seconds, which need not be now.
struct FixedClock(u64);

impl Clock for FixedClock {
    fn unix_seconds(&self) -> u64 {
        self.0
    }
}

impl From<Fetched> for Obtained {
    fn from(fetched: Fetched) -> Self {
        let remarks = fetched.attempts.iter().map(|attempt| format!("note: no collateral from {attempt}\n"));
        Self { remarks: remarks.collect(), collateral: fetched.collateral }
    }
}

fn source(url: &str, network: &NetworkArgs) -> Result<Source, ConfigError> {
    let kind = if url.starts_with(INTEL_SERVICE) { SourceKind::Intel } else { SourceKind::Pccs };
    let insecure_plain_http = network.insecure_plain_http;
    Source::http(&SourceConfig { kind, insecure_plain_http, ..SourceConfig::pccs(url) })
}
