//! The scanner against the parser: it may be silent, never wrong.

use proptest::prelude::*;

#[path = "../support/scan.rs"]
mod support;

use ghostlight::event::{DecodeSettings, Decoder};
use support::{BYTES, ID, Writer, check, decode, holds_one_event, mutate};

/// The least that is one.
const EVENT: &str = r#""type":"s","id":"1","date":"2026-11-01T00:00:00Z""#;

/// Every sample as it is, and without white space between its tokens.
fn samples() -> Vec<(String, Vec<u8>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples");
    let mut samples = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the samples") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        let bytes = std::fs::read(entry.path()).expect("a readable sample");
        let mut compact = Vec::new();
        let (mut inside, mut escaped) = (false, false);
        for byte in &bytes {
            if inside || !byte.is_ascii_whitespace() {
                compact.push(*byte);
            }
            inside ^= *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
        }
        samples.extend([(name.clone(), bytes), (name, compact)]);
    }
    samples
}

#[test]
fn events_in_common_shapes_are_not_left_to_the_parser() {
    let event = format!(
        r#""type":"s","date":"2026-11-01T00:00:00.000Z","client_id":"c","isMobile":false,"n":[1,-2.5,{{}}],"log_id":"{ID}""#
    );
    let spaced = event.replace(':', " : ").replace(',', " ,\r\n\t");
    for event in [event, spaced] {
        for json in [
            format!("{{{event}}}"),
            format!(" {{ {event} }} \r"),
            format!(r#"{{"log_id":"{ID}","data":{{{event}}}}}"#),
            format!(r#"{{"data":{{{event}}},"log_id":"{ID}"}}"#),
            format!("{{\n  \"log_id\": \"{ID}\",\n  \"data\": {{\n{event}\n}}\n}}\n"),
            format!(r#"{{{event},"scope":"a b","audience":["https:\/\/a\/","b"]}}"#),
            format!(r#"{{{event},"scope":null,"audience":null,"user_id":null,"ip":7}}"#),
            format!(r#"{{{event},"user_agent":"a \"b\" \u00e9 \\","description":"\n\u2028"}}"#),
            format!(r#"{{{event},"user_name":"Zoë 🙂","connection":"Ünï"}}"#),
            format!(r#"{{{event},"details":{{"type":1,"data":{{"log_id":[]}},"message":"{{"}}}}"#),
        ] {
            assert!(check(json.as_bytes()), "{json}");
        }
    }
}

#[test]
fn a_stream_that_changes_its_envelope_is_read_the_same() {
    let (mut decoder, mut parser) = (Decoder::new(None), Decoder::with_scanner(DecodeSettings::default(), None));
    for number in 0..200 {
        let event = format!(r#"{{"type":"s","log_id":"{number}","date":"2026-11-01T00:00:00Z"}}"#);
        let is_wrapped = number % 70 > 35;
        let json = if is_wrapped { format!(r#"{{"detail":{event}}}"#) } else { event };
        assert_eq!(check(json.as_bytes()), !is_wrapped, "{json}");
        let (found, expected) = (decode(&mut decoder, json.as_bytes()), decode(&mut parser, json.as_bytes()));
        assert!(found.0.len() == 1 && found.0.events().eq(expected.0.events()), "{json}");
    }
}

#[test]
fn only_samples_in_rare_envelopes_are_left_to_the_parser() {
    let left: Vec<_> = samples()
        .into_iter()
        .filter(|(_, sample)| holds_one_event(sample) && !check(sample))
        .map(|(name, _)| name)
        .collect();
    // The last one has no id.
    let rare = "splunk event-grid bridge-json bridge-event bridge-message s-2021-eventbridge seccft-2018";
    assert!(left.iter().all(|name| rare.split(' ').any(|rare| name == &format!("{rare}.json"))), "{left:?}");
}

/// Two of the bytes worth trying, others at the next place; the fuzz target tries them all.
fn some_bytes(at: usize) -> impl Iterator<Item = &'static u8> {
    BYTES.iter().skip(at % 18).step_by(18)
}

#[test]
fn one_wrong_byte_anywhere_in_a_sample() {
    for (_, sample) in samples() {
        check(&sample);
        let mut json = sample.clone();
        for at in 0..sample.len() {
            for byte in some_bytes(at) {
                json[at] = *byte;
                check(&json);
            }
            json[at] = sample[at];
        }
    }
}

#[test]
fn samples_with_a_byte_more_or_less_or_cut_off() {
    for (_, sample) in samples() {
        for at in 0..sample.len() {
            check(&sample[..at]);
            check(&sample[at..]);
            let without = [&sample[..at], &sample[at + 1..]].concat();
            check(&without);
            for byte in some_bytes(at) {
                check(&[&sample[..at], &[*byte], &sample[at..]].concat());
            }
        }
    }
}

/// Calls `visit` with every sequence of `length` of the `parts`.
fn sequences(parts: &[&str], length: usize, visit: &mut dyn FnMut(&str)) {
    let mut text = String::new();
    for number in 0..parts.len().pow(length as u32) {
        text.clear();
        let mut left = number;
        for _ in 0..length {
            text.push_str(parts[left % parts.len()]);
            left /= parts.len();
        }
        visit(&text);
    }
}

const TOKENS: [&str; 8] = ["{", "}", "[", "]", ",", ":", "\"a\"", "1"];

#[test]
fn a_short_sequence_of_tokens_is_taken_if_and_only_if_it_is_right() {
    let mut taken = 0;
    let mut is_right = |json: String| {
        let is_taken = check(json.as_bytes());
        assert_eq!(is_taken, holds_one_event(json.as_bytes()), "{json}");
        taken += usize::from(is_taken);
    };
    for length in 0..=6 {
        sequences(&TOKENS, length, &mut |tokens| is_right(format!(r#"{{{EVENT},"x":{tokens}}}"#)));
    }
    for length in 0..=5 {
        sequences(&TOKENS, length, &mut |tokens| {
            is_right(format!(r#"{{{EVENT}{tokens}}}"#));
            is_right(format!(r#"{{{EVENT},"x":[{tokens}}}"#));
            is_right(format!(r#"{{"data":{{{EVENT}}}{tokens}"#));
            is_right(format!(r#"{{"data":{{{EVENT}{tokens}}}}}"#));
            check(tokens.as_bytes());
        });
    }
    assert!(taken > 90, "{taken}");
}

#[test]
fn short_sequences_of_tokens_wherever_64_of_them_end() {
    for before in 48..=60 {
        let before = "1,".repeat(before / 2) + if before % 2 == 0 { "" } else { "{}," };
        sequences(&TOKENS, 4, &mut |tokens| {
            check(format!(r#"{{{EVENT},"x":[{before}{tokens}]}}"#).as_bytes());
            check(format!(r#"{{{EVENT},"y":[{before}1],"x":{{"a":{tokens}}}}}"#).as_bytes());
        });
    }
}

#[test]
fn strings_and_scalars_wherever_64_bytes_end() {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for byte in 0..=255 {
        parts.extend([vec![b'"', b'\\', byte, b'"'], vec![b'"', byte, b'"'], vec![byte], vec![b'1', byte]]);
        parts.extend([
            vec![b'"', byte, 0x80, b'"'],
            vec![b'"', 0xE2, byte, 0x80, b'"'],
            vec![b'"', 0xF0, byte, 0x80, 0x80, b'"'],
        ]);
        parts.push([b"\"\\u00", &[byte][..], b"0\""].concat());
        parts.push([b"\"\\uD", &[byte][..], b"00\""].concat());
    }
    for text in [
        r#""\\""#,
        r#""\\\""#,
        r#""\\\\""#,
        r#""\\\\\""#,
        r#""\"""#,
        r#""\\" "#,
        r#""\u0""#,
        r#""\ud83d\ude00""#,
        "true",
        "nul",
        "falsey",
        "-0",
        "00",
        "1.",
        "0.5",
        "1e5",
        "1E+05",
        "-",
        "123456789012345678",
        "-12345678901234567",
        "1234567890123456789",
        "18446744073709551616",
        "1.7976931348623157e309",
        "tru e",
        "1 2",
        "\"a\" \"b\"",
        "\"a\"b",
        "b\"a\"",
    ] {
        parts.push(text.as_bytes().to_vec());
    }
    let mut taken = 0;
    for part in parts {
        for padding in 0..70 {
            let padding = "x".repeat(padding);
            let json = [b"{", EVENT.as_bytes(), b",\"", padding.as_bytes(), b"\":", &part, b"}"].concat();
            taken += usize::from(check(&json));
            let json = [
                br#"{"type":"s","date":"2026-11-01T00:00:00Z","id":""#,
                padding.as_bytes(),
                br#"","ip":"#,
                &part,
                b" }",
            ]
            .concat();
            taken += usize::from(check(&json));
        }
    }
    assert!(taken > 10_000, "{taken}");
}

#[test]
fn deep_and_long_records() {
    for depth in 0..80 {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let inside = open.repeat(depth) + "1" + &close.repeat(depth);
            let taken = check(format!(r#"{{{EVENT},"x":{inside}}}"#).as_bytes());
            assert_eq!(taken, depth < 62, "{depth}");
            check(format!(r#"{{{EVENT},"x":{inside}{close}}}"#).as_bytes());
            check(format!(r#"{{{EVENT},"x":{open}{inside}}}"#).as_bytes());
        }
    }
    for (length, is_short) in [(1000, true), (100_000, true), (450_000, true), (600_000, false)] {
        let text = "é1234567".repeat(length / 8);
        let many = "[1,{}],".repeat(length / 7);
        let taken = check(format!(r#"{{{EVENT},"x":[{many}"{text}"]}}"#).as_bytes());
        assert_eq!(taken, is_short, "of {length} bytes each");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn valid_records_of_any_shape(choices in prop::collection::vec(any::<u8>(), 0..200)) {
        check(Writer::record(&choices).as_bytes());
    }

    #[test]
    fn broken_records(
        choices in prop::collection::vec(any::<u8>(), 0..120),
        mutations in prop::collection::vec((any::<usize>(), any::<usize>(), any::<u8>()), 1..4),
    ) {
        let mut json = Writer::record(&choices).into_bytes();
        for mutation in mutations {
            mutate(&mut json, mutation);
        }
        check(&json);
    }

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), picks in prop::collection::vec(any::<u8>(), 0..100)) {
        check(&bytes);
        let picked: Vec<u8> = picks.iter().map(|pick| BYTES[usize::from(*pick) % BYTES.len()]).collect();
        check(&picked);
        check(&[b"{", EVENT.as_bytes(), br#","x":"#, &picked[..], b"}"].concat());
    }
}
