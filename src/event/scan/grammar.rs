//! Whether tokens in this order are JSON: 64 of them at a time, a bit each.
//!
//! What may follow what is told by shifting masks. That leaves which container a comma, a colon or a closing bracket stands
//! in: for this the brackets are visited, one by one, and all between two of them are judged at once.

use std::hint::select_unpredictable;

use super::index::Index;
use super::isa::{BLOCK, Tokens, Vector};
use super::scalar::is_scalar;

/// Of 64 tokens, what the fields of an event are found by.
#[derive(Debug, Clone, Copy, Default)]
pub struct Layout {
    /// Tokens directly in the outermost object, as are closing brackets of what is in it; and its own opening one.
    pub outer: u64,
    /// The keys in the outermost object.
    pub outer_keys: u64,
    /// The keys in objects that are in the outermost object.
    pub inner_keys: u64,
}

/// Writes the layout of the tokens if they are an object by JSON's grammar, all of it, else returns `None`. Also `None` for
/// objects nested deeper than 62, and for numbers that need a closer look.
#[inline(always)]
pub fn check<V: Vector>(json: &[u8], index: &Index, layout: &mut Vec<Layout>) -> Option<()> {
    layout.clear();
    let last = index.len().checked_sub(1)?;
    if index.first_byte(0) != b'{' || !matches!(index.first_byte(last), b'}' | b']') {
        return None;
    }
    let mut nesting = Nesting::default();
    let mut wrong = 0;
    let mut next = V::tokens(index.block(0));
    for at in (0..index.len()).step_by(BLOCK) {
        let now = next;
        next = V::tokens(index.block(at + BLOCK));
        let is_last = if last - at < BLOCK { 1 << (last - at) } else { 0 };
        let present = if is_last == 0 { u64::MAX } else { is_last | (is_last - 1) };

        let key_values = now.after(&next, 2, |tokens| tokens.colons);
        wrong |= now.misplaced(&next, key_values) & present & !is_last;
        let in_level = nesting.walk(&now, now.commas & !key_values);
        let keys = now.strings & now.after(&next, 1, |tokens| tokens.colons);
        layout.push(Layout {
            outer: in_level.outer & present,
            outer_keys: keys & in_level.outer,
            inner_keys: keys & in_level.inner,
        });

        let mut scalars = now.scalars() & present;
        while scalars != 0 {
            let (start, end) = index.extent(json, at + scalars.trailing_zeros() as usize)?;
            wrong |= u64::from(!is_scalar(json, start, end));
            scalars &= scalars - 1;
        }
    }
    (wrong == 0 && nesting.is_complete()).then_some(())
}

impl Tokens {
    /// Numbers, literals, and what cannot be a token; beyond the last token, everything.
    #[inline(always)]
    fn scalars(&self) -> u64 {
        !(self.open_objects
            | self.close_objects
            | self.open_arrays
            | self.close_arrays
            | self.commas
            | self.colons
            | self.strings)
    }

    #[inline(always)]
    fn values(&self) -> u64 {
        !(self.close_objects | self.close_arrays | self.commas | self.colons)
    }

    #[inline(always)]
    fn closes(&self) -> u64 {
        self.close_objects | self.close_arrays
    }

    /// Which tokens come `distance` before one of those `of` selects, where `next` are the 64 tokens after these.
    #[inline(always)]
    fn after(&self, next: &Self, distance: u32, of: impl Fn(&Self) -> u64) -> u64 {
        of(self) >> distance | of(next) << (BLOCK as u32 - distance)
    }

    /// Which tokens are followed by one that cannot stand there. `key_values` are those two before a colon.
    #[inline(always)]
    fn misplaced(&self, next: &Self, key_values: u64) -> u64 {
        let before_value = self.after(next, 1, Self::values);
        let before_string = self.after(next, 1, |tokens| tokens.strings);
        let before_end = self.after(next, 1, |tokens| tokens.commas | tokens.closes());
        let before_colon = self.after(next, 1, |tokens| tokens.colons);
        let before_close_object = self.after(next, 1, |tokens| tokens.close_objects);
        let before_close_array = self.after(next, 1, |tokens| tokens.close_arrays);
        // A key comes first in an object or after a comma, and in an object nothing else comes first.
        let keys_elsewhere = key_values & !(self.open_objects | self.commas);
        let begins_without_key = self.open_objects & !(key_values & before_string | before_close_object);
        keys_elsewhere
            | begins_without_key
            | (self.commas | self.colons) & !before_value
            | self.open_arrays & !(before_value | before_close_array)
            | (self.closes() | self.scalars()) & !before_end
            | self.strings & !(before_end | before_colon)
    }
}

/// The containers around a token.
struct Nesting {
    /// A bit for each container, 1 for an object, the innermost lowest; above them a 1.
    kinds: u64,
    /// All that `kinds` ever was.
    all_kinds: u64,
    /// How often the outermost container was closed.
    completed: u32,
    wrong: u64,
}

impl Default for Nesting {
    fn default() -> Self {
        Self { kinds: 1, all_kinds: 0, completed: 0, wrong: 0 }
    }
}

/// Which of 64 tokens are directly in the outermost container, or directly in one that is in it. A container's opening
/// bracket counts as in it, its closing one as outside.
#[derive(Default)]
struct Levels {
    outer: u64,
    inner: u64,
}

impl Nesting {
    /// Steps through the brackets of 64 tokens. `array_commas` are the commas with no key after them.
    #[inline(always)]
    fn walk(&mut self, tokens: &Tokens, array_commas: u64) -> Levels {
        let objects = tokens.open_objects | tokens.close_objects;
        let closes = tokens.closes();
        let mut brackets = objects | tokens.open_arrays | tokens.close_arrays;
        let mut since_last = u64::MAX;
        let mut levels = Levels::default();
        loop {
            let bracket = brackets & brackets.wrapping_neg();
            let between = since_last & bracket.wrapping_sub(1);
            // Commas of an array in an object, or colons in an array.
            let in_object = self.kinds & 1;
            self.wrong |= between & select_unpredictable(in_object == 1, array_commas, tokens.colons);
            levels.outer |= select_unpredictable(self.kinds >> 1 == 1, between, 0);
            levels.inner |= select_unpredictable(self.kinds >> 2 == 1, between, 0);
            if bracket == 0 {
                return levels;
            }
            let is_object = u64::from(objects & bracket != 0);
            let is_close = closes & bracket != 0;
            self.wrong |= u64::from(is_close) & (is_object ^ in_object);
            // Which bracket comes next is not to be guessed.
            self.kinds = select_unpredictable(is_close, self.kinds >> 1, self.kinds << 1 | is_object);
            self.all_kinds |= self.kinds;
            self.completed += u32::from(self.kinds == 1);
            since_last = bracket.wrapping_neg();
            brackets &= brackets - 1;
        }
    }

    /// After the last token, which is a closing bracket and has closed the outermost container, and only now; nothing was
    /// nested deeper than `kinds` can tell.
    #[inline(always)]
    fn is_complete(&self) -> bool {
        self.wrong == 0 && self.kinds == 1 && self.completed == 1 && self.all_kinds >> 63 == 0
    }
}
