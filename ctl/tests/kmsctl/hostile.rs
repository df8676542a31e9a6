//! Hostile files: whatever they hold, the process ends with a verdict, and never with an acceptance that is not due.

use kms_simulator::quote::QuoteSpec;
use proptest::prelude::*;

use crate::run::{Run, kmsctl};
use crate::simulated::Evidence;

fn assert_refused(run: &Run) -> Result<(), TestCaseError> {
    prop_assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    prop_assert_eq!(run.code, 10, "{}{}", run.stdout, run.stderr);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes__should_be_refused_as_quote_collateral_and_event_log(
        file in prop::sample::select(vec!["quote.bin", "collateral.json", "log.json"]),
        content in prop::collection::vec(any::<u8>(), 0..2048),
    ) {
        let evidence = Evidence::booted();
        evidence.write(file, &content);
        assert_refused(&evidence.verify())?;
        let explanation = evidence.explain();
        prop_assert!(explanation.stdout.is_ascii(), "{}", explanation.stdout);
        assert_refused(&explanation)?;
    }

    #[test]
    fn any_changed_byte__should_be_refused_or_change_nothing(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let evidence = Evidence::of_spec(&QuoteSpec::default());
        let expected = evidence.verify().stdout;
        let mut quote = evidence.read("quote.bin");
        *at.get_mut(&mut quote) ^= 1 << bit;
        evidence.write("quote.bin", &quote);
        let run = evidence.verify();
        prop_assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
        // White space of the PEM text is not signed; all that is printed is.
        prop_assert!(run.code == 10 || (run.code == 0 && run.stdout == expected), "{}", run.stdout);
    }

    #[test]
    fn any_bytes__should_leave_device_id_and_compose_hash_standing(
        content in prop::collection::vec(any::<u8>(), 0..512),
    ) {
        let evidence = Evidence::of_spec(&QuoteSpec::default());
        let file = evidence.write("file", &content);
        assert_refused(&kmsctl(["device", "id", "--quote", &file]))?;
        prop_assert_eq!(kmsctl(["compose", "hash", &file]).code, 0);
    }
}
