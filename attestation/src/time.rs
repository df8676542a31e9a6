//! Dates as Intel writes them and people read them: RFC 3339 in UTC, to the second. Reads no clock.

use jiff::Timestamp;

/// Unix seconds of an RFC 3339 date, if it is one and not before 1970.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    text.parse::<Timestamp>().ok()?.as_second().try_into().ok()
}

/// The RFC 3339 form of Unix seconds, in UTC.
#[must_use]
pub fn rfc3339(seconds: u64) -> String {
    let date = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    date.map_or_else(|| format!("{seconds} s after 1970"), |date| date.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339__should_round_trip() {
        assert_eq!(rfc3339(1_751_624_191), "2025-07-04T10:16:31Z");
        assert_eq!(parse_rfc3339("2025-07-04T10:16:31Z"), Some(1_751_624_191));
        assert_eq!(parse_rfc3339("2025-07-04T12:16:31+02:00"), Some(1_751_624_191));
        assert_eq!(parse_rfc3339("1969-12-31T23:59:59Z"), None);
        assert_eq!(parse_rfc3339("soon"), None);
        assert_eq!(rfc3339(u64::MAX), "18446744073709551615 s after 1970");
    }
}
