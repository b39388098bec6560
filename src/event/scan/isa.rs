//! What the scanner asks of a processor: 64 bytes at a time, in AVX-512, AVX2 and plain words.
//!
//! All `unsafe` of the scanner is here, of three kinds: vector loads and stores, always of whole arrays whose size is in
//! their type; calls of functions compiled for instructions whose presence was asked before; and calling bytes a string
//! whose high bits were looked at.

#![allow(unsafe_code)]

use std::marker::PhantomData;

/// Bytes looked at together: one for each bit of a mask. Bit 0 is the first byte.
pub const BLOCK: usize = 64;

/// Which bytes of a block of JSON are what, told without knowing what is inside a string.
#[derive(Clone, Copy)]
pub struct Bytes {
    pub quotes: u64,
    pub backslashes: u64,
    /// Below 0x20.
    pub controls: u64,
    /// `{}[]:,`, and possibly control characters.
    pub operators: u64,
    /// Blank, tab, line feed, carriage return.
    pub spaces: u64,
    pub non_ascii: u64,
}

/// Which of 64 tokens are what, by their first byte. What is none of these is a number or a literal.
#[derive(Clone, Copy, Default)]
pub struct Tokens {
    pub open_objects: u64,
    pub close_objects: u64,
    pub open_arrays: u64,
    pub close_arrays: u64,
    pub commas: u64,
    pub colons: u64,
    pub strings: u64,
}

/// Functions compiled once for each kind of processor.
pub trait Vector {
    fn bytes(block: &[u8; BLOCK]) -> Bytes;

    fn tokens(first_bytes: &[u8; BLOCK]) -> Tokens;

    /// Fewer than 64 bytes, filled up with blanks.
    #[inline(always)]
    fn filled_up(bytes: &[u8]) -> [u8; BLOCK] {
        let mut block = [b' '; BLOCK];
        block[..bytes.len()].copy_from_slice(bytes);
        block
    }

    /// Bit `n` is the exclusive or of all bits up to `n`.
    fn prefix_xor(bits: u64) -> u64;

    /// Writes the bytes of `block` that `bits` selects to the front of `bytes`, and where they are, counted from `base`,
    /// to the front of `positions`. What is behind them is left or overwritten.
    fn select(block: &[u8; BLOCK], bits: u64, base: u32, bytes: &mut [u8; BLOCK], positions: &mut [u32; BLOCK]);
}

/// An instruction set the scanner is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    Avx512,
    Avx2,
    Portable,
}

/// Something to do with the vectors of one [`Isa`]. `run` must be `#[inline(always)]`, or it is not compiled for it.
pub trait Task {
    type Output;
    fn run<V: Vector>(self) -> Self::Output;
}

impl Isa {
    /// The fastest first.
    pub const ALL: [Self; 3] = [Self::Avx512, Self::Avx2, Self::Portable];

    #[cfg(target_arch = "x86_64")]
    fn is_available(self) -> bool {
        let avx2 = || {
            is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("pclmulqdq")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("lzcnt")
                && is_x86_feature_detected!("popcnt")
        };
        let avx512 = || {
            is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vbmi2")
        };
        match self {
            Self::Avx512 => avx2() && avx512(),
            Self::Avx2 => avx2(),
            Self::Portable => true,
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn is_available(self) -> bool {
        self == Self::Portable
    }
}

/// An [`Isa`] that this processor has.
#[derive(Debug, Clone, Copy)]
pub struct Available(Isa);

impl Available {
    /// `None` where the processor lacks it.
    pub fn of(isa: Isa) -> Option<Self> {
        isa.is_available().then_some(Self(isa))
    }

    pub fn best() -> Self {
        Isa::ALL.into_iter().find_map(Self::of).unwrap_or(Self(Isa::Portable))
    }

    #[inline]
    pub fn run<T: Task>(self, task: T) -> T::Output {
        match self.0 {
            // SAFETY: an `Available` is only made where the processor has the instructions.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { x86::run_avx512(task) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { x86::run_avx2(task) },
            _ => task.run::<portable::Portable>(),
        }
    }
}

/// The blocks of some JSON. The last one is filled up with blanks.
pub struct Blocks<'j, V> {
    json: &'j [u8],
    at: usize,
    /// Where the first and the last block begin that hold a byte which is not ASCII.
    first_non_ascii: usize,
    last_non_ascii: usize,
    tail: [u8; BLOCK],
    vector: PhantomData<V>,
}

impl<'j, V: Vector> Blocks<'j, V> {
    #[inline(always)]
    pub fn new(json: &'j [u8]) -> Self {
        Self { json, at: 0, first_non_ascii: usize::MAX, last_non_ascii: 0, tail: [b' '; BLOCK], vector: PhantomData }
    }

