//! Numbers and literals.

/// Digits, sign and point of numbers that are taken, in bytes: what is no longer always fits in an `i64` or an `f64`.
const NUMBER_LENGTH_MAX: usize = 18;

/// Whether `json[start..end]` is `true`, `false`, `null` or a number by JSON's grammar. Numbers of more than 18 characters or
/// with a large exponent are answered no.
#[inline(always)]
pub fn is_scalar(json: &[u8], start: usize, end: usize) -> bool {
    let length = end - start;
    let Some(head) = json.get(start..).and_then(<[u8]>::first_chunk::<16>) else {
        return is_other_scalar(&json[start..end]);
    };
    // All digits, as is most often so: nothing else has 3 as its high half and stays so when 6 is added.
    const THREES: u128 = u128::from_le_bytes([0x30; 16]);
    const HIGHS: u128 = u128::from_le_bytes([0xF0; 16]);
    const SIXES: u128 = u128::from_le_bytes([6; 16]);
    let head = u128::from_le_bytes(*head);
    let of_scalar = u128::MAX >> (128 - 8 * length.clamp(1, 16));
    let no_digits = ((head & HIGHS ^ THREES) | (((head & !HIGHS) + SIXES) & HIGHS)) & of_scalar;
    let is_digits = (no_digits == 0) & (length <= 16) & ((head as u8 != b'0') | (length == 1));
    let is = |word: &[u8; 8], size: usize| (head & of_scalar == u64::from_le_bytes(*word).into()) & (length == size);
    let is_literal = is(b"true\0\0\0\0", 4) | is(b"null\0\0\0\0", 4) | is(b"false\0\0\0", 5);
    // Which of these it is is not to be guessed, so all are tried.
    is_digits | is_literal || is_other_scalar(&json[start..end])
}

#[inline(never)]
fn is_other_scalar(text: &[u8]) -> bool {
    if let b"true" | b"false" | b"null" = text {
        return true;
    }
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let (whole, rest) = unsigned.split_at(digits(unsigned));
    let is_whole = match whole {
        [] => false,
        [b'0', more @ ..] => more.is_empty(),
        _ => true,
    };
    let (fraction, exponent) = match rest.strip_prefix(b".") {
        Some(fraction) => fraction.split_at(digits(fraction)),
        None => (&b"0"[..], rest),
    };
    // With so few digits it cannot become infinite.
    let is_exponent =
        matches!(exponent, [] | [b'e' | b'E', b'0'..=b'9'] | [b'e' | b'E', b'+' | b'-' | b'0'..=b'9', b'0'..=b'9']);
    text.len() <= NUMBER_LENGTH_MAX && is_whole && !fraction.is_empty() && is_exponent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_told_from_what_only_looks_like_one() {
        let good = "true false null 0 -0 1 9 10 123456789012345 1234567890123456 123456789012345678 -1 1.5 0.25 -0.0 10.01 1e3 1E+2 1.5e-3 0e10";
        let bad = "tru truex True falsy false0 fals nul nulll - -- 00 01 -01 1. .5 1.5. 1e 1e+ 1.e1 1e123 1e+10 0x1 1234567890123456789 \
            12a45 1:2 1/2 +1 1-1 NaN Infinity \u{c} 1\u{0} 1\u{ff} -true";
        for (words, expected) in [(good, true), (bad, false)] {
            for word in words.split(' ') {
                // With enough behind it for the fast way, and without.
                for after in ["", ",0123456789abcdefghij", "                "] {
                    let json = format!("{word}{after}");
                    assert_eq!(is_scalar(json.as_bytes(), 0, word.len()), expected, "{word}");
                }
            }
        }
    }
}
