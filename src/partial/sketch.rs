//! Distinct users: Apache DataSketches HLL. The only file that names the sketch crate.
//!
//! Ids are hashed as raw bytes, as Spark, Java and Python hash strings, so that sketches made there of the same ids
//! union with ours without growing. The bytes written are readable by every DataSketches implementation.

use datasketches::common::NumStdDev;
use datasketches::hash::value::raw_bytes;
use datasketches::hll::{Coupon, HllSketch, HllType, HllUnion};

/// The hash of one user id: made once, counted in every sketch the user belongs to.
#[derive(Debug, Clone, Copy)]
pub struct UserHash(Coupon);

impl UserHash {
    /// `None` for an empty id, which names nobody.
    pub fn of(user_id: &str) -> Option<Self> {
        (!user_id.is_empty()).then(|| Self(Coupon::from_value(raw_bytes::from_str(user_id))))
    }
}

/// log2 of a sketch's number of registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Precision(u8);

impl Precision {
    pub const DEFAULT: Self = Self(12);
    pub const MIN: u8 = 8;
    pub const MAX: u8 = 18;

    pub fn new(lg_k: u8) -> Option<Self> {
        (Self::MIN..=Self::MAX).contains(&lg_k).then_some(Self(lg_k))
    }

    pub fn lg_k(self) -> u8 {
        self.0
    }

    /// The relative standard error of a full sketch: 1.04 / sqrt(registers) (Flajolet et al., "HyperLogLog", 2007).
    pub fn standard_error(self) -> f64 {
        1.04 / f64::from(1_u32 << self.0).sqrt()
    }

    /// The bytes of a full sketch.
    pub fn bytes_max(self) -> usize {
        (1 << self.0) + 40
    }
}

/// A count of distinct users with its bounds at three standard deviations (99.7 %).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    pub estimate: f64,
    pub lower: f64,
    pub upper: f64,
}

/// A mergeable set of users that can only be counted.
#[derive(Clone)]
pub struct UserSketch(HllSketch);

/// Bytes that are no sketch.
#[derive(Debug, thiserror::Error)]
#[error("not a DataSketches HLL sketch: {0}")]
pub struct SketchError(String);

impl UserSketch {
    pub fn new(precision: Precision) -> Self {
        match HllSketch::new(precision.0, HllType::Hll8) {
            Ok(sketch) => Self(sketch),
            Err(error) => unreachable!("Precision is within what the crate accepts: {error}"),
        }
    }

    pub fn insert(&mut self, user: UserHash) {
        self.0.update_with_coupon(user.0);
    }

    pub fn merge(&mut self, other: &Self) {
        if other.0.is_empty() {
            return;
        }
        // The coarser of the two, so that the result does not depend on the order of merging.
        let precision = self.0.lg_config_k().min(other.0.lg_config_k());
        if let Ok(mut union) = HllUnion::new(precision) {
            union.update(&self.0);
            union.update(&other.0);
            self.0 = union.to_sketch(HllType::Hll8);
        }
    }

    /// The order-independent estimate: equal for equal registers, whatever order the users came in.
    pub fn estimate(&self) -> Estimate {
        self.estimate_of(&self.to_bytes())
    }

    /// [`to_bytes`](Self::to_bytes) and [`estimate`](Self::estimate), for less than both.
    pub fn to_bytes_and_estimate(&self) -> (Vec<u8>, Estimate) {
        let bytes = self.to_bytes();
        let estimate = self.estimate_of(&bytes);
        (bytes, estimate)
    }

