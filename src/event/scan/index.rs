//! JSON to tokens: where in it each operator, string, number and literal begins.
//!
//! White space is gone afterwards, and so are the insides of strings, which are checked here for what may not be in them:
//! control characters, wrong escapes, bytes that are not UTF-8. Nothing is known yet of the tokens' order, nor whether what
//! looks like a number or a literal is one.

use super::isa::{BLOCK, Blocks, Bytes, Vector};

/// The longest JSON that is read, in bytes. Buffers of five times its length are kept; and with what is unescaped behind it,
/// positions in it fit a `u32`.
pub const LENGTH_MAX: usize = 1 << 20;

/// The tokens of one JSON value, in their order.
#[derive(Debug, Default, Clone)]
pub struct Index {
    /// The first byte of each, then at least two blocks of zeros.
    first_bytes: Vec<u8>,
    /// Where each begins; as long as `first_bytes`.
    positions: Vec<u32>,
    count: usize,
    escapes: Escapes,
}

/// In which tokens there are escapes.
#[derive(Debug, Default, Clone)]
struct Escapes {
    /// Whether in any; if so, `tokens` says in which.
    exist: bool,
    /// A bit for each token.
    tokens: Vec<u64>,
}

impl Index {
    /// Reads all of `json` and returns it as text. `None` if there is anything in a string that may not be, if a string has
    /// no end, for escapes of surrogates, and for more than [`LENGTH_MAX`].
    #[inline(always)]
    pub fn fill<'j, V: Vector>(&mut self, json: &'j [u8]) -> Option<&'j str> {
        if json.len() > LENGTH_MAX {
            return None;
        }
        // Every byte may be a token.
        let capacity = json.len() + 3 * BLOCK;
        if self.first_bytes.len() < capacity {
            self.first_bytes.resize(capacity, 0);
            self.positions.resize(capacity, 0);
        }
        let Self { first_bytes, positions, escapes, .. } = self;
        let (first_bytes, positions) = (first_bytes.as_mut_slice(), positions.as_mut_slice());
        escapes.exist = false;
        let mut state = State::default();
        let mut count = 0;
        let mut blocks = Blocks::<V>::new(json);
        while let Some((at, block, bytes)) = blocks.next() {
            let mut escaped = 0;
            if bytes.backslashes | state.escape != 0 {
                (escaped, state.escape) = escapes_in(json, at, bytes.backslashes, state.escape)?;
            }
            let tokens = state.tokens::<V>(bytes, escaped);
            if escaped != 0 {
                escapes.mark(escaped, tokens, count, capacity);
            }
            let first_bytes = first_bytes.get_mut(count..)?.first_chunk_mut()?;
            let positions = positions.get_mut(count..)?.first_chunk_mut()?;
            V::select(block, tokens, at as u32, first_bytes, positions);
            count += tokens.count_ones() as usize;
        }
        first_bytes.get_mut(count..)?.first_chunk_mut::<{ 2 * BLOCK }>()?.fill(0);
        self.count = count;
        let text = blocks.into_text()?;
        (state.wrong | state.inside | state.escape == 0).then_some(text)
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn has_escapes(&self) -> bool {
        self.escapes.exist
    }

    /// Which of 64 tokens, from the `block`th 64 on, have escapes.
    #[inline(always)]
    pub fn escaped(&self, block: usize) -> u64 {
        if self.escapes.exist { self.escapes.tokens[block] } else { 0 }
    }

    #[inline(always)]
    pub fn is_escaped(&self, token: usize) -> bool {
        self.escaped(token / BLOCK) >> (token % BLOCK) & 1 == 1
    }

    /// The first bytes from token `at` on; zeros after the last token.
    #[inline(always)]
    pub fn block(&self, at: usize) -> &[u8; BLOCK] {
        self.first_bytes.get(at..).and_then(<[u8]>::first_chunk).unwrap_or(&[0; BLOCK])
    }

    /// The first byte of a token; 0 after the last.
    #[inline(always)]
    pub fn first_byte(&self, token: usize) -> u8 {
        if token < self.count { self.first_bytes[token] } else { 0 }
    }

    /// Where a token begins.
    #[inline(always)]
    pub fn position(&self, token: usize) -> usize {
        self.positions.get(token).map_or(0, |position| *position as usize)
    }

    /// Where a token that is not the last begins and ends: all up to the next one but white space. Means nothing for
    /// brackets.
    #[inline(always)]
    pub fn extent(&self, json: &[u8], token: usize) -> Option<(usize, usize)> {
        let [start, next]: [u32; 2] = *self.positions.get(token..)?.first_chunk()?;
        let mut end = next as usize;
        while let b' ' | b'\t' | b'\n' | b'\r' = json.get(end.wrapping_sub(1))? {
            end -= 1;
        }
        Some((start as usize, end))
    }
}

