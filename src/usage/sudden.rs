//! What is sudden: an address that has more tokens alive than a restart of all its processes gives, or a rollout that made
//! three of each. A rollout is a burst; what comes evenly is none.

use std::ops::Range;

/// The grain of what is looked at, in seconds.
pub const SLOT_SECONDS: u32 = 300;
/// Of tokens that live longer than three days only those of so long are compared, so that the past need not be longer.
const ALIVE_SLOTS_MAX: u32 = 864;
/// How far back it may have begun: a lifetime, since what grows more slowly is seen to renew meanwhile.
const LOOK_BACK_SLOTS: Range<usize> = 12..144;
/// What comes evenly has a quarter of its share in each of so many parts.
const PARTS: usize = 5;
/// It has ended once for so long there is less than a fifth of what it was: of fleets that are rolled out, and of what broke
/// and may break again.
pub const QUIET_SLOTS: usize = 12;
pub const MENDED_SLOTS: usize = 5;

/// Tokens of one address by slot, and how many of them are alive at once.
pub struct Slots {
    counts: Vec<u64>,
    /// Of the slots before each.
    sums: Vec<u64>,
    /// The most alive at once before each slot.
    alive_before: Vec<u64>,
    /// Slots in which a token is alive.
    length: usize,
    counted_seconds: u32,
    /// Processes expected at most.
    expected: u64,
}

impl Slots {
    /// `counted_seconds` is how long a token makes another one avoidable.
    pub fn new(counts: Vec<u64>, counted_seconds: u32, expected: u64) -> Self {
        let length = counted_seconds.div_ceil(SLOT_SECONDS).clamp(1, ALIVE_SLOTS_MAX) as usize;
        let mut sums = vec![0; counts.len() + 1];
        counts.iter().enumerate().for_each(|(at, count)| sums[at + 1] = sums[at] + count);
        let mut slots = Self { alive_before: vec![0; sums.len()], sums, counts, length, counted_seconds, expected };
        for end in 1..slots.sums.len() {
            slots.alive_before[end] = slots.alive_before[end - 1].max(slots.alive(end.saturating_sub(length)..end));
        }
        slots
    }

    fn sum(&self, slots: Range<usize>) -> u64 {
        self.sums[slots.end] - self.sums[slots.start]
    }

    /// Of the last of the slots in which a token is alive only a part is.
    fn alive(&self, slots: Range<usize>) -> u64 {
        let looked = self.length as u64 * u64::from(SLOT_SECONDS);
        self.sum(slots) * u64::from(self.counted_seconds).min(looked) / looked
    }

    pub fn count(&self) -> usize {
        self.counts.len()
    }

    /// Whether there was ever so much that something could be sudden.
    pub fn is_much(&self) -> bool {
        self.alive_before.last().is_some_and(|most| *most > self.expected)
    }

    /// The same without what came in these slots.
    pub fn without(&self, slots: &[Range<usize>]) -> Self {
        let mut counts = self.counts.clone();
        slots.iter().for_each(|slots| counts[slots.clone()].fill(0));
        Self::new(counts, self.counted_seconds, self.expected)
    }

    /// The slot in which something sudden began that goes on until `end`, if it does. What is shorter than five slots is
    /// the caller's to tell from a burst that has just ended.
    pub fn begin(&self, end: usize) -> Option<usize> {
        let earliest =
            end.saturating_sub(self.length.clamp(LOOK_BACK_SLOTS.start, LOOK_BACK_SLOTS.end)).max(self.length);
        let explained = |begin: usize| (3 * self.alive_before[begin] + 10).max(self.expected);
        // It grows with the time looked at: most are told by the earliest.
        if earliest >= end || self.alive_before[end] <= explained(earliest) {
            return None;
        }
        let mut alive = 0;
        let mut is_sudden = |begin: &usize| {
            alive = self.alive(*begin..end.min(begin + self.length)).max(alive);
            end - begin >= 2 && alive > explained(*begin) && self.is_even(*begin..end)
        };
        // The last one: from later on, what came before has some of it.
        let mut begin = (earliest..end).rev().find(|begin| is_sudden(begin))?;
        let usual = self.sum(begin..end) / (end - begin) as u64;
        // Of a few a slot there are none in one now and then: also three slots together.
        let is_part =
            |slot: usize| self.counts[slot] * 2 >= usual || self.sum(slot.saturating_sub(2)..slot + 1) * 2 >= usual * 3;
        while begin > 0 && is_part(begin - 1) {
            begin -= 1;
        }
        while begin + 1 < end && self.counts[begin] * 4 < usual {
            begin += 1;
        }
        Some(begin)
    }

    fn is_even(&self, slots: Range<usize>) -> bool {
        let parts = slots.len().min(PARTS);
        let has_share = |part: Range<usize>| {
            let length = part.len() as u64;
            self.sum(part) * 4 * slots.len() as u64 >= self.sum(slots.clone()) * length
        };
        let part = |at: usize| slots.start + at * slots.len() / parts..slots.start + (at + 1) * slots.len() / parts;
        (0..parts).all(|at| has_share(part(at))) && (slots.len() < PARTS || has_share(slots.end - 2..slots.end))
    }

    /// Everything sudden, from when to when; it has ended once it is quiet for so long.
    pub fn episodes(&self, quiet_slots: usize) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        let mut at = self.length + PARTS;
        while at <= self.counts.len() {
            let last = found.last().map_or(0, |last| last.end);
            let begin = self.begin(at).map(|begin| begin.max(last)).filter(|begin| at - begin >= PARTS);
            let Some(begin) = begin else {
                at += 1;
                continue;
            };
            let is_over = |end: &usize| {
                let during = self.sum(begin..*end) / (end - begin) as u64;
                let quiet = *end..(end + quiet_slots).min(self.counts.len());
                self.sum(quiet.clone()) * 5 < during * quiet.len() as u64
            };
            let mut end = (at..self.counts.len()).find(is_over).unwrap_or(self.counts.len());
            let during = self.sum(begin..end) / (end - begin) as u64;
            let goes_on = |slot: &usize| self.counts[*slot] * 5 >= during.max(1);
            while let Some(slot) = (end..(end + 3).min(self.counts.len())).rev().find(goes_on) {
                end = slot + 1;
            }
            found.push(begin..end);
            at = end + PARTS;
        }
        found
    }
}
