//! The log event in a piece of JSON, found without building anything: what is not asked for is checked and passed over.
//!
//! Three steps, each over the whole value: its bytes become tokens (`index`), the tokens are checked to be JSON
//! (`grammar`), the keys of the event are looked up (`key`). All of the JSON is checked, also where nothing is read.
//!
//! Sure or silent: a [`Scanner`] knows the two common shapes, an event and an event in the `data` of an object, and answers
//! `None` to everything it has the least doubt of. Then nothing has been said about the record; the parser decides.

mod grammar;
mod index;
mod isa;
mod key;
mod scalar;

use std::hint::select_unpredictable;
use std::ops::Range;

use grammar::Layout;
use index::Index;
pub use isa::Isa;
use isa::{Available, BLOCK, Task, Vector};
use key::Key;

/// The texts of one event as they came; empty where it has none, or one that is not a string.
#[derive(Debug, Default, Clone, Copy)]
pub struct Fields<'i> {
    pub type_code: &'i str,
    pub log_id: &'i str,
    pub id: &'i str,
    pub underscore_id: &'i str,
    pub tenant_name: &'i str,
    pub hostname: &'i str,
    pub organization_id: &'i str,
    pub organization_name: &'i str,
    pub connection: &'i str,
    pub strategy: &'i str,
    pub client_id: &'i str,
    pub client_name: &'i str,
    pub user_id: &'i str,
    pub user_name: &'i str,
    pub ip: &'i str,
    pub user_agent: &'i str,
    pub description: &'i str,
}

/// An event that the scanner is sure of: it has a type, and an id of its own or around it.
#[derive(Debug)]
pub struct Event<'s> {
    /// The `log_id` of the object around the event.
    pub outer_id: &'s str,
    pub fields: Fields<'s>,
    /// `None` where it is absent or null.
    pub date: Option<&'s str>,
    pub audience: Strings<'s>,
    pub scope: Strings<'s>,
}

/// A string, or the strings in an array.
#[derive(Debug, Clone, Copy)]
pub struct Strings<'s> {
    texts: Texts<'s>,
    spans: &'s [Span],
}

impl<'s> Strings<'s> {
    pub fn iter(self) -> impl Iterator<Item = &'s str> + Clone {
        self.spans.iter().map(move |span| self.texts.get(*span))
    }
}

/// Reads one value after another. Keeps its buffers; one per thread.
#[derive(Debug, Clone)]
pub struct Scanner {
    isa: Available,
    buffers: Buffers,
}

#[derive(Debug, Default, Clone)]
struct Buffers {
    index: Index,
    layout: Vec<Layout>,
    /// Of the outermost object, and of the one in its `data`.
    outer: Values,
    inner: Values,
    /// Strings of the event that had escapes, without them.
    unescaped: String,
    spans: Vec<Span>,
}

impl Default for Scanner {
    fn default() -> Self {
        Self { isa: Available::best(), buffers: Buffers::default() }
    }
}

impl Scanner {
    /// A scanner that uses these instructions and no others; `None` where the processor lacks them.
    pub fn with(isa: Isa) -> Option<Self> {
        Some(Self { isa: Available::of(isa)?, buffers: Buffers::default() })
    }

    /// The event in `json`, if that is one value, valid to its last byte, that holds exactly one event, which has an id.
    /// `None` means that it was not understood, not that it is wrong.
    ///
    /// `json` needs no padding, and may have white space around it.
    #[inline]
    pub fn scan<'s>(&'s mut self, json: &'s [u8]) -> Option<Event<'s>> {
        // Arrays of events are the parser's.
        json.trim_ascii_start().first().filter(|first| **first == b'{')?;
        self.isa.run(Scan { json, buffers: &mut self.buffers })
    }
}

struct Scan<'s> {
    json: &'s [u8],
    buffers: &'s mut Buffers,
}

impl<'s> Task for Scan<'s> {
    type Output = Option<Event<'s>>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Self::Output {
        let text = self.buffers.index.fill::<V>(self.json)?;
        grammar::check::<V>(self.json, &self.buffers.index, &mut self.buffers.layout)?;
        self.buffers.event(text)
    }
}

/// Where a string and its quotation marks are in [`Texts`], both ends below 2³². One number, so that it is stored and loaded
/// as one.
#[derive(Debug, Clone, Copy, Default)]
struct Span(u64);

impl Span {
    /// Nothing, and where quotation marks would be.
    const NOTHING: Self = Self(2 << 32);

    #[inline(always)]
    fn new(start: usize, end: usize) -> Self {
        Self(start as u64 | (end as u64) << 32)
    }

    /// What is between the quotation marks.
    #[inline(always)]
    fn inside(self) -> Range<usize> {
        let (start, end) = (self.0 as u32 as usize, (self.0 >> 32) as usize);
        start + 1..end.wrapping_sub(1)
    }
}

/// The JSON and, after it, what was unescaped.
#[derive(Debug, Clone, Copy)]
struct Texts<'s> {
    json: &'s str,
    unescaped: &'s str,
}

