//! Private scalars of secp256k1 and P-256 from derived bytes: FIPS 186-5, A.2.1 ("extra random bits").
//!
//! `d = (c mod (n - 1)) + 1`, `c` the 48 derived bytes as a big-endian integer. 128 bits more than the order has: the
//! bias is below 2^-128, and no input is refused, so that a name always has a key. The reduction takes the same time
//! for every `c`.

use kms_client::secret::Secret;
use p256::elliptic_curve::bigint::{NonZero, U256, U384};
use zeroize::Zeroizing;

use super::error::KeyError;

/// The scalar, big endian, in `1..order`.
pub(super) fn reduce(wide: &Secret<48>, order: &U256) -> Result<Secret<32>, KeyError> {
    let failed = KeyError::derivation("scalar");
    let below: U384 = order.wrapping_sub(&U256::ONE).resize();
    let modulus = NonZero::new(below).into_option().ok_or(failed.clone())?;
    let c = Zeroizing::new(U384::from_be_slice(wide.expose()));
    let remainder = Zeroizing::new(c.rem(&modulus));
    let scalar: Zeroizing<U256> =
        Zeroizing::new(remainder.resize::<{ U256::LIMBS }>().wrapping_add(&U256::ONE));
    let bytes = Zeroizing::new(scalar.to_be_bytes());
    Secret::copy_of(bytes.as_slice()).ok_or(failed)
}

#[cfg(test)]
mod tests {
    use p256::NistP256;
    use p256::elliptic_curve::Curve;

    use super::*;

    fn order() -> U256 {
        *NistP256::ORDER.as_ref()
    }

    fn reduced(wide: [u8; 48]) -> U256 {
        U256::from_be_slice(reduce(&Secret::copy_of(&wide).unwrap(), &order()).unwrap().expose())
    }

    #[test]
    fn reduce__should_stay_in_range_at_the_edges() {
        let wide =
            |value: U256| U384::from_be_slice(&[&[0; 16][..], &value.to_be_bytes()].concat()).to_be_bytes();
        let top = order().wrapping_sub(&U256::ONE);
        assert_eq!(reduced([0; 48]), U256::ONE);
        assert_eq!(reduced(wide(top.wrapping_sub(&U256::ONE)).into()), top);
        assert_eq!(reduced(wide(top).into()), U256::ONE);
        assert!(reduced([0xFF; 48]) < order());
    }
}
