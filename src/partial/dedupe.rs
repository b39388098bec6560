//! Which log events of a partition were counted already, exactly, over its last N.

use hashbrown::HashTable;

/// The identities of the last N events counted. An id among them is a duplicate; a duplicate does not renew its place.
///
/// Identities are 64-bit hashes: with a horizon of a million, two different ids meet once in 18 million million events.
pub struct Dedupe {
    horizon: usize,
    /// In the order they came; once full, the oldest is at `next`.
    ring: Vec<u64>,
    next: usize,
    /// Where in the ring an identity is: half the size of a table of identities.
    places: HashTable<u32>,
}

impl Dedupe {
    /// `horizon` is in events, from 1 to 2^32.
    pub fn new(horizon: usize) -> Self {
        let horizon = horizon.clamp(1, u32::MAX as usize);
        Self { horizon, ring: Vec::new(), next: 0, places: HashTable::new() }
    }

    /// Notes `identity`; false if it is a duplicate.
    pub fn insert(&mut self, identity: u64) -> bool {
        // The identity is a good hash already.
        let Self { horizon, ring, next, places } = self;
        if places.find(identity, |place| ring[*place as usize] == identity).is_some() {
            return false;
        }
        let place = *next as u32;
        if ring.len() < *horizon {
            ring.push(identity);
        } else {
            let oldest = std::mem::replace(&mut ring[*next], identity);
            if let Ok(entry) = places.find_entry(oldest, |known| *known == place) {
                entry.remove();
            }
        }
        places.insert_unique(identity, place, |place| ring[*place as usize]);
        *next = (*next + 1) % *horizon;
        true
    }

    pub fn len(&self) -> usize {
        self.ring.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_duplicate_within_the_horizon_and_new_beyond_it() {
        let mut dedupe = Dedupe::new(3);
        assert!([1, 2, 3].into_iter().all(|id| dedupe.insert(id)));
        assert!(!dedupe.insert(1));
        assert!(dedupe.insert(4), "pushes 1 out");
        assert!(dedupe.insert(1));
        assert!(!dedupe.insert(4));
        assert_eq!(dedupe.len(), 3);
    }

    proptest::proptest! {
        #[test]
        fn it_agrees_with_a_list_of_the_last_n(ids in proptest::collection::vec(0_u64..40, 0..400), horizon in 1_usize..30) {
            let mut dedupe = Dedupe::new(horizon);
            let mut last = std::collections::VecDeque::new();
            for id in ids {
                // Spread, so that the table's own hashing is used as it is with real identities.
                let identity = id.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                let is_new = !last.contains(&identity);
                if is_new {
                    last.push_back(identity);
                    if last.len() > horizon {
                        last.pop_front();
                    }
                }
                proptest::prop_assert_eq!(dedupe.insert(identity), is_new);
            }
        }
    }
}