impl<'s> Texts<'s> {
    #[inline(always)]
    fn get(self, span: Span) -> &'s str {
        let span = span.inside();
        self.json.get(span.clone()).unwrap_or_else(|| self.unescaped(span))
    }

    #[cold]
    fn unescaped(self, span: Range<usize>) -> &'s str {
        let behind = |at: usize| at.checked_sub(self.json.len());
        let text = behind(span.start).zip(behind(span.end)).and_then(|(start, end)| self.unescaped.get(start..end));
        text.unwrap_or_default()
    }
}

/// The values of the wanted keys of an object, by the number of the key.
#[derive(Debug, Clone)]
struct Values {
    /// For which keys there is a value: [`Key::bit`]. Of the others, what is below is left from before.
    seen: u32,
    tokens: [u32; Key::COUNT],
    /// Where those that are strings begin and end.
    strings: [Span; Key::COUNT],
    /// Room for the numbers and tokens of keys that may be wanted ones.
    found: [(u32, u32); FOUND_MAX],
}

/// How many keys with the ends and the length of wanted ones an object may have.
const FOUND_MAX: usize = 64;

impl Default for Values {
    fn default() -> Self {
        Self { seen: 0, tokens: [0; Key::COUNT], strings: [Span::NOTHING; Key::COUNT], found: [(0, 0); FOUND_MAX] }
    }
}

impl Values {
    /// The token of a value, which is 0, as no value's is, where there is none.
    #[inline(always)]
    fn token(&self, key: Key) -> usize {
        if self.seen & key.bit() == 0 { 0 } else { self.tokens[key as usize] as usize }
    }

    /// Nothing where there is no value, or one that is not a string.
    #[inline(always)]
    fn string(&self, key: Key) -> Span {
        // Which fields there are is not to be guessed.
        select_unpredictable(self.seen & key.bit() == 0, Span::NOTHING, self.strings[key as usize])
    }

    /// Finds what the wanted ones of the keys in a range of tokens stand for. `None` if there are two of one, or if any key
    /// is written with escapes.
    #[inline(always)]
    fn find(
        &mut self,
        json: &[u8],
        index: &Index,
        layout: &[Layout],
        range: Range<usize>,
        keys: impl Fn(&Layout) -> u64,
    ) -> Option<()> {
        // First what may be wanted keys, then their values: which keys are wanted is not to be guessed.
        let (mut count, mut escaped) = (0, 0);
        for block in range.start / BLOCK..range.end.div_ceil(BLOCK) {
            let at = block * BLOCK;
            let mut keys = keys(layout.get(block)?) & from(range.start, at) & !from(range.end, at);
            escaped |= index.escaped(block) & keys;
            while keys != 0 {
                let token = at + keys.trailing_zeros() as usize;
                keys &= keys - 1;
                let (start, end) = index.extent(json, token)?;
                let key = Key::guess(json, start + 1, end - 1)?;
                *self.found.get_mut(count)? = (key as u32, token as u32);
                count += usize::from(key != Key::COUNT);
            }
        }
        let (mut seen, mut twice) = (0, 0);
        for (key, token) in self.found.iter().take(count) {
            let (key, token) = (*key as usize, *token as usize);
            if !Key::is(key, json, index.position(token) + 1) {
                continue;
            }
            twice |= seen & 1 << key;
            seen |= 1 << key;
            // The value comes after the colon.
            let value = token + 2;
            let (start, end) = index.extent(json, value)?;
            let is_string = index.first_byte(value) == b'"';
            self.tokens[key] = value as u32;
            self.strings[key] = select_unpredictable(is_string, Span::new(start, end), Span::NOTHING);
        }
        self.seen = seen;
        (twice == 0 && escaped == 0).then_some(())
    }
}

/// The keys under which envelopes keep what they wrap.
const WRAPPERS: u32 = Key::Data.bit()
    | Key::Logs.bit()
    | Key::Records.bit()
    | Key::Detail.bit()
    | Key::Event.bit()
    | Key::Json.bit()
    | Key::Message.bit();

