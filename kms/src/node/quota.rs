//! How often an app and a device may have keys. Counted only once both are proven: nobody can use up another's share.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter};
use kms_attestation::ids::{AppId, DeviceId};

use crate::refusal::{NodeCode, Refused};

/// How many keys are remembered before those that are whole again are forgotten. Each takes some 60 bytes.
const FORGET_ABOVE: usize = 10_000;

/// Releases in a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleaseLimits {
    /// Of one app.
    pub per_app: NonZeroU32,
    /// On one device.
    pub per_device: NonZeroU32,
}

/// A share of so many in a minute for each key. Their number is bounded: those whose share is whole again are forgotten.
pub(crate) struct Shares<K: Hash + Eq + Clone>(DefaultKeyedRateLimiter<K>);

impl<K: Hash + Eq + Clone> Shares<K> {
    pub(crate) fn per_minute(share: NonZeroU32) -> Self {
        Self(RateLimiter::keyed(Quota::per_minute(share)))
    }

    /// Takes one; or says when there will be one.
    pub(crate) fn take(&self, key: &K) -> Result<(), NotUntil<<DefaultClock as Clock>::Instant>> {
        if self.0.len() > FORGET_ABOVE {
            self.0.retain_recent();
        }
        self.0.check_key(key)
    }
}

/// The shares that are left.
pub(crate) struct Quotas {
    clock: DefaultClock,
    apps: Shares<AppId>,
    devices: Shares<DeviceId>,
}

/// A refusal, and after which time it would be none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limited {
    pub(crate) refused: Refused,
    pub(crate) retry_after: Duration,
}

impl Quotas {
    pub(crate) fn new(limits: ReleaseLimits) -> Self {
        Self {
            clock: DefaultClock::default(),
            apps: Shares::per_minute(limits.per_app),
            devices: Shares::per_minute(limits.per_device),
        }
    }

    /// Takes one from both shares. Refused with `rate-limited`.
    pub(crate) fn take(&self, app: AppId, device: DeviceId) -> Result<(), Limited> {
        self.take_from(&self.apps, &app, "app")?;
        self.take_from(&self.devices, &device, "device")
    }

    fn take_from<K: Hash + Eq + Clone>(
        &self,
        shares: &Shares<K>,
        key: &K,
        whose: &str,
    ) -> Result<(), Limited> {
        shares.take(key).map_err(|until| {
            let retry_after = until.wait_time_from(self.clock.now());
            let found = format!("no share of this {whose} left for {} ms", retry_after.as_millis());
            let refused = Refused::new(NodeCode::RateLimited.into(), found, "a share that is left");
            Limited { refused, retry_after }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn take__should_limit_an_app_and_a_device_each_by_itself() {
        let three = NonZeroU32::new(3).unwrap();
        let quotas = Quotas::new(ReleaseLimits { per_app: three, per_device: three });
        let (app, device) = (|n| AppId([n; 20]), |n| DeviceId([n; 32]));
        for n in 0..3 {
            quotas.take(app(1), device(n)).unwrap();
        }
        let limited = quotas.take(app(1), device(9)).unwrap_err();
        assert!(limited.refused.found.contains("app") && limited.retry_after <= Duration::from_secs(20));
        for n in 2..4 {
            quotas.take(app(n), device(0)).unwrap();
        }
        assert!(quotas.take(app(4), device(0)).unwrap_err().refused.found.contains("device"));
        assert!(quotas.take(app(5), device(5)).is_ok());
    }
}
