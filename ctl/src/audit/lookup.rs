//! What a code means and what fixes it, for every code that a record can hold: those of the node too, which this program
//! does not link. The table is the generated page `docs/deny-codes.md`, which a test keeps current.

const PAGE: &str = include_str!("../../../docs/deny-codes.md");

/// What a code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meaning {
    /// One sentence: what is wrong.
    pub(super) message: &'static str,
    /// One sentence: what a person can do about it.
    pub(super) fix: &'static str,
}

/// The meaning of a code, if this release knows it.
pub(super) fn meaning(code: &str) -> Option<Meaning> {
    PAGE.lines().find_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
        (cells.next()?.strip_suffix('`')? == code).then_some(())?;
        Some(Meaning { message: cells.next()?, fix: cells.next()? })
    })
}

#[cfg(test)]
mod tests {
    use kms_attestation::refusal::StableCode as _;

    use super::*;

    #[test]
    fn meaning__should_be_known_for_every_code_of_a_verdict_and_of_the_node() {
        for code in kms_verdict::Code::all() {
            let expected = Meaning { message: code.message(), fix: code.fix() };
            assert_eq!(meaning(code.as_str()), Some(expected), "{code}");
        }
        assert!(meaning("rate-limited").unwrap().fix.starts_with("Wait"));
        assert_eq!(meaning("code"), None);
        assert_eq!(meaning("nonsense"), None);
    }
}