    /// The next block, and where it begins.
    #[inline(always)]
    pub fn next(&mut self) -> Option<(usize, &[u8; BLOCK], Bytes)> {
        let at = self.at;
        let rest = self.json.get(at..).filter(|rest| !rest.is_empty())?;
        self.at = at + BLOCK;
        let block = match rest.first_chunk() {
            Some(block) => block,
            None => {
                self.tail = V::filled_up(rest);
                &self.tail
            }
        };
        let bytes = V::bytes(block);
        if bytes.non_ascii != 0 {
            self.first_non_ascii = self.first_non_ascii.min(at);
            self.last_non_ascii = at;
        }
        Some((at, block, bytes))
    }

    /// The JSON as text, once every block was seen; `None` if it is not UTF-8.
    #[inline(always)]
    pub fn into_text(self) -> Option<&'j str> {
        let seen = self.json.get(..self.at).unwrap_or(self.json);
        if seen.len() < self.json.len() {
            return std::str::from_utf8(self.json).ok();
        }
        if self.first_non_ascii != usize::MAX {
            // All else is ASCII, so no character crosses either end.
            let end = (self.last_non_ascii + BLOCK).min(self.json.len());
            std::str::from_utf8(&self.json[self.first_non_ascii..end]).ok()?;
        }
        // SAFETY: every block was seen, and what is not ASCII in them was found to be UTF-8 just now.
        Some(unsafe { std::str::from_utf8_unchecked(self.json) })
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{BLOCK, Bytes, Task, Tokens, Vector};

    /// By the low four bits of a byte, the operator that byte can be; `[` and `]` are here as `{` and `}`, which differ
    /// from them by 0x20. So does a form feed from `,`, and 0x1A from `:`.
    const OPERATORS: [i64; 2] = halves_of(*b"\0\0\0\0\0\0\0\0\0\0:{,}\0\0");
    /// By the low four bits of a byte, the white space that byte can be.
    const SPACES: [i64; 2] = halves_of(*b" \0\0\0\0\0\0\0\0\t\n\0\0\r\0\0");

