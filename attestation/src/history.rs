//! When each platform fell out of date, as far as this verifier saw it itself.
//!
//! A grace period must not be counted from dates in the collateral: a TCB level's date is years before it is
//! superseded. Nor may a platform that was out of date when it first appeared get any grace, or each new node would
//! grant it anew. So grace belongs to a platform that was seen up to date, with the very same security version
//! numbers, before it was seen out of date.
//!
//! This is memory, without I/O: its owner stores it, and an auditor is given the answer with the decision.

use std::collections::BTreeMap;

use dcap_qvl::TcbStatus;
use serde::{Deserialize, Serialize};

use crate::verify::{AuthenticQuote, PlatformTcbKey};

/// The largest number of platforms that are remembered. The one seen longest ago is forgotten first, which can only
/// take grace away.
pub const MAX_REMEMBERED_PLATFORMS: usize = 100_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    last: u64,
    out_of_date_since: Option<u64>,
}

/// What was seen of platforms that were up to date at least once.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TcbHistory {
    #[serde(with = "as_pairs")]
    platforms: BTreeMap<PlatformTcbKey, Seen>,
}

impl TcbHistory {
    /// Takes note of a genuine quote, and answers since when (Unix seconds) its platform is known to have been out of
    /// date: none if it is up to date, or was never seen up to date.
    pub fn observe(&mut self, quote: &AuthenticQuote, now: u64) -> Option<u64> {
        let up_to_date =
            quote.tcb().status == TcbStatus::UpToDate && quote.tcb().qe_status == TcbStatus::UpToDate;
        if up_to_date {
            self.platforms.insert(quote.tcb_key(), Seen { last: now, out_of_date_since: None });
            self.forget_oldest();
            return None;
        }
        let seen = self.platforms.get_mut(&quote.tcb_key())?;
        seen.last = seen.last.max(now);
        Some(*seen.out_of_date_since.get_or_insert(now))
    }

    /// The number of platforms that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.platforms.len()
    }

    /// Whether none is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.platforms.is_empty()
    }

    fn forget_oldest(&mut self) {
        if self.platforms.len() > MAX_REMEMBERED_PLATFORMS {
            let oldest = self.platforms.iter().min_by_key(|(_, seen)| seen.last).map(|(key, _)| *key);
            oldest.map(|key| self.platforms.remove(&key));
        }
    }
}

/// JSON object keys are text; the map is written as pairs of hexadecimal key and value.
mod as_pairs {
    use serde::{Deserializer, Serializer, de};

    use super::{BTreeMap, Deserialize, PlatformTcbKey, Seen};

    pub(super) fn serialize<S: Serializer>(
        map: &BTreeMap<PlatformTcbKey, Seen>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(map.iter().map(|(key, seen)| (hex::encode(key.0), seen)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<PlatformTcbKey, Seen>, D::Error> {
        let text = BTreeMap::<String, Seen>::deserialize(deserializer)?;
        let parse = |key: &str| {
            let mut bytes = [0; 32];
            hex::decode_to_slice(key, &mut bytes).map(|()| PlatformTcbKey(bytes)).map_err(de::Error::custom)
        };
        text.into_iter().map(|(key, seen)| Ok((parse(&key)?, seen))).collect()
    }
}
