//! Random numbers for the tests of this folder, by seed: months and windows whose truth is known. Never outside tests.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

pub struct Noise(ChaCha8Rng);

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// From zero up to one.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// By Knuth's product of uniforms in steps of at most 500, so that nothing underflows.
    pub fn poisson(&mut self, mean: f64) -> u64 {
        let (mut left, mut count) = (mean, 0);
        while left > 0.0 {
            let step = left.min(500.0);
            left -= step;
            let (limit, mut product) = ((-step).exp(), self.unit());
            while product > limit {
                product *= self.unit();
                count += 1;
            }
        }
        count
    }
}
