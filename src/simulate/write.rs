//! The few ways JSON gets into the buffer: literals, numbers, escaped text, dates. No value tree, no allocation.

use super::civil;

const DAY_MS: i64 = 86_400_000;
const HEX: &[u8; 16] = b"0123456789abcdef";

pub fn raw(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// Writes what may be inside a JSON string.
pub fn escaped(out: &mut Vec<u8>, text: &[u8]) {
    let mut from = 0;
    for (i, byte) in text.iter().enumerate() {
        if *byte >= 0x20 && *byte != b'"' && *byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&text[from..i]);
        from = i + 1;
        match byte {
            b'"' => raw(out, "\\\""),
            b'\\' => raw(out, "\\\\"),
            b'\t' => raw(out, "\\t"),
            b'\n' => raw(out, "\\n"),
            b'\r' => raw(out, "\\r"),
            _ => {
                raw(out, "\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
        }
    }
    out.extend_from_slice(&text[from..]);
}

/// Writes a JSON string.
pub fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escaped(out, text.as_bytes());
    out.push(b'"');
}

/// Writes a JSON string in pure ASCII, as many serializers do, with surrogate pairs where they are needed.
pub fn ascii_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for letter in text.chars() {
        let mut bytes = [0; 4];
        if letter.is_ascii() {
            escaped(out, letter.encode_utf8(&mut bytes).as_bytes());
            continue;
        }
        let mut units = [0; 2];
        for unit in letter.encode_utf16(&mut units) {
            raw(out, "\\u");
            hex(out, u64::from(*unit), 4);
        }
    }
    out.push(b'"');
}

pub fn hex(out: &mut Vec<u8>, number: u64, width: u32) {
    for i in (0..width).rev() {
        out.push(HEX[(number >> (4 * i)) as usize & 15]);
    }
}

pub fn number(out: &mut Vec<u8>, number: u64) {
    digits(out, number, 1);
}

/// Writes `number` with at least `width` digits, 20 at most.
pub fn digits(out: &mut Vec<u8>, number: u64, width: usize) {
    let mut buffer = [b'0'; 20];
    let mut at = buffer.len();
    let mut left = number;
    while left > 0 {
        at -= 1;
        buffer[at] = b'0' + (left % 10) as u8;
        left /= 10;
    }
    let begin = at.min(buffer.len() - width.min(buffer.len()));
    out.extend_from_slice(&buffer[begin..]);
}

/// Writes `2026-11-01T00:00:00`, with `.000` where asked for, and `Z`.
pub fn date(out: &mut Vec<u8>, at: i64, with_ms: bool) {
    let (year, month, day) = civil(at.div_euclid(DAY_MS));
    let ms = at.rem_euclid(DAY_MS) as u64;
    let parts = [
        (year.unsigned_abs(), 4, b'-'),
        (month, 2, b'-'),
        (day, 2, b'T'),
        (ms / 3_600_000, 2, b':'),
        (ms / 60_000 % 60, 2, b':'),
    ];
    for (part, width, after) in parts {
        digits(out, part, width);
        out.push(after);
    }
    digits(out, ms / 1_000 % 60, 2);
    if with_ms {
        out.push(b'.');
        digits(out, ms % 1_000, 3);
    }
    out.push(b'Z');
}

/// Writes the time as it is in a `log_id`: `20261101000000000`.
pub fn compact_date(out: &mut Vec<u8>, at: i64) {
    let (year, month, day) = civil(at.div_euclid(DAY_MS));
    let ms = at.rem_euclid(DAY_MS) as u64;
    digits(out, year.unsigned_abs(), 4);
    digits(out, month, 2);
    digits(out, day, 2);
    digits(out, ms / 3_600_000, 2);
    digits(out, ms / 60_000 % 60, 2);
    digits(out, ms / 1_000 % 60, 2);
    digits(out, ms % 1_000, 3);
}

/// Writes a UUID made of `seed`.
pub fn uuid(out: &mut Vec<u8>, seed: u64) {
    let more = super::mix(seed);
    hex(out, seed >> 32, 8);
    out.push(b'-');
    hex(out, seed >> 16, 4);
    raw(out, "-4");
    hex(out, seed, 3);
    raw(out, "-a");
    hex(out, more, 3);
    out.push(b'-');
    hex(out, more >> 16, 12);
}
