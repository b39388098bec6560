//! What the scanner is held to: the verdict of the parser on whatever bytes, and bytes worth asking about. Shared by the
//! quick suite and the fuzz target.

use std::io::Write;

use ghostlight::event::scan::{Isa, Scanner};
use ghostlight::event::{DecodeSettings, Decoded, Decoder, EventTime, ReadTime, Reject};

/// An id that says when the event was taken in, so that it needs no date.
pub const ID: &str = "90020241024190617517000000000000001223372036854775807123";

/// Two years after that.
const READ: ReadTime = ReadTime { arrived: None, now: EventTime::from_ms(1_795_435_200_000) };

fn whole() -> DecodeSettings {
    DecodeSettings { whole: true, ..DecodeSettings::default() }
}

struct Decoders {
    parser: Decoder,
    /// One for each instruction set that this processor has.
    scanners: Vec<(Isa, Scanner, Decoder)>,
}

impl Decoders {
    fn new() -> Self {
        let (mut scanners, mut lacking) = (Vec::new(), Vec::new());
        for isa in Isa::ALL {
            match Scanner::with(isa) {
                Some(scanner) => {
                    scanners.push((isa, scanner.clone(), Decoder::with_scanner(whole(), Some(scanner))));
                }
                None => lacking.push(isa),
            }
        }
        static SAID: std::sync::Once = std::sync::Once::new();
        if !lacking.is_empty() {
            // Past what the test harness keeps to itself.
            SAID.call_once(|| drop(writeln!(std::io::stderr(), "NOT TESTED, this processor has no {lacking:?}")));
        }
        Self { parser: Decoder::with_scanner(whole(), None), scanners }
    }
}

thread_local! {
    static DECODERS: std::cell::RefCell<Decoders> = std::cell::RefCell::new(Decoders::new());
}

pub fn decode(decoder: &mut Decoder, json: &[u8]) -> (Decoded, Vec<Reject>) {
    let (mut decoded, mut rejects) = (Decoded::default(), Vec::new());
    decoder.decode_line(json, READ, &mut decoded, &mut |reject| rejects.push(reject));
    (decoded, rejects)
}

/// Asserts that with every instruction set a decoder says what one without a scanner says: the same events, field by field,
/// and the same reasons. Returns whether the scanner took the record.
pub fn check(json: &[u8]) -> bool {
    DECODERS.with_borrow_mut(|Decoders { parser, scanners }| {
        let (expected, reasons) = decode(parser, json);
        let mut taken = Vec::new();
        for (isa, scanner, decoder) in scanners {
            // So that it asks its scanner, however many it was not sure of before.
            decode(decoder, br#"{"type":"s","id":"1"}"#);
            let (found, rejects) = decode(decoder, json);
            let same = found.events().eq(expected.events()) && rejects == reasons;
            assert!(
                same,
                "{isa:?} and the parser differ over {}:\n{:?}, {rejects:?}\n{:?}, {reasons:?}",
                String::from_utf8_lossy(json),
                found.events().collect::<Vec<_>>(),
                expected.events().collect::<Vec<_>>(),
            );
            taken.push(scanner.scan(json).is_some());
        }
        assert!(taken.iter().all(|is_taken| *is_taken == taken[0]), "{taken:?} of {}", String::from_utf8_lossy(json));
        taken[0]
    })
}

/// Whether the parser finds one event here, and nothing wrong.
#[allow(dead_code)]
pub fn holds_one_event(json: &[u8]) -> bool {
    DECODERS.with_borrow_mut(|decoders| {
        let (decoded, rejects) = decode(&mut decoders.parser, json);
        decoded.len() == 1 && rejects.is_empty()
    })
}

/// Bytes with a meaning in JSON or UTF-8, and some without.
pub const BYTES: &[u8] = b"\"\\{}[]:,0-19.eEtfnulx/ \t\n\r\0\x0c\x1a\x1f\x7f\x80\xbf\xc3\xed\xf0\xff";

/// Writes JSON as a list of choices says, so that what fails can be made smaller.
pub struct Writer<'c> {
    choices: std::slice::Iter<'c, u8>,
    out: String,
    space: u8,
}

