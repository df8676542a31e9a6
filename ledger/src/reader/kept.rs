//! Things that were read and checked, kept for those who ask again, up to a number of bytes.
//!
//! Begun anew when full: whoever reads from left to right needs what is near, and a log may name as much as it likes.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Things by name.
pub(super) struct Kept<K, V: ?Sized> {
    most: usize,
    things: Mutex<Things<K, V>>,
}

struct Things<K, V: ?Sized> {
    bytes: usize,
    by_name: HashMap<K, Arc<V>>,
}

impl<K: Hash + Eq, V: ?Sized> Kept<K, V> {
    /// At most so many bytes, and one thing more.
    pub(super) fn new(most: usize) -> Self {
        Self { most, things: Mutex::new(Things { bytes: 0, by_name: HashMap::new() }) }
    }

    /// What is kept under the name.
    pub(super) fn get(&self, name: &K) -> Option<Arc<V>> {
        self.lock().by_name.get(name).cloned()
    }

    /// Keeps a thing of so many bytes.
    pub(super) fn keep(&self, name: K, thing: &Arc<V>, bytes: usize) {
        let mut things = self.lock();
        if things.by_name.contains_key(&name) {
            return;
        }
        if things.bytes > self.most {
            things.by_name.clear();
            things.bytes = 0;
        }
        things.by_name.insert(name, Arc::clone(thing));
        things.bytes += bytes;
    }

    fn lock(&self) -> MutexGuard<'_, Things<K, V>> {
        self.things.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept__should_begin_anew_when_it_is_full() {
        let kept = Kept::<u8, [u8]>::new(10);
        let thing: Arc<[u8]> = vec![0; 6].into();
        for name in 0..2 {
            kept.keep(name, &thing, 6);
            kept.keep(name, &thing, 6);
        }
        assert!(kept.get(&0).is_some() && kept.get(&1).is_some());
        kept.keep(2, &thing, 6);
        assert!(kept.get(&0).is_none() && kept.get(&2).is_some());
    }
}