impl Escapes {
    /// Notes which tokens of a block have the escapes in it; `count` tokens were before, and there will never be more than
    /// `capacity`.
    #[inline(never)]
    fn mark(&mut self, mut escaped: u64, tokens: u64, count: usize, capacity: usize) {
        if !self.exist {
            self.exist = true;
            self.tokens.clear();
            self.tokens.resize(capacity / BLOCK + 1, 0);
        }
        while escaped != 0 {
            let before = (escaped & escaped.wrapping_neg()) - 1;
            let token = (count + (tokens & before).count_ones() as usize).saturating_sub(1);
            self.tokens[token / BLOCK] |= 1 << (token % BLOCK);
            escaped &= escaped - 1;
        }
    }
}

/// What the end of a block means for the next one.
#[derive(Default)]
struct State {
    /// All ones inside a string.
    inside: u64,
    /// 1 after a backslash that escapes what follows.
    escape: u64,
    /// 1 inside a number or a literal.
    scalar: u64,
    /// Not zero once a string held what it may not.
    wrong: u64,
}

impl State {
    /// The bytes at which tokens begin.
    #[inline(always)]
    fn tokens<V: Vector>(&mut self, bytes: Bytes, escaped: u64) -> u64 {
        let quotes = bytes.quotes & !escaped;
        // With the opening quotation mark, without the closing one.
        let inside = V::prefix_xor(quotes) ^ self.inside;
        self.inside = ((inside as i64) >> 63) as u64;
        self.wrong |= bytes.controls & inside;
        let scalars = !(inside | quotes | bytes.operators | bytes.spaces);
        let scalar_starts = scalars & !(scalars << 1 | self.scalar);
        self.scalar = scalars >> 63;
        (bytes.operators & !inside) | (quotes & inside) | scalar_starts
    }
}

/// Which bytes of the block at `at` are escaped by the backslash before them, and `carry` for the next block: 1 if its
/// first byte is. `None` if one of them may not be, or begins the escape of a surrogate. (A backslash outside strings is
/// part of a number or literal, and no good one.)
#[inline(never)]
fn escapes_in(json: &[u8], at: usize, backslashes: u64, carry: u64) -> Option<(u64, u64)> {
    let mut escaped = carry;
    let mut backslashes = backslashes & !carry;
    while backslashes != 0 {
        let offset = backslashes.trailing_zeros() as usize;
        match json.get(at + offset + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
            b'u' => {
                let digits = json.get(at + offset + 2..)?.first_chunk()?;
                code_unit(digits).and_then(|unit| char::from_u32(unit.into()))?;
            }
            _ => return None,
        }
        if offset + 1 == BLOCK {
            return Some((escaped, 1));
        }
        escaped |= 2 << offset;
        backslashes &= !(3 << offset);
    }
    Some((escaped, 0))
}

/// What four hexadecimal digits say.
pub fn code_unit(digits: &[u8; 4]) -> Option<u16> {
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)? as u16))
}
