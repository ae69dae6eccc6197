//! Intervals that hold the true value 95 times of 100.

use serde::Serialize;
use statrs::distribution::{ChiSquared, ContinuousCDF};

/// What 97.5 % of a standard normal distribution do not exceed.
const Z: f64 = 1.959_963_984_540_054;
/// The shares of a distribution below its two ends.
const TAILS: (f64, f64) = (0.025, 0.975);

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

/// Wilson's, for a share that was seen in `found` of `of`; everything from 0 to 1 if `of` is 0.
pub fn wilson(found: usize, of: usize) -> Interval {
    if of == 0 {
        return Interval {
            low: 0.0,
            high: 1.0,
        };
    }
    let (n, share) = (of as f64, found as f64 / of as f64);
    let scale = 1.0 + Z * Z / n;
    let middle = (share + Z * Z / (2.0 * n)) / scale;
    let half = Z / scale * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    Interval {
        low: (middle - half).max(0.0),
        high: (middle + half).min(1.0),
    }
}

/// The exact one for the mean of a Poisson distribution of which `count` was seen.
pub fn poisson(count: usize) -> Interval {
    Interval {
        // Of no degrees of freedom there is no distribution; the end is 0 then.
        low: match count {
            0 => 0.0,
            _ => half_quantile(2 * count, TAILS.0),
        },
        high: half_quantile(2 * (count + 1), TAILS.1),
    }
}

/// Half of what this share of a chi-squared distribution does not exceed.
fn half_quantile(freedom: usize, share: f64) -> f64 {
    // Only a freedom of 0 is refused.
    let distribution = ChiSquared::new(freedom as f64);
    distribution.map_or(0.0, |distribution| distribution.inverse_cdf(share)) / 2.0
}