    const fn halves_of(table: [u8; 16]) -> [i64; 2] {
        let table = i128::from_le_bytes(table);
        [table as i64, (table >> 64) as i64]
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,avx2,pclmulqdq,bmi1,bmi2,lzcnt,popcnt")]
    pub fn run_avx512<T: Task>(task: T) -> T::Output {
        task.run::<Avx512>()
    }

    #[target_feature(enable = "avx2,pclmulqdq,bmi1,bmi2,lzcnt,popcnt")]
    pub fn run_avx2<T: Task>(task: T) -> T::Output {
        task.run::<Avx2>()
    }

    pub struct Avx512;

    /// SAFETY, of every call in it: `Avx512` is private to this module and used only within [`run_avx512`].
    impl Vector for Avx512 {
        #[inline(always)]
        fn bytes(block: &[u8; BLOCK]) -> Bytes {
            unsafe { bytes_avx512(block) }
        }

        #[inline(always)]
        fn tokens(first_bytes: &[u8; BLOCK]) -> Tokens {
            unsafe { tokens_avx512(first_bytes) }
        }

        #[inline(always)]
        fn filled_up(bytes: &[u8]) -> [u8; BLOCK] {
            unsafe { filled_up_avx512(bytes) }
        }

        #[inline(always)]
        fn prefix_xor(bits: u64) -> u64 {
            unsafe { prefix_xor_clmul(bits) }
        }

        #[inline(always)]
        fn select(block: &[u8; BLOCK], bits: u64, base: u32, bytes: &mut [u8; BLOCK], positions: &mut [u32; BLOCK]) {
            unsafe { select_avx512(block, bits, base, bytes, positions) }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn bytes_avx512(block: &[u8; BLOCK]) -> Bytes {
        // SAFETY: reads 64 of 64 bytes.
        let block = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
        let table = |[low, high]: [i64; 2]| _mm512_set_epi64(high, low, high, low, high, low, high, low);
        let is = |byte: u8| _mm512_cmpeq_epi8_mask(block, _mm512_set1_epi8(byte as i8));
        let as_braces = _mm512_or_si512(block, _mm512_set1_epi8(0x20));
        Bytes {
            quotes: is(b'"'),
            backslashes: is(b'\\'),
            controls: _mm512_cmplt_epu8_mask(block, _mm512_set1_epi8(0x20)),
            operators: _mm512_cmpeq_epi8_mask(_mm512_shuffle_epi8(table(OPERATORS), block), as_braces),
            spaces: _mm512_cmpeq_epi8_mask(_mm512_shuffle_epi8(table(SPACES), block), block),
            non_ascii: _mm512_movepi8_mask(block),
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn tokens_avx512(first_bytes: &[u8; BLOCK]) -> Tokens {
        // SAFETY: reads 64 of 64 bytes.
        let block = unsafe { _mm512_loadu_si512(first_bytes.as_ptr().cast()) };
        let is = |byte: u8| _mm512_cmpeq_epi8_mask(block, _mm512_set1_epi8(byte as i8));
        Tokens {
            open_objects: is(b'{'),
            close_objects: is(b'}'),
            open_arrays: is(b'['),
            close_arrays: is(b']'),
            commas: is(b','),
            colons: is(b':'),
            strings: is(b'"'),
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn filled_up_avx512(bytes: &[u8]) -> [u8; BLOCK] {
        assert!(bytes.len() < BLOCK);
        let present = (1 << bytes.len()) - 1;
        let mut block = [0; BLOCK];
        // SAFETY: reads only what is present, which is all of `bytes`; writes 64 of 64 bytes.
        unsafe {
            let filled_up = _mm512_mask_loadu_epi8(_mm512_set1_epi8(b' ' as i8), present, bytes.as_ptr().cast());
            _mm512_storeu_si512(block.as_mut_ptr().cast(), filled_up);
        }
        block
    }

    #[inline]
    #[target_feature(enable = "pclmulqdq")]
    fn prefix_xor_clmul(bits: u64) -> u64 {
        _mm_cvtsi128_si64(_mm_clmulepi64_si128(_mm_set_epi64x(0, bits as i64), _mm_set1_epi8(-1), 0)) as u64
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi2")]
    fn select_avx512(block: &[u8; BLOCK], bits: u64, base: u32, bytes: &mut [u8; BLOCK], positions: &mut [u32; BLOCK]) {
        const ASCENDING: [u8; BLOCK] = {
            let mut ascending = [0; BLOCK];
            let mut index = 0;
            while index < BLOCK {
                ascending[index] = index as u8;
                index += 1;
            }
            ascending
        };
        // SAFETY: each reads 64 of 64 bytes, the store writes 64 of 64.
        let offsets = unsafe {
            let block = _mm512_loadu_si512(block.as_ptr().cast());
            _mm512_storeu_si512(bytes.as_mut_ptr().cast(), _mm512_maskz_compress_epi8(bits, block));
            _mm512_maskz_compress_epi8(bits, _mm512_loadu_si512(ASCENDING.as_ptr().cast()))
        };
        let mut put = |at: usize, offsets: __m128i| {
            let wide = _mm512_add_epi32(_mm512_cvtepu8_epi32(offsets), _mm512_set1_epi32(base as i32));
            // SAFETY: `at` is 0, 16, 32 or 48; writes 16 of the 64 numbers from there.
            unsafe { _mm512_storeu_si512(positions[at..at + 16].as_mut_ptr().cast(), wide) };
        };
        put(0, _mm512_extracti32x4_epi32::<0>(offsets));
        let count = bits.count_ones();
        if count > 16 {
            put(16, _mm512_extracti32x4_epi32::<1>(offsets));
            if count > 32 {
                put(32, _mm512_extracti32x4_epi32::<2>(offsets));
                put(48, _mm512_extracti32x4_epi32::<3>(offsets));
            }
        }
    }

    pub struct Avx2;

    /// SAFETY, of every call in it: `Avx2` is private to this module and used only within [`run_avx2`].
    impl Vector for Avx2 {
        #[inline(always)]
        fn bytes(block: &[u8; BLOCK]) -> Bytes {
            unsafe { bytes_avx2(block) }
        }

        #[inline(always)]
        fn tokens(first_bytes: &[u8; BLOCK]) -> Tokens {
            unsafe { tokens_avx2(first_bytes) }
        }

        #[inline(always)]
        fn prefix_xor(bits: u64) -> u64 {
            unsafe { prefix_xor_clmul(bits) }
        }

        #[inline(always)]
        fn select(block: &[u8; BLOCK], bits: u64, base: u32, bytes: &mut [u8; BLOCK], positions: &mut [u32; BLOCK]) {
            super::portable::select(block, bits, base, bytes, positions);
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn halves(block: &[u8; BLOCK]) -> [__m256i; 2] {
        let (low, high) = block.split_at(BLOCK / 2);
        // SAFETY: reads 32 bytes of each half, which has 32.
        unsafe { [low, high].map(|half| _mm256_loadu_si256(half.as_ptr().cast())) }
    }

    /// The mask of a block of which every byte of `halves` has its highest bit set where the mask has a one.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn mask(halves: [__m256i; 2]) -> u64 {
        let [low, high] = halves.map(|half| u64::from(_mm256_movemask_epi8(half) as u32));
        low | high << 32
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn bytes_avx2(block: &[u8; BLOCK]) -> Bytes {
        let halves = halves(block);
        let table = |[low, high]: [i64; 2]| _mm256_set_epi64x(high, low, high, low);
        let is = |byte: u8| mask(halves.map(|half| _mm256_cmpeq_epi8(half, _mm256_set1_epi8(byte as i8))));
        let last_control = _mm256_set1_epi8(0x1F);
        let (operators, spaces) = (table(OPERATORS), table(SPACES));
        Bytes {
            quotes: is(b'"'),
            backslashes: is(b'\\'),
            controls: mask(halves.map(|half| _mm256_cmpeq_epi8(_mm256_min_epu8(half, last_control), half))),
            operators: mask(halves.map(|half| {
                let as_braces = _mm256_or_si256(half, _mm256_set1_epi8(0x20));
                _mm256_cmpeq_epi8(_mm256_shuffle_epi8(operators, half), as_braces)
            })),
            spaces: mask(halves.map(|half| _mm256_cmpeq_epi8(_mm256_shuffle_epi8(spaces, half), half))),
            non_ascii: mask(halves),
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn tokens_avx2(first_bytes: &[u8; BLOCK]) -> Tokens {
        let halves = halves(first_bytes);
        let is = |byte: u8| mask(halves.map(|half| _mm256_cmpeq_epi8(half, _mm256_set1_epi8(byte as i8))));
        Tokens {
            open_objects: is(b'{'),
            close_objects: is(b'}'),
            open_arrays: is(b'['),
            close_arrays: is(b']'),
            commas: is(b','),
            colons: is(b':'),
            strings: is(b'"'),
        }
    }
}

mod portable {
    use super::{BLOCK, Bytes, Tokens, Vector};

    pub struct Portable;

    impl Vector for Portable {
        #[inline(always)]
        fn bytes(block: &[u8; BLOCK]) -> Bytes {
            let [quotes, backslashes, controls, operators, spaces, non_ascii, ..] = masks(block, &BYTES);
            Bytes { quotes, backslashes, controls, operators, spaces, non_ascii }
        }

        #[inline(always)]
        fn tokens(first_bytes: &[u8; BLOCK]) -> Tokens {
            let [open_objects, close_objects, open_arrays, close_arrays, commas, colons, strings, _] =
                masks(first_bytes, &TOKENS);
            Tokens { open_objects, close_objects, open_arrays, close_arrays, commas, colons, strings }
        }

        #[inline(always)]
        fn prefix_xor(mut bits: u64) -> u64 {
            for shift in [1, 2, 4, 8, 16, 32] {
                bits ^= bits << shift;
            }
            bits
        }

        #[inline(always)]
        fn select(block: &[u8; BLOCK], bits: u64, base: u32, bytes: &mut [u8; BLOCK], positions: &mut [u32; BLOCK]) {
            select(block, bits, base, bytes, positions);
        }
    }

    /// For every byte, a bit for each mask of [`Bytes`] it belongs to, in their order.
    const BYTES: [u8; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            table[byte] = match byte as u8 {
                b'"' => 1,
                b'\\' => 2,
                b'\t' | b'\n' | b'\r' => 4 | 16,
                b' ' => 16,
                b'{' | b'}' | b'[' | b']' | b':' | b',' => 8,
                0..0x20 => 4,
                0x80.. => 32,
                _ => 0,
            };
            byte += 1;
        }
        table
    };

    /// For every byte, a bit for the mask of [`Tokens`] it belongs to, in their order.
    const TOKENS: [u8; 256] = {
        let mut table = [0; 256];
        let bytes = b"{}[],:\"";
        let mut mask = 0;
        while mask < bytes.len() {
            table[bytes[mask] as usize] = 1 << mask;
            mask += 1;
        }
        table
    };

    /// Mask `n` has the bit of every byte for which bit `n` is set in `table`.
    #[inline(always)]
    fn masks(block: &[u8; BLOCK], table: &[u8; 256]) -> [u64; 8] {
        let mut masks = [0; 8];
        for (group, bytes) in block.as_chunks::<8>().0.iter().enumerate() {
            let columns = transpose(u64::from_le_bytes(bytes.map(|byte| table[byte as usize])));
            for (mask, column) in masks.iter_mut().zip(columns.to_le_bytes()) {
                *mask |= u64::from(column) << (8 * group);
            }
        }
        masks
    }

    /// Of an eight by eight matrix of bits, a byte a row, the transposed one (Hacker's Delight, 7-3).
    #[inline(always)]
    fn transpose(mut rows: u64) -> u64 {
        for (shift, selected) in [(7, 0x00AA_00AA_00AA_00AA), (14, 0x0000_CCCC_0000_CCCC), (28, 0x0000_0000_F0F0_F0F0)]
        {
            let swapped = (rows ^ rows >> shift) & selected;
            rows ^= swapped ^ swapped << shift;
        }
        rows
    }

    /// Eight at a time, wanted or not: a branch for each bit would be guessed wrong too often.
    #[inline(always)]
    pub fn select(
        block: &[u8; BLOCK],
        mut bits: u64,
        base: u32,
        bytes: &mut [u8; BLOCK],
        positions: &mut [u32; BLOCK],
    ) {
        let groups = bytes.as_chunks_mut::<8>().0.iter_mut().zip(positions.as_chunks_mut::<8>().0);
        for (bytes, positions) in groups {
            for (byte, position) in bytes.iter_mut().zip(positions) {
                let offset = bits.trailing_zeros() as usize % BLOCK;
                *byte = block[offset];
                *position = base + offset as u32;
                bits &= bits.wrapping_sub(1);
            }
            if bits == 0 {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct All<'a>(&'a [u8; BLOCK], u64);

    type Seen = ([u64; 6], [u64; 7], u64, Vec<u8>, Vec<u32>);

    impl Task for All<'_> {
        type Output = Seen;

        #[inline(always)]
        fn run<V: Vector>(self) -> Seen {
            let All(block, bits) = self;
            let b = V::bytes(block);
            let t = V::tokens(block);
            // Vectors may count some control characters among the operators.
            let operators = b.operators & !b.controls;
            let (mut bytes, mut positions) = ([0; BLOCK], [0; BLOCK]);
            V::select(block, bits, 1000, &mut bytes, &mut positions);
            let count = bits.count_ones() as usize;
            (
                [b.quotes, b.backslashes, b.controls, operators, b.spaces, b.non_ascii],
                [t.open_objects, t.close_objects, t.open_arrays, t.close_arrays, t.commas, t.colons, t.strings],
                V::prefix_xor(bits),
                bytes[..count].to_vec(),
                positions[..count].to_vec(),
            )
        }
    }

    /// The definitions, word for word.
    fn defined(block: &[u8; BLOCK], bits: u64) -> Seen {
        let mask = |is: &dyn Fn(u8) -> bool| {
            block.iter().enumerate().fold(0, |mask, (index, byte)| mask | u64::from(is(*byte)) << index)
        };
        let selected: Vec<usize> = (0..BLOCK).filter(|index| bits >> index & 1 == 1).collect();
        (
            [
                mask(&|byte| byte == b'"'),
                mask(&|byte| byte == b'\\'),
                mask(&|byte| byte < 0x20),
                mask(&|byte| b"{}[]:,".contains(&byte)),
                mask(&|byte| b" \t\n\r".contains(&byte)),
                mask(&|byte| !byte.is_ascii()),
            ],
            [b'{', b'}', b'[', b']', b',', b':', b'"'].map(|wanted| mask(&|byte| byte == wanted)),
            (0..BLOCK).fold(0, |xor, index| xor | u64::from((bits << (63 - index)).count_ones() % 2) << index),
            selected.iter().map(|index| block[*index]).collect(),
            selected.iter().map(|index| 1000 + *index as u32).collect(),
        )
    }

    #[test]
    fn every_instruction_set_says_what_is_defined() {
        let mut state = 1_u64;
        for round in 0_usize..2000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let block = std::array::from_fn(|index| (round * 31 + index * (round / 256 + 1)) as u8);
            let bits = [state, 0, u64::MAX, state & state >> 7 & state << 9, !(state & state >> 7)][round % 5];
            for isa in Isa::ALL.into_iter().filter_map(Available::of) {
                assert_eq!(isa.run(All(&block, bits)), defined(&block, bits), "{isa:?}, {block:?}, {bits:#x}");
            }
        }
    }
}
