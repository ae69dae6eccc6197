//! Weights that go down from day to day, in whole numbers.

/// One, in fixed point.
pub(super) const FIXED: u64 = 1 << 16;

/// A factor by which weights go down from one day to the next, in 2⁻³²; it halves them in so many days.
pub(super) fn fading(half_life_days: f64) -> u64 {
    (0.5_f64.powf(1.0 / half_life_days) * 2_f64.powi(32)).round() as u64
}

/// The weight after so many days.
pub(super) fn faded(weight: u64, factor: u64, days: u32) -> u64 {
    // Powers of the factor by squaring: the same whole number whoever computes it.
    let (mut power, mut base, mut left) = (1_u64 << 32, factor, days);
    while left > 0 && power > 0 {
        if left % 2 == 1 {
            power = ((u128::from(power) * u128::from(base)) >> 32) as u64;
        }
        base = ((u128::from(base) * u128::from(base)) >> 32) as u64;
        left /= 2;
    }
    ((u128::from(weight) * u128::from(power)) >> 32) as u64
}

#[cfg(test)]
mod tests {
    use super::{FIXED, faded, fading};

    #[test]
    fn weights_halve_in_time() {
        let factor = fading(7.0);
        assert_eq!(faded(FIXED, factor, 0), FIXED);
        assert!(faded(FIXED, factor, 7).abs_diff(FIXED / 2) <= 1);
        assert!(faded(FIXED, factor, 14).abs_diff(FIXED / 4) <= 1);
        assert_eq!(faded(FIXED, factor, u32::MAX), 0);
    }
}