    /// `bytes` are its own.
    fn estimate_of(&self, bytes: &[u8]) -> Estimate {
        let estimate = self.0.composite_estimate();
        match self.data(bytes) {
            // Few enough users to hold each one's hash: the error is that of hash collisions.
            Data::Coupons(_) => Estimate {
                estimate,
                lower: self.0.lower_bound(NumStdDev::Three),
                upper: self.0.upper_bound(NumStdDev::Three),
            },
            // The crate's own bounds depend on arrival order as its `estimate` does.
            Data::Array(registers) => {
                let occupied = registers.iter().filter(|register| **register > 0).count();
                let error = 3.0 * 1.04 / (registers.len() as f64).sqrt();
                Estimate {
                    estimate,
                    lower: (estimate / (1.0 + error)).max(occupied as f64),
                    upper: estimate / (1.0 - error),
                }
            }
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.serialize()
    }

    /// Reads a sketch of any implementation, with registers of four, six or eight bits; it has eight from then on.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SketchError> {
        let wrong = |error: datasketches::error::Error| SketchError(error.to_string());
        let sketch = HllSketch::deserialize(bytes).map_err(wrong)?;
        if sketch.target_type() == HllType::Hll8 {
            return Ok(Self(sketch));
        }
        let mut union = HllUnion::new(sketch.lg_config_k()).map_err(wrong)?;
        union.update(&sketch);
        Ok(Self(union.to_sketch(HllType::Hll8)))
    }

    /// What the sketch knows, without the parts of its bytes that depend on the order of arrival. Equal sets of users
    /// have equal registers.
    pub fn registers(&self) -> Registers {
        match self.data(&self.to_bytes()) {
            Data::Array(registers) => Registers::Array(registers.to_vec()),
            Data::Coupons(data) => {
                let mut coupons: Vec<u32> = data
                    .chunks_exact(4)
                    .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
                    .filter(|coupon| *coupon != 0)
                    .collect();
                coupons.sort_unstable();
                Registers::Coupons(coupons)
            }
        }
    }

    /// What its bytes hold.
    fn data<'b>(&self, bytes: &'b [u8]) -> Data<'b> {
        // The format's mode is in the low two bits of byte 7: 0 list, 1 set, 2 HLL; their data begin at 8, 12 and 40.
        let behind = |at: usize| bytes.get(at..).unwrap_or_default();
        match bytes.get(7).map(|mode| mode & 3) {
            Some(0) => Data::Coupons(behind(8)),
            Some(1) => Data::Coupons(behind(12)),
            _ => Data::Array(behind(40).get(..1 << self.0.lg_config_k()).unwrap_or(behind(40))),
        }
    }

    pub fn precision(&self) -> Precision {
        Precision(self.0.lg_config_k())
    }

    /// Bytes of memory held beyond the value itself.
    pub fn heap_bytes(&self) -> usize {
        self.0.estimated_size()
    }
}

