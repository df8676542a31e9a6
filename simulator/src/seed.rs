//! Where the simulator's keys and identifiers come from: one secret, and a label for each thing derived from it.
//!
//! Seeds of tests are small numbers that anybody can guess. Nothing here protects anything.

use kms_attestation::hash::sha512;

/// What all keys and identifiers of a simulated platform are derived from.
#[derive(Debug, Clone)]
pub struct Seed([u8; 32]);

impl From<u64> for Seed {
    fn from(number: u64) -> Self {
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(number.to_le_bytes()).for_each(|(byte, value)| *byte = value);
        Self(bytes)
    }
}

impl Seed {
    /// A seed that nobody has seen before.
    pub fn random() -> anyhow::Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
        Ok(Self(bytes))
    }

    /// The seed of one part of what this seed stands for.
    #[must_use]
    pub fn child(&self, label: &str) -> Self {
        Self(self.bytes(label))
    }

    /// `N` bytes that depend on the seed and the label only.
    #[must_use]
    pub fn bytes<const N: usize>(&self, label: &str) -> [u8; N] {
        let mut out = [0; N];
        for (chunk, index) in out.chunks_mut(64).zip(0_u32..) {
            let block = sha512(&[b"kms-simulator\0", &self.0, &index.to_le_bytes(), label.as_bytes()]);
            chunk.iter_mut().zip(block).for_each(|(byte, value)| *byte = value);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes__should_depend_on_seed_and_label() {
        let seven = Seed::from(7).bytes::<100>("a");
        assert_eq!(seven, Seed::from(7).bytes("a"));
        assert_ne!(seven, Seed::from(8).bytes("a"));
        assert_ne!(seven, Seed::from(7).bytes("b"));
        assert_ne!(seven[..36], seven[64..]);
        assert_ne!(Seed::random().unwrap().bytes::<16>("a"), Seed::random().unwrap().bytes::<16>("a"));
    }
}
