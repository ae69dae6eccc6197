//! Random numbers by key: every part of the simulation is drawn from a stream of its own, so what
//! happens to one person in one hour depends on nothing that was drawn before.

use std::convert::Infallible;

use rand::TryRng;
use rand_distr::{Distribution, Exp1, Gamma, Poisson, StandardNormal};

/// What a stream of numbers decides. The same keys under another purpose give other numbers.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Person = 1,
    Name,
    Network,
    Trip,
    Day,
    Volume,
    Hour,
    Address,
    SignIn,
    Device,
    Object,
    Event,
    Attack,
    Victim,
    Habit,
    Stay,
    Role,
    Season,
    ErrandDay,
    Errand,
    Surge,
}

/// The finaliser of SplitMix64: a bijection on 64 bits that spreads every bit over all of them.
pub(super) const fn mix(number: u64) -> u64 {
    let a = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let b = (a ^ (a >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    b ^ (b >> 31)
}

/// A number that depends on all four arguments and is spread over 64 bits.
pub(super) fn hash(seed: u64, purpose: Purpose, a: u64, b: u64) -> u64 {
    let seeded = mix(seed ^ (purpose as u64).wrapping_mul(STEP));
    mix(mix(seeded ^ a).wrapping_add(b.wrapping_mul(STEP)))
}

/// The odd constant by which SplitMix64 steps: 2⁶⁴ divided by the golden ratio.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A SplitMix64 generator. It is small and starts at once; nothing here needs secrecy.
pub(super) struct Dice(u64);

impl Dice {
    /// The stream of one purpose and two keys, such as a person and an hour.
    pub(super) fn new(seed: u64, purpose: Purpose, a: u64, b: u64) -> Self {
        Self(hash(seed, purpose, a, b))
    }

    pub(super) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// In [0, 1).
    pub(super) fn unit(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with this probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// In [0, `limit`); 0 if `limit` is 0.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.number()) * u128::from(limit)) >> 64) as u64
    }

    /// In [`least`, `most`].
    pub(super) fn between(&mut self, least: i64, most: i64) -> i64 {
        least + self.below((most - least + 1).max(1) as u64) as i64
    }

    /// The index of one of `len` things; 0 if there are none.
    pub(super) fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    pub(super) fn poisson(&mut self, mean: f64) -> u32 {
        Poisson::new(mean).map_or(0, |poisson| poisson.sample(self) as u32)
    }

    /// Gamma-distributed with mean 1; the smaller the shape, the heavier the tail.
    pub(super) fn gamma(&mut self, shape: f64) -> f64 {
        Gamma::new(shape, 1.0 / shape).map_or(1.0, |gamma| gamma.sample(self))
    }

    /// Exponential with mean 1.
    pub(super) fn exponential(&mut self) -> f64 {
        Exp1.sample(self)
    }

    /// Lognormal with median 1; `sigma` is the standard deviation of the logarithm.
    pub(super) fn lognormal(&mut self, sigma: f64) -> f64 {
        let normal: f64 = StandardNormal.sample(self);
        (sigma * normal).exp()
    }
}

impl TryRng for Dice {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.number() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.number())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            let number = self.number().to_le_bytes();
            chunk.copy_from_slice(&number[..chunk.len()]);
        }
        Ok(())
    }
}
