//! What `kms-node config check` prints: what counts, where it was given, what is insecure and what is wider than by default.
//!
//! Written for a person and for a diff: one line a setting, always in the same order. Holds no credential, because the
//! settings hold none.

use std::fmt::Write;

use super::Config;
use super::origin::Origin;
use super::reader::Setting;

/// The report on a configuration without faults; [`ConfigErrors`](super::ConfigErrors) prints those of another.
#[must_use]
pub fn check_report(config: &Config) -> String {
    let mut report = String::from("the configuration has no fault\n");
    // Writing to a String cannot fail.
    let _ = writeln!(report, "policy digest   {}", config.policy_digest());
    let _ = writeln!(report, "insecure        {}", listed(&config.insecure_settings()));
    let _ = writeln!(report, "widened         {}", listed(&config.widened_settings()));
    report.push('\n');
    let width = config.settings().iter().map(|setting| setting.key.len()).max().unwrap_or_default();
    for Setting { key, shown, origin } in config.settings() {
        let shown = shown.as_deref().unwrap_or("-");
        let origin = match origin {
            Origin::NotGiven => "default".to_owned(),
            given => given.to_string(),
        };
        let _ = writeln!(report, "{key:width$}   {shown}   ({origin})");
    }
    report
}

fn listed(keys: &[&str]) -> String {
    if keys.is_empty() { "nothing".to_owned() } else { keys.join(", ") }
}
