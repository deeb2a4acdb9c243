//! A secret in parts, of which some are enough: Shamir's scheme over the field of 256 elements that AES uses.
//!
//! Source: A. Shamir, "How to share a secret", 1979; the layout of a part, its values and then its place, is that
//! of HashiCorp Vault `shamir`, which SOPS took over.

use zeroize::Zeroizing;

use super::{Fault, Step};

/// The secret of parts that are enough.
pub(super) fn combine(parts: &[Zeroizing<Vec<u8>>]) -> Step<Zeroizing<Vec<u8>>> {
    let refused = |why: &str| Fault::invalid(format!("cannot get sops data key: {why}"));
    let length = parts.first().map_or(0, |part| part.len());
    if parts.len() < 2 || length < 2 || parts.iter().any(|part| part.len() != length) {
        return Err(refused("its parts do not fit together"));
    }
    let places: Vec<u8> = parts.iter().map(|part| part[length - 1]).collect();
    let distinct = places.iter().enumerate().all(|(at, place)| !places[..at].contains(place));
    if !distinct || places.contains(&0) {
        return Err(refused("two of its parts are one"));
    }
    // The value at 0 of the polynomial through all points.
    let weights: Vec<u8> = places.iter().map(|place| weight(*place, &places)).collect();
    let secret = (0..length - 1).map(|at| {
        parts.iter().zip(&weights).fold(0, |sum, (part, weight)| sum ^ times(part[at], *weight))
    });
    Ok(Zeroizing::new(secret.collect()))
}

/// What the point at `place` counts: the product of `other / (other - place)` over all others.
fn weight(place: u8, places: &[u8]) -> u8 {
    let others = places.iter().filter(|other| **other != place);
    others.fold(1, |product, other| times(product, times(*other, inverse(*other ^ place))))
}

/// Multiplies modulo x⁸ + x⁴ + x³ + x + 1, in a time that does not depend on the factors.
fn times(a: u8, b: u8) -> u8 {
    (0..8).rev().fold(0u8, |sum, bit| {
        let doubled = (sum << 1) ^ ((sum >> 7).wrapping_neg() & 0x1b);
        doubled ^ ((b >> bit & 1).wrapping_neg() & a)
    })
}

/// The 254th power, for there are 255 elements that are not 0.
fn inverse(a: u8) -> u8 {
    (0..6).fold(times(a, a), |power, _| {
        let next = times(power, a);
        times(next, next)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_but_zero_has_an_inverse() {
        assert!((1..=255).all(|a| times(a, inverse(a)) == 1));
    }

    #[test]
    fn any_two_of_three_parts_give_the_secret() {
        let secret = b"a secret";
        let part = |place: u8| {
            let values = secret.iter().enumerate().map(|(at, s)| {
                let slope = u8::try_from(at * 31 + 7).expect("small");
                s ^ times(slope, place)
            });
            Zeroizing::new(values.chain([place]).collect::<Vec<_>>())
        };
        for (one, other) in [(1, 2), (3, 1), (2, 3)] {
            let found = combine(&[part(one), part(other)]).ok().expect("enough parts");
            assert_eq!(&**found, secret);
        }
        assert!(combine(&[part(1), part(1)]).is_err());
        assert!(combine(&[part(1)]).is_err());
    }
}