impl Buffers {
    /// The event in a valid object.
    #[inline(always)]
    fn event<'s>(&'s mut self, json: &'s str) -> Option<Event<'s>> {
        let bytes = json.as_bytes();
        let Self { index, layout, outer, inner, unescaped, spans } = self;
        outer.find(bytes, index, layout, 0..index.len(), |layout| layout.outer_keys)?;
        // An object that wraps nothing is the event; one that wraps an object with a type under one key holds it there.
        let (values, envelope) = if outer.seen & WRAPPERS == 0 {
            (outer, None)
        } else {
            if outer.seen & WRAPPERS != Key::Data.bit() || index.first_byte(outer.token(Key::Data)) != b'{' {
                return None;
            }
            let start = outer.token(Key::Data);
            let end = end_of_container(layout, start);
            inner.find(bytes, index, layout, start..end, |layout| layout.inner_keys)?;
            if inner.seen & WRAPPERS != 0 {
                return None;
            }
            (inner, Some(&*outer))
        };
        // A number can be an id; a date can be a number, or wrapped.
        let is_string_or_null = |key: Key| {
            let token = values.token(key);
            token == 0 || matches!(index.first_byte(token), b'"' | b'n')
        };
        if !is_string_or_null(Key::LogId) || !is_string_or_null(Key::Date) {
            return None;
        }

        unescaped.clear();
        spans.clear();
        let mut outer_id = envelope.map_or(Span::NOTHING, |envelope| envelope.string(Key::LogId));
        if index.has_escapes() {
            if envelope.is_some_and(|envelope| index.is_escaped(envelope.token(Key::LogId))) {
                outer_id = unescape(json, outer_id, unescaped)?;
            }
            for key in (0..Key::COUNT).filter(|key| values.seen >> key & 1 == 1) {
                if index.is_escaped(values.tokens[key] as usize) {
                    values.strings[key] = unescape(json, values.strings[key], unescaped)?;
                }
            }
        }
        let mut set = |key: Key| {
            let first = spans.len();
            let token = values.token(key);
            if index.first_byte(token) == b'[' {
                push_strings(json, index, token + 1, unescaped, spans)?;
            } else {
                spans.push(values.string(key));
            }
            Some(first..spans.len())
        };
        let (audience, scope) = (set(Key::Audience)?, set(Key::Scope)?);

        let texts = Texts { json, unescaped };
        let set = |range: Range<usize>| Strings { texts, spans: &spans[range] };
        let text = |key: Key| texts.get(values.string(key));
        let fields = Fields {
            type_code: text(Key::Type),
            log_id: text(Key::LogId),
            id: text(Key::Id),
            underscore_id: text(Key::UnderscoreId),
            tenant_name: text(Key::TenantName),
            hostname: text(Key::Hostname),
            organization_id: text(Key::OrganizationId),
            organization_name: text(Key::OrganizationName),
            connection: text(Key::Connection),
            strategy: text(Key::Strategy),
            client_id: text(Key::ClientId),
            client_name: text(Key::ClientName),
            user_id: text(Key::UserId),
            user_name: text(Key::UserName),
            ip: text(Key::Ip),
            user_agent: text(Key::UserAgent),
            description: text(Key::Description),
        };
        let outer_id = texts.get(outer_id);
        let has_id = [fields.log_id, outer_id, fields.underscore_id, fields.id].iter().any(|id| !id.is_empty());
        if fields.type_code.is_empty() || !has_id {
            return None;
        }
        Some(Event {
            outer_id,
            fields,
            date: (index.first_byte(values.token(Key::Date)) == b'"').then(|| text(Key::Date)),
            audience: set(audience),
            scope: set(scope),
        })
    }
}

/// Appends the strings from token `item` on to the end of the array they are in. `None` if there are containers in it.
#[inline(never)]
fn push_strings(
    json: &str,
    index: &Index,
    mut item: usize,
    unescaped: &mut String,
    spans: &mut Vec<Span>,
) -> Option<()> {
    loop {
        match index.first_byte(item) {
            b']' => return Some(()),
            b'{' | b'[' => return None,
            b'"' => {
                let (start, end) = index.extent(json.as_bytes(), item)?;
                let span = Span::new(start, end);
                spans.push(if index.is_escaped(item) { unescape(json, span, unescaped)? } else { span });
            }
            0 => return None,
            _ => {}
        }
        item += 1;
    }
}

/// The closing bracket of a container directly in the outermost one.
fn end_of_container(layout: &[Layout], start: usize) -> usize {
    let outer = |block: usize| layout.get(block).map_or(u64::MAX, |layout| layout.outer);
    let mut block = start / BLOCK;
    let mut after = outer(block) & from(start, block * BLOCK);
    while after == 0 {
        block += 1;
        after = outer(block);
    }
    block * BLOCK + after.trailing_zeros() as usize
}

/// Of the 64 tokens from `at` on, those that are `token` or come after it.
#[inline(always)]
fn from(token: usize, at: usize) -> u64 {
    match token.saturating_sub(at) {
        skipped @ 0..BLOCK => u64::MAX << skipped,
        _ => 0,
    }
}

/// Appends what a string with valid escapes stands for to `out`, and says where it is then; a string that has none stays
/// where it is.
#[inline(never)]
fn unescape(json: &str, span: Span, out: &mut String) -> Option<Span> {
    let Some(mut rest) = json.get(span.inside()).filter(|text| text.contains('\\')) else { return Some(span) };
    let start = json.len() + out.len();
    out.push('"');
    while let Some((before, escape)) = rest.split_once('\\') {
        out.push_str(before);
        let mut length = 1;
        out.push(match escape.as_bytes().first()? {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                length = 5;
                let unit = index::code_unit(escape.as_bytes().get(1..)?.first_chunk()?)?;
                char::from_u32(unit.into())?
            }
            other => char::from(*other),
        });
        rest = escape.get(length..)?;
    }
    out.push_str(rest);
    out.push('"');
    Some(Span::new(start, json.len() + out.len()))
}
