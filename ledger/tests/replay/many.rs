//! A log of thousands of mixed decisions.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Mutex;

use kms_ledger::replay::{Indices, replay_all};

use crate::name;
use crate::support::Scene;

const ROUNDS: usize = 80;

#[test]
fn replay_all__should_give_thousands_of_mixed_decisions_again_on_any_number_of_threads() {
    let mut scene = Scene::new();
    for _ in 0..ROUNDS {
        scene.one_of_each();
    }
    let total = scene.records.len() as u64;
    for workers in [1, 4] {
        let seen = Mutex::new(BTreeMap::<u64, String>::new());
        let each = |index, replayed| {
            assert!(seen.lock().unwrap().insert(index, name(&replayed)).is_none());
        };
        let workers = NonZeroUsize::new(workers).unwrap();
        replay_all(&scene.replayer(), &scene, &Indices::Range(0..total), workers, &each);
        let seen = seen.into_inner().unwrap();
        assert_eq!(seen.len() as u64, total);
        for (index, found) in seen {
            let expected = crate::EXPECTED[usize::try_from(index).unwrap() % crate::EXPECTED.len()];
            assert_eq!(found, expected, "{index}");
        }
    }
    let seen = Mutex::new(Vec::new());
    let indices = Indices::List(vec![3, total]);
    replay_all(&scene.replayer(), &scene, &indices, NonZeroUsize::MIN, &|index, replayed| {
        seen.lock().unwrap().push((index, name(&replayed)));
    });
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen, [(3, "identical".to_owned()), (total, "replay-record-missing".to_owned())]);
}
