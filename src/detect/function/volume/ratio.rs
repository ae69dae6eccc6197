//! How an hour's count compares with its person's usual one: everybody's ratios as a histogram, and the
//! chance of one so large.

use serde::{Deserialize, Serialize};

use super::weight::faded;

/// Bins of a decade, equal on the scale of logarithms.
const PER_DECADE: f64 = 40.0;
/// The smallest ratio that has a bin of its own, as a power of ten.
const LOWEST: f64 = -3.0;
/// Eight decades.
const BINS: usize = 320;
/// The weight of one hour that was seen just now.
const ONE: u64 = 1024;
/// Beyond this share of all hours the histogram is too thin, and a Pareto tail takes over.
const TAIL: f64 = 0.02;
/// A tail is no heavier and no lighter than these exponents say.
const EXPONENTS: (f64, f64) = (1.0, 12.0);

fn bin(ratio: f64) -> usize {
    let place = ((ratio.max(1e-9).log10() - LOWEST) * PER_DECADE).floor();
    place.clamp(0.0, (BINS - 1) as f64) as usize
}

/// The ratio at which a bin begins.
fn edge(bin: usize) -> f64 {
    10_f64.powf(bin as f64 / PER_DECADE + LOWEST)
}

/// How often each ratio was seen; what is older weighs less.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Histogram(Vec<u64>);

impl Histogram {
    /// Counts an hour.
    pub fn see(&mut self, ratio: f64) {
        if self.0.is_empty() {
            self.0 = vec![0; BINS];
        }
        self.0[bin(ratio)] += ONE;
    }

    /// Adds what another saw.
    pub fn add(&mut self, other: &Self) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
            return;
        }
        for (mine, its) in self.0.iter_mut().zip(&other.0) {
            *mine += its;
        }
    }

    /// Lets everything weigh less, by a factor below 2³².
    pub fn fade(&mut self, factor: u64) {
        for weight in &mut self.0 {
            *weight = faded(*weight, factor, 1);
        }
    }

    /// How many hours it holds, by their weight.
    pub fn hours(&self) -> f64 {
        self.0.iter().sum::<u64>() as f64 / ONE as f64
    }
}

/// The chance of a ratio, read off a histogram.
#[derive(Clone, Debug)]
pub(super) struct Chances {
    /// By bin, the share of hours in it and above; and a last one that is nothing.
    above: Vec<f64>,
    /// From this ratio on the tail holds, in which so many hours lie.
    start: f64,
    share: f64,
    /// Of the tail: a ratio twice as large is `2^exponent` times as rare.
    exponent: f64,
}

impl Chances {
    /// `None` for an empty histogram.
    pub fn of(histogram: &Histogram) -> Option<Self> {
        let total = histogram.0.iter().sum::<u64>() as f64;
        if total <= 0.0 {
            return None;
        }
        let mut above = vec![0.0; BINS + 1];
        for bin in (0..BINS).rev() {
            above[bin] = above[bin + 1] + histogram.0[bin] as f64 / total;
        }
        let first = (0..BINS).find(|bin| above[*bin] <= TAIL && above[*bin] > 0.0);
        let last = (0..BINS).rev().find(|bin| above[*bin] > 0.0);
        let start = first.or(last)?;
        // Hill's estimator (1975), each hour at the middle of its bin.
        let begin = edge(start);
        let excess = |bin: usize| {
            let middle = (bin as f64 + 0.5) / PER_DECADE + LOWEST;
            (middle * std::f64::consts::LN_10 - begin.ln()) * (above[bin] - above[bin + 1])
        };
        let mean = (start..BINS).map(excess).sum::<f64>() / above[start];
        Some(Self {
            start: begin,
            share: above[start],
            exponent: (1.0 / mean).clamp(EXPONENTS.0, EXPONENTS.1),
            above,
        })
    }

    /// The chance that an active hour has at least this ratio.
    pub fn of_at_least(&self, ratio: f64) -> f64 {
        if ratio < self.start {
            self.above[bin(ratio)]
        } else {
            self.share * (ratio / self.start).powf(-self.exponent)
        }
    }

    /// The ratio that such a share of active hours exceeds.
    pub fn quantile(&self, exceeded_by: f64) -> f64 {
        if exceeded_by < self.share {
            return self.start * (self.share / exceeded_by).powf(1.0 / self.exponent);
        }
        let bin = (0..BINS).rev().find(|bin| self.above[*bin] > exceeded_by);
        bin.map_or(0.0, |bin| edge(bin + 1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Chances, Histogram};

    #[test]
    fn a_pareto_law_is_found_again() {
        // P(ratio >= r) = r^-3, by its quantiles.
        let mut histogram = Histogram::default();
        let hours = 20_000;
        for hour in 0..hours {
            histogram.see(((f64::from(hour) + 0.5) / f64::from(hours)).powf(-1.0 / 3.0));
        }
        let chances = Chances::of(&histogram).unwrap();
        for ratio in [1.5_f64, 3.0, 6.0, 20.0] {
            let (found, wanted) = (chances.of_at_least(ratio), ratio.powi(-3));
            assert!(
                (0.8..1.25).contains(&(found / wanted)),
                "{ratio}: {found} for {wanted}"
            );
        }
        assert!((chances.quantile(0.5) / 2_f64.powf(1.0 / 3.0) - 1.0).abs() < 0.1);
        assert!((histogram.hours() - f64::from(hours)).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn more_is_never_likelier(seen in prop::collection::vec(0.001..5000_f64, 1..80), two in prop::array::uniform2(0.0001..1e6_f64)) {
            let mut histogram = Histogram::default();
            seen.iter().for_each(|ratio| histogram.see(*ratio));
            let chances = Chances::of(&histogram).unwrap();
            let [one, other] = two.map(|ratio| (ratio, chances.of_at_least(ratio)));
            prop_assert!((0.0..=1.0 + 1e-9).contains(&one.1));
            prop_assert!((one.0 <= other.0) == (one.1 >= other.1) || one.1 == other.1);
        }
    }
}
