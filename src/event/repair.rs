//! JSON that is right by its grammar, and that the parser still refuses: a number larger than any it has, and half of a
//! surrogate pair, as programs write it that cut a text inside an emoji. Asked only after the parser has refused.

/// The same JSON with every number of more than 15 digits, or with an exponent, as a string, and every lone surrogate as
/// the replacement character; `None` if there is neither, or nothing of the kind can be told.
pub(super) fn readable(json: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(json.len() + 16);
    let mut at = 0;
    let mut is_changed = false;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => {
                let end = at + 1 + string_length(&json[at + 1..])?;
                is_changed |= copy_string(&json[at..end], &mut out);
                at = end;
            }
            b'-' | b'0'..=b'9' => {
                let end = at + json[at..].iter().take_while(|byte| is_of_number(**byte)).count();
                let number = &json[at..end];
                let is_large = number.len() > 15 || number.iter().any(|byte| matches!(byte, b'e' | b'E'));
                if is_large && is_number(number) {
                    out.push(b'"');
                    out.extend_from_slice(number);
                    out.push(b'"');
                    is_changed = true;
                } else {
                    out.extend_from_slice(number);
                }
                at = end;
            }
            other => {
                out.push(*other);
                at += 1;
            }
        }
    }
    is_changed.then_some(out)
}

/// Bytes up to and with the closing quotation mark.
fn string_length(rest: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match rest.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Copies a string with its quotation marks; says whether anything in it was replaced.
fn copy_string(text: &[u8], out: &mut Vec<u8>) -> bool {
    let mut is_changed = false;
    let mut at = 0;
    while at < text.len() {
        if text[at] != b'\\' {
            out.push(text[at]);
            at += 1;
            continue;
        }
        let length = match (unit(&text[at..]), unit(text.get(at + 6..).unwrap_or_default())) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(0xD800..=0xDFFF), _) => {
                out.extend_from_slice(b"\\ufffd");
                is_changed = true;
                at += 6;
                continue;
            }
            (Some(_), _) => 6,
            (None, _) => 2,
        };
        let end = (at + length).min(text.len());
        out.extend_from_slice(&text[at..end]);
        at = end;
    }
    is_changed
}

/// The code unit of a `\\uXXXX`.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    let digits = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u16::from_str_radix(digits, 16).ok()
}

fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

/// Whether this is a number by JSON's grammar.
fn is_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut rest = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest[0] == b'0') {
        return false;
    }
    rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = &fraction[count..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = exponent.strip_prefix(b"+").or_else(|| exponent.strip_prefix(b"-")).unwrap_or(exponent);
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str) -> Option<String> {
        readable(json.as_bytes()).map(|bytes| String::from_utf8(bytes).expect("text stays text"))
    }

    #[test]
    fn large_numbers_become_strings_and_half_surrogates_the_replacement_character() {
        for (json, expected) in [
            (r#"{"a":1e999,"b":[-12345678901234567890123]}"#, r#"{"a":"1e999","b":["-12345678901234567890123"]}"#),
            (r#"["\ud83d","\ud83d\ude00","x\ude00y"]"#, r#"["\ufffd","\ud83d\ude00","x\ufffdy"]"#),
            (r#"["\\ud83d", "\ud83d\n"]"#, r#"["\\ud83d", "\ufffd\n"]"#),
            (r#"["\ud83d\ud83d\ude00"]"#, r#"["\ufffd\ud83d\ude00"]"#),
        ] {
            assert_eq!(text(json).as_deref(), Some(expected), "{json}");
        }
    }

    #[test]
    fn what_is_no_json_is_not_made_any() {
        for json in [
            r#"{"a":1}"#,
            r#"{"a":01234567890123456789}"#,
            r#"{"a":1e}"#,
            r#"{"a":1.e999}"#,
            r#"{"a":"1e999"#,
            r#"{"a":-}"#,
            r#""\uzzzz""#,
            "",
        ] {
            assert_eq!(text(json), None, "{json}");
        }
    }
}
