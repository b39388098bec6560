//! Seeded draws for the simulations in tests. Never part of the program.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

pub struct Chance(ChaCha8Rng);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// From 0 up to 1.
    pub fn share(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.share()
    }

    /// Standard normal (Box and Muller, 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.share()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.share()).cos()
    }

    /// Knuth's method ("The Art of Computer Programming" 2, 3.4.1), in parts, so that e^-mean does not underflow.
    pub fn poisson(&mut self, mean: f64) -> u64 {
        let (mut rest, mut sum) = (mean, 0);
        while rest > 0.0 {
            let part = rest.min(500.0);
            rest -= part;
            let (limit, mut product) = ((-part).exp(), self.share());
            while product > limit {
                sum += 1;
                product *= self.share();
            }
        }
        sum
    }
}