/// A sketch's bytes behind their head.
enum Data<'b> {
    /// Four bytes each, in no order.
    Coupons(&'b [u8]),
    Array(&'b [u8]),
}

/// A union in the making: cheaper than merging sketches one by one where many come.
#[derive(Clone, Default)]
pub struct UserUnion(Option<HllUnion>);

impl UserUnion {
    pub fn add(&mut self, users: &UserSketch) {
        if users.0.is_empty() {
            return;
        }
        // The coarsest of all, so that the result does not depend on the order.
        let precision = users.0.lg_config_k();
        if self.0.as_ref().is_none_or(|union| precision < union.lg_max_k()) {
            let before = self.0.take().map(|union| union.to_sketch(HllType::Hll8));
            self.0 = HllUnion::new(precision).ok();
            before.iter().for_each(|sketch| self.update(sketch));
        }
        self.update(&users.0);
    }

    fn update(&mut self, sketch: &HllSketch) {
        if let Some(union) = &mut self.0 {
            union.update(sketch);
        }
    }

    pub fn sketch(&self) -> UserSketch {
        match &self.0 {
            Some(union) => UserSketch(union.to_sketch(HllType::Hll8)),
            None => UserSketch::new(Precision::DEFAULT),
        }
    }

    pub fn estimate(&self) -> Estimate {
        self.sketch().estimate()
    }
}

/// The order-independent content of a sketch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Registers {
    Coupons(Vec<u32>),
    Array(Vec<u8>),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sketch(ids: impl Iterator<Item = u64>) -> UserSketch {
        let mut sketch = UserSketch::new(Precision::DEFAULT);
        ids.for_each(|id| sketch.insert(UserHash::of(&format!("auth0|{id}")).expect("an id")));
        sketch
    }

    #[test]
    fn registers_and_estimate_do_not_depend_on_order_or_split() {
        for users in [0, 1, 7, 8, 9, 100, 400, 3000, 50_000] {
            let whole = sketch(0..users);
            let backwards = sketch((0..users).rev());
            let mut parts = sketch((0..users).filter(|id| id % 3 == 0));
            parts.merge(&sketch((0..users).filter(|id| id % 3 != 0)));
            for other in [backwards, parts, UserSketch::from_bytes(&whole.to_bytes()).expect("own bytes")] {
                assert_eq!(other.registers(), whole.registers(), "{users} users");
                assert_eq!(other.estimate(), whole.estimate(), "{users} users");
            }
        }
    }

    #[test]
    fn the_error_stays_within_the_published_one() {
        for precision in [10, 12, 14].map(|lg_k| Precision::new(lg_k).expect("in range")) {
            for users in [100_u64, 1_000, 10_000, 100_000] {
                let runs = 40;
                let (mut squares, mut outside) = (0.0, 0);
                for seed in 0..runs {
                    let mut sketch = UserSketch::new(precision);
                    (0..users).for_each(|id| sketch.insert(UserHash::of(&format!("{seed}|{id}")).expect("an id")));
                    let estimate = sketch.estimate();
                    squares += (estimate.estimate / users as f64 - 1.0).powi(2);
                    outside += i32::from(estimate.lower > users as f64 || estimate.upper < users as f64);
                }
                let observed = (squares / f64::from(runs)).sqrt();
                // A standard deviation estimated from 40 runs is itself off by about 11 %; three of those are 1.35.
                assert!(observed <= precision.standard_error() * 1.35, "{users} users: {observed}");
                assert!(outside <= 1, "{users} users: {outside} of {runs} outside of 99.7 % bounds");
            }
        }
    }

    #[test]
    fn sketches_of_different_precision_merge_to_the_coarser_in_any_order() {
        let of = |lg_k, ids: std::ops::Range<u64>| {
            let mut sketch = UserSketch::new(Precision::new(lg_k).expect("in range"));
            ids.for_each(|id| sketch.insert(UserHash::of(&format!("auth0|{id}")).expect("an id")));
            sketch
        };
        let parts = [of(10, 0..3000), of(14, 2000..9000), of(12, 5..10)];
        let whole = of(10, 0..9000);
        for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0], [1, 2, 0]] {
            let mut merged = parts[order[0]].clone();
            merged.merge(&parts[order[1]]);
            merged.merge(&parts[order[2]]);
            assert_eq!(merged.registers(), whole.registers(), "{order:?}");
            let mut union = UserUnion::default();
            order.iter().for_each(|part| union.add(&parts[*part]));
            assert_eq!(union.sketch().registers(), whole.registers(), "{order:?}");
        }
    }

    #[test]
    fn registers_of_four_and_six_bits_hold_the_same_users() {
        for users in [0, 5, 100, 2_000, 60_000] {
            let ours = sketch(0..users);
            for hll_type in [HllType::Hll4, HllType::Hll6] {
                let mut other = HllSketch::new(12, hll_type).expect("in range");
                let hashes = (0..users).filter_map(|id| UserHash::of(&format!("auth0|{id}")));
                hashes.for_each(|user| other.update_with_coupon(user.0));
                let read = UserSketch::from_bytes(&other.serialize()).expect("a sketch");
                assert_eq!(read.registers(), ours.registers(), "{users} users, {hll_type:?}");
                assert_eq!(read.estimate(), ours.estimate(), "{users} users, {hll_type:?}");
            }
        }
    }

    #[test]
    fn few_users_are_counted_exactly() {
        for users in [0_u64, 1, 2, 8, 50, 190] {
            assert_eq!(sketch(0..users).estimate().estimate.round() as u64, users);
        }
    }

    #[test]
    fn ids_are_hashed_as_raw_bytes_like_other_implementations() {
        // MurmurHash3 x64 128 of the bytes with DataSketches' seed 9001; a length or terminator would change it.
        let mut raw = UserSketch::new(Precision::DEFAULT);
        raw.insert(UserHash(Coupon::from_value(raw_bytes::from_slice(b"auth0|1"))));
        assert_eq!(sketch(1..2).registers(), raw.registers());
    }
}
