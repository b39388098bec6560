//! Strings as small numbers, so that the keys of rows are cheap to compare and a string is kept once.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hasher};
use std::ops::Range;

/// A string of one [`Symbols`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Symbol(u32);

impl Symbol {
    /// The empty string, the same in all [`Symbols`].
    pub const EMPTY: Self = Self(0);
}

/// Strings by their order, each as a number.
pub struct Ranks(Vec<u32>);

const UNUSED: u32 = u32::MAX;

impl Ranks {
    pub fn of<const N: usize>(&self, symbols: [Symbol; N]) -> [u32; N] {
        symbols.map(|symbol| self.0[symbol.0 as usize])
    }
}

/// The strings of one partial; dropped with it, so that it never outgrows a batch.
pub struct Symbols {
    text: String,
    ends: Vec<usize>,
    /// With their hashes.
    index: HashTable<(u64, u32)>,
}

impl Default for Symbols {
    fn default() -> Self {
        Self { text: String::new(), ends: vec![0], index: HashTable::new() }
    }
}

impl Symbols {
    pub fn intern(&mut self, text: &str) -> Symbol {
        if text.is_empty() {
            return Symbol::EMPTY;
        }
        // Not as a `str`, which is hashed with a mark of its end: nothing else follows.
        let mut hasher = FixedState::default().build_hasher();
        hasher.write(text.as_bytes());
        let hash = hasher.finish();
        let Self { text: all, ends, index } = self;
        // As bytes: where a string ends need not be looked at twice.
        let is_it = |(_, symbol): &(u64, u32)| all.as_bytes()[range(ends, *symbol)] == *text.as_bytes();
        if let Some((_, symbol)) = index.find(hash, is_it) {
            return Symbol(*symbol);
        }
        let symbol = ends.len() as u32;
        all.push_str(text);
        ends.push(all.len());
        index.insert_unique(hash, (hash, symbol), |(hash, _)| *hash);
        Symbol(symbol)
    }

    pub fn get(&self, symbol: Symbol) -> &str {
        &self.text[range(&self.ends, symbol.0)]
    }

    /// The place of each of these strings in their order: numbers sort faster than what they stand for.
    pub fn ranks(&self, used: impl Iterator<Item = Symbol>) -> Ranks {
        let mut ranks = vec![UNUSED; self.ends.len()];
        let mut sorted = Vec::new();
        for Symbol(symbol) in used {
            if std::mem::replace(&mut ranks[symbol as usize], 0) == UNUSED {
                sorted.push(symbol);
            }
        }
        sorted.sort_unstable_by_key(|symbol| self.get(Symbol(*symbol)));
        (0..).zip(&sorted).for_each(|(rank, symbol)| ranks[*symbol as usize] = rank);
        Ranks(ranks)
    }

    pub fn heap_bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * 8 + self.index.capacity() * 17
    }
}

/// Where a string is in the text of all.
fn range(ends: &[usize], symbol: u32) -> Range<usize> {
    let at = symbol as usize;
    let begin = if at == 0 { 0 } else { ends[at - 1] };
    begin..ends[at]
}
