//! Key bytes in memory: a type that cannot be printed, copied by accident, or left behind.
//!
//! [`Secret`] has neither `Debug` nor `Clone` nor `PartialEq` nor any form of serialisation, and is wiped when dropped.
//! The bytes stay where they were put, on the heap: moving the value moves a pointer and leaves no copy on the stack.
//! Used by the node for everything that it derives, and by the guest for everything that it is given.
//!
//! Threat: a secret in a log, an error, a core file or freed memory. The wiping is best effort, as everywhere: what a
//! caller copies out is the caller's to wipe.

use zeroize::Zeroize;

/// `N` secret bytes.
pub struct Secret<const N: usize>(Box<[u8; N]>);

impl<const N: usize> Secret<N> {
    /// Fills new secret bytes in place; the function sees zeros.
    ///
    /// Errors are the function's own.
    pub fn try_fill<E>(fill: impl FnOnce(&mut [u8; N]) -> Result<(), E>) -> Result<Self, E> {
        let mut secret = Self(Box::new([0; N]));
        fill(&mut secret.0)?;
        Ok(secret)
    }

    /// Random bytes from the operating system.
    ///
    /// Errors when it has none to give; there is no other source to fall back on.
    pub fn random() -> Result<Self, getrandom::Error> {
        Self::try_fill(|bytes| getrandom::fill(bytes))
    }

    /// A copy of the bytes; the caller wipes the original. None if there are not exactly `N`.
    #[must_use]
    pub fn copy_of(bytes: &[u8]) -> Option<Self> {
        let same_length = |out: &mut [u8; N]| {
            if out.len() != bytes.len() {
                return Err(());
            }
            out.copy_from_slice(bytes);
            Ok(())
        };
        Self::try_fill(same_length).ok()
    }

    /// The bytes. Every call is a place where a secret may leave: keep them few.
    #[must_use]
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> Drop for Secret<N> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<const N: usize> zeroize::ZeroizeOnDrop for Secret<N> {}

#[cfg(test)]
mod tests {
    use static_assertions::{assert_impl_all, assert_not_impl_any};

    use super::*;

    assert_not_impl_any!(Secret<32>: std::fmt::Debug, std::fmt::Display, Clone, PartialEq, serde::Serialize, AsRef<[u8]>);
    assert_impl_all!(Secret<32>: Send, Sync, zeroize::ZeroizeOnDrop);

    #[test]
    fn copy_of__should_refuse_another_length() {
        assert!(Secret::<4>::copy_of(&[1; 3]).is_none() && Secret::<4>::copy_of(&[1; 5]).is_none());
        assert_eq!(Secret::<4>::copy_of(&[1, 2, 3, 4]).unwrap().expose(), &[1, 2, 3, 4]);
    }

    #[test]
    fn random__should_not_repeat() {
        assert_ne!(Secret::<32>::random().unwrap().expose(), Secret::<32>::random().unwrap().expose());
    }
}