impl Writer<'_> {
    fn choose(&mut self, below: u8) -> u8 {
        self.choices.next().copied().unwrap_or_default() % below
    }

    fn one_of<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[usize::from(self.choose(of.len() as u8))]
    }

    fn put(&mut self, token: &str) {
        if self.space == 2 {
            let space = self.one_of(&[
                "",
                " ",
                "\t",
                "\r\n  ",
                "                                                                 ",
            ]);
            self.out.push_str(space);
        }
        self.out.push_str(token);
        self.out.push_str(if self.space == 1 && (token == ":" || token == ",") { " " } else { "" });
    }

    fn key(&mut self) {
        let key = match self.choose(12) {
            0..6 => self.one_of(&[
                "type",
                "log_id",
                "_id",
                "id",
                "date",
                "tenant_name",
                "hostname",
                "organization_id",
                "organization_name",
                "connection",
                "strategy",
                "client_id",
                "client_name",
                "user_id",
                "ip",
                "user_agent",
                "audience",
                "scope",
            ]),
            6..10 => self.one_of(&[
                "details",
                "description",
                "",
                "a",
                "auth0_client",
                "isMobile",
                "é",
                "types",
                "\\\"",
                "\\u0061",
            ]),
            10 => self.one_of(&["data", "logs", "records", "detail", "event", "json", "message"]),
            _ => self.one_of(&["t\\u0079pe", "d\\u0061ta", "log\\u005fid", "mess\\u0061ge", "\\u0069d"]),
        };
        self.put(&format!("\"{key}\""));
    }

    fn value(&mut self, depth: u8) {
        match self.choose(if depth == 0 { 8 } else { 12 }) {
            0..6 => {
                let text = self.one_of(&[
                    "",
                    "s",
                    "fu",
                    "nocode",
                    ID,
                    "a b",
                    "b  a",
                    "2026-11-01T00:00:00.000Z",
                    "https:\\/\\/a\\/",
                    "\\\"q\\\"",
                    "\\\\",
                    "é🙂",
                    "\\u00e9",
                    "\\ud83d\\ude00",
                    "\\ud83d",
                    "{\\\"type\\\":\\\"s\\\"}",
                    " [",
                    "{",
                    "\\n",
                    "a, {b}: [c]",
                    "0123456789012345678901234567890123456789012345678901234567890123456789",
                ]);
                self.put(&format!("\"{text}\""));
            }
            6..8 => {
                let scalar = self.one_of(&[
                    "null",
                    "true",
                    "false",
                    "0",
                    "-1",
                    "17",
                    "1.5",
                    "1e3",
                    "1e999",
                    "123456789012345678",
                    "12345678901234567890",
                    "-0",
                    "1793491194088",
                ]);
                self.put(scalar);
            }
            8..10 => self.object(depth - 1),
            _ => {
                self.put("[");
                for item in 0..self.choose(4) {
                    if item > 0 {
                        self.put(",");
                    }
                    self.value(depth - 1);
                }
                self.put("]");
            }
        }
    }

    fn object(&mut self, depth: u8) {
        self.put("{");
        for field in 0..self.choose(8) {
            if field > 0 {
                self.put(",");
            }
            self.key();
            self.put(":");
            self.value(depth);
        }
        self.put("}");
    }

    /// An object with a type and an id among its fields, most of the time.
    fn event(&mut self) {
        self.put("{");
        let mut fields: Vec<u8> = vec![0, 1];
        fields.extend((0..self.choose(10)).map(|_| 2));
        for index in (1..fields.len()).rev() {
            let other = usize::from(self.choose(index as u8 + 1));
            fields.swap(index, other);
        }
        for (index, field) in fields.into_iter().enumerate() {
            if index > 0 {
                self.put(",");
            }
            match field {
                0 => self.put("\"type\""),
                1 => {
                    let key = self.one_of(&["\"log_id\"", "\"_id\"", "\"id\"", "\"x\""]);
                    self.put(key);
                }
                _ => self.key(),
            }
            self.put(":");
            match field {
                0 => {
                    let code = self.one_of(&["\"s\"", "\"seccft\"", "\"nocode\"", "\"\"", "1"]);
                    self.put(code);
                }
                1 => self.put(&format!("\"{ID}\"")),
                _ => self.value(3),
            }
        }
        self.put("}");
    }

    pub fn record(choices: &[u8]) -> String {
        let mut writer = Writer { choices: choices.iter(), out: String::new(), space: 0 };
        writer.space = writer.choose(3);
        match writer.choose(8) {
            0..3 => writer.event(),
            3..6 => {
                writer.put("{");
                let id_first = writer.choose(2) == 0;
                for part in 0..2 {
                    if part > 0 {
                        writer.put(",");
                    }
                    if (part == 0) == id_first {
                        let key = writer.one_of(&["\"log_id\"", "\"log_id\"", "\"id\"", "\"type\""]);
                        writer.put(key);
                        writer.put(":");
                        writer.value(2);
                    } else {
                        let key = writer.one_of(&["\"data\"", "\"data\"", "\"data\"", "\"detail\"", "\"event\""]);
                        writer.put(key);
                        writer.put(":");
                        writer.event();
                    }
                }
                for _ in 0..writer.choose(3) {
                    writer.put(",");
                    writer.key();
                    writer.put(":");
                    writer.value(2);
                }
                writer.put("}");
            }
            6 => writer.object(4),
            _ => writer.value(4),
        }
        writer.put("");
        writer.out
    }
}

pub fn mutate(json: &mut Vec<u8>, mutation: (usize, usize, u8)) {
    let (kind, at, byte) = mutation;
    let at = at % (json.len() + 1);
    let byte = BYTES[usize::from(byte) % BYTES.len()];
    match kind % 6 {
        0 => json.truncate(at),
        1 => json.insert(at, byte),
        2 if at < json.len() => json[at] = byte,
        3 if at < json.len() => drop(json.remove(at)),
        4 => json.rotate_left(at),
        5 => {
            let end = (at + usize::from(byte)).min(json.len());
            let part = json[at..end].to_vec();
            json.splice(at..at, part);
        }
        _ => {}
    }
}
