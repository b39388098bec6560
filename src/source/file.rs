//! Files and standard input: plain, gzip or zstd, told by content. A file is a partition; its incarnation is a fingerprint of
//! how its content begins, so that a renamed file is the same file and a grown one continues.
//!
//! Positions are bytes of the decompressed content.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::{Chunk, Content, RecordSpan, Resume};

/// How much is read at once, and about how large a chunk is: it is read, split, hashed and decoded while it is in a core's cache.
const BLOCK_BYTES: usize = 1 << 18;

/// How much of a file's beginning its fingerprint covers.
const HEAD_BYTES: usize = 1024;

/// Why a file cannot be read, or not further.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("reading {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "{}: the {format} stream is cut off or damaged after {position} bytes of content ({source}). Everything before is \
         taken; run again once the file is whole",
        path.display()
    )]
    Damaged { path: PathBuf, format: &'static str, position: u64, source: io::Error },
    #[error(
        "{}: {read} bytes of it were read before, and now it has only {size}: it was truncated. Nothing of it was read now; \
         to read what it holds as a new file, pass --as-new",
        path.display()
    )]
    Truncated { path: PathBuf, read: u64, size: u64 },
    #[error(
        "{}: it begins like a file of which {read} bytes were read before, but those bytes have changed since: it was \
         rewritten in place (rotated by copy and truncate?). Nothing of it was read now; to read it as a new file, pass \
         --as-new",
        path.display()
    )]
    Rewritten { path: PathBuf, read: u64 },
    #[error(
        "{}: the JSON value that begins at byte {position} is longer than files.record_max ({record_max} bytes). Raise it, \
         or write one event a line",
        path.display()
    )]
    ValueTooLong { path: PathBuf, position: u64, record_max: usize },
}

/// How the content is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Plain,
    Gzip,
    Zstd,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// Where an input comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    File(PathBuf),
    Stdin,
}

impl Input {
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Stdin => "standard input".to_owned(),
        }
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Stdin => PathBuf::from("standard input"),
        }
    }
}

/// How a file's content begins: what its incarnation is named by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    head: Vec<u8>,
}

impl Fingerprint {
    /// The name of a new incarnation: how many bytes it covers, and their hash.
    pub fn incarnation(&self) -> String {
        format!("{}-{:016x}", self.head.len(), xxh3_64(&self.head))
    }

    /// Whether `incarnation` was named by a beginning that this content shares; says how many bytes of it.
    pub fn shared(&self, incarnation: &str) -> Option<usize> {
        let mut parts = incarnation.split('-');
        let length: usize = parts.next()?.parse().ok()?;
        let hash = u64::from_str_radix(parts.next()?, 16).ok()?;
        let head = self.head.get(..length)?;
        (xxh3_64(head) == hash).then_some(length)
    }

    /// Whether there is nothing in it, so far, that could tell it from another file.
    pub fn is_blank(&self) -> bool {
        self.head.trim_ascii().is_empty()
    }

    /// Whether an incarnation that shares `length` bytes is named by all that this one would be.
    pub fn is_wholly_shared(&self, length: usize) -> bool {
        length == self.head.len()
    }
}

/// A file, or standard input, being read.
pub struct FileSource {
    path: PathBuf,
    content: Box<dyn Read + Send>,
    format: Format,
    /// Bytes already taken from `content` but not yet given out; they begin at `position`.
    held: Vec<u8>,
    /// Room of chunks given out before.
    spare: Vec<Vec<u8>>,
    position: u64,
    at_end: bool,
    /// What the content broke off with, kept until everything before it is given out.
    damage: Option<io::Error>,
    prefix: Xxh3,
    framing: Framing,
    inside_record: bool,
    record_max: usize,
    /// Whether it can be read again from its beginning; a pipe cannot.
    is_replayable: bool,
    /// Whether what comes after the end can still come: only in a plain file.
    may_grow: bool,
    unfinished: Option<(u64, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// One record a line.
    Lines,
    /// JSON values over several lines, alone, one after another, or as elements of an array.
    Values,
}

impl FileSource {
    /// Opens an input at its beginning.
    pub fn open(input: &Input, record_max: usize) -> Result<Self, FileError> {
        let path = input.path();
        let failed = |source| FileError::Read { path: path.clone(), source };
        let (raw, is_replayable): (Box<dyn Read + Send>, bool) = match input {
            Input::File(path) => {
                let file = File::open(path).map_err(failed)?;
                let is_file = file.metadata().map_err(failed)?.is_file();
                (Box::new(file), is_file)
            }
            Input::Stdin => (Box::new(io::stdin()), false),
        };
        let (format, content) = decompress(raw).map_err(failed)?;
        let mut source = Self {
            path: path.clone(),
            content,
            format,
            held: Vec::new(),
            spare: Vec::new(),
            position: 0,
            at_end: false,
            damage: None,
            prefix: Xxh3::new(),
            framing: Framing::Lines,
            inside_record: false,
            record_max,
            is_replayable,
            may_grow: is_replayable && format == Format::Plain,
            unfinished: None,
        };
        source.fill(BLOCK_BYTES)?;
        source.framing = framing_of(&source.held);
        Ok(source)
    }

    /// Whether the input can be opened again and read from its beginning. What cannot is read as it was opened.
    pub fn is_replayable(&self) -> bool {
        self.is_replayable
    }

    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint { head: self.held[..self.held.len().min(HEAD_BYTES)].to_vec() }
    }

    /// Steps over what was read before. Refuses content that no longer begins so.
    pub fn resume(&mut self, end: u64, resume: &Resume) -> Result<(), FileError> {
        while self.position < end {
            if self.held.is_empty() && !self.fill(BLOCK_BYTES)? {
                return Err(FileError::Truncated { path: self.path.clone(), read: end, size: self.position });
            }
            let step = self.held.len().min((end - self.position) as usize);
            self.take(step);
        }
        if resume.prefix_xxh3.is_some() && resume.prefix_xxh3 != self.digest() {
            return Err(FileError::Rewritten { path: self.path.clone(), read: end });
        }
        self.inside_record = resume.inside_record;
        if end > 0 {
            self.framing = if resume.values { Framing::Values } else { Framing::Lines };
        }
        Ok(())
    }

    /// Reads on to the end and says how long the content is and what its digest is; for a file shorter than what was
    /// read before.
    pub fn measure(&mut self) -> Result<(u64, Resume), FileError> {
        while !self.held.is_empty() || self.fill(BLOCK_BYTES)? {
            self.take(self.held.len());
        }
        let values = self.framing == Framing::Values;
        Ok((self.position, Resume { prefix_xxh3: self.digest(), values, inside_record: false }))
    }

    /// Where and how long the last line is, if the file ends in the middle of one. It is left for when the file has
    /// grown.
    pub fn unfinished(&self) -> Option<(u64, usize)> {
        self.unfinished
    }

    /// Takes the room of a chunk's bytes back: what is read next need not be given new memory by the system, page by page.
    pub fn reuse(&mut self, bytes: Vec<u8>) {
        self.spare.push(bytes);
    }

    /// The next chunk; `None` at the end.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk>, FileError> {
        if self.framing == Framing::Values {
            return self.next_values();
        }
        loop {
            if let Some(last_break) = memchr::memrchr(b'\n', &self.held) {
                return Ok(Some(self.lines(last_break + 1)));
            }
            if self.held.len() > self.record_max {
                return Ok(Some(self.piece(self.record_max)));
            }
            if self.fill(BLOCK_BYTES)? {
                continue;
            }
            if self.held.is_empty() {
                return Ok(None);
            }
            let is_cut_off = || {
                let parsed: Result<serde::de::IgnoredAny, _> = serde_json::from_slice(&self.held);
                parsed.is_err_and(|error| error.is_eof())
            };
            if self.may_grow && !self.inside_record && is_cut_off() {
                if !self.held.trim_ascii().is_empty() {
                    self.unfinished = Some((self.position, self.held.len()));
                }
                return Ok(None);
            }
            return Ok(Some(self.lines(self.held.len())));
        }
    }

    /// The lines in the first `length` bytes held. One that is too long becomes pieces, cut at the same places whatever
    /// blocks it was read in.
    fn lines(&mut self, length: usize) -> Chunk {
        let mut records = Vec::new();
        let mut begin = 0;
        while begin < length {
            let line_break = memchr::memchr(b'\n', &self.held[begin..length]);
            let end = line_break.map_or(length, |line| begin + line);
            let too_long = self.inside_record || end - begin > self.record_max;
            if too_long {
                for piece in (begin..end).step_by(self.record_max) {
                    let bytes = piece..end.min(piece + self.record_max);
                    records.push(self.span(bytes, Content::Refused(oversize(self.record_max))));
                }
            } else if !self.held[begin..end].trim_ascii().is_empty() {
                records.push(self.span(begin..end, Content::Line));
            }
            self.inside_record = too_long && line_break.is_none();
            begin = end + 1;
        }
        self.chunk(length, records)
    }

    fn span(&self, bytes: std::ops::Range<usize>, content: Content) -> RecordSpan {
        RecordSpan { offset: self.position + bytes.start as u64, bytes, arrived: None, content }
    }

    /// A piece of a line longer than a record may be.
    fn piece(&mut self, length: usize) -> Chunk {
        let record = self.span(0..length, Content::Refused(oversize(self.record_max)));
        self.inside_record = true;
        self.chunk(length, vec![record])
    }

    fn next_values(&mut self) -> Result<Option<Chunk>, FileError> {
        let mut scan = ValueScan::default();
        loop {
            scan.run(&self.held, self.position);
            // Nothing but what stands between values: it is read, and need not be held.
            if scan.records.is_empty() && scan.open.is_none() && scan.complete >= BLOCK_BYTES {
                return Ok(Some(self.chunk(scan.complete, Vec::new())));
            }
            // Enough for a chunk, or all there is: what is scanned so far goes out.
            if !scan.records.is_empty() && (scan.complete >= BLOCK_BYTES || self.at_end) {
                let records = std::mem::take(&mut scan.records);
                let length = if self.at_end && scan.open.is_none() { self.held.len() } else { scan.complete };
                return Ok(Some(self.chunk(length, records)));
            }
            if let Some(open) = scan.open
                && self.held.len() - open > self.record_max
            {
                if !scan.records.is_empty() {
                    let records = std::mem::take(&mut scan.records);
                    return Ok(Some(self.chunk(scan.complete, records)));
                }
                let position = self.position + open as u64;
                return Err(FileError::ValueTooLong { path: self.path.clone(), position, record_max: self.record_max });
            }
            if !self.at_end {
                self.fill(BLOCK_BYTES)?;
                continue;
            }
            return Ok(match scan.open {
                Some(open) if self.may_grow => {
                    self.unfinished = Some((self.position + open as u64, self.held.len() - open));
                    None
                }
                Some(open) => {
                    let record = self.span(open..self.held.len(), Content::Any);
                    Some(self.chunk(self.held.len(), vec![record]))
                }
                None => None,
            });
        }
    }

    fn chunk(&mut self, length: usize, records: Vec<RecordSpan>) -> Chunk {
        let start = self.position;
        let bytes = self.take(length);
        let values = self.framing == Framing::Values;
        let resume = Resume { prefix_xxh3: self.digest(), values, inside_record: self.inside_record };
        Chunk { start, end: self.position, bytes, records, resume }
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let mut rest = self.spare.pop().unwrap_or_default();
        rest.clear();
        rest.extend_from_slice(&self.held[length..]);
        self.held.truncate(length);
        let taken = std::mem::replace(&mut self.held, rest);
        self.prefix.update(&taken);
        self.position += taken.len() as u64;
        taken
    }

    fn digest(&self) -> Option<String> {
        Some(format!("{:032x}", self.prefix.digest128()))
    }

    /// Reads about `length` more bytes; false at the end.
    fn fill(&mut self, length: usize) -> Result<bool, FileError> {
        if self.at_end {
            return Ok(false);
        }
        let before = self.held.len();
        self.held.reserve(length);
        if self.damage.is_none() {
            match self.content.by_ref().take(length as u64).read_to_end(&mut self.held) {
                Ok(read) => {
                    self.at_end = read == 0;
                    return Ok(read > 0);
                }
                // A decompressor that failed once may claim a good end when asked again.
                Err(error) => self.damage = Some(error),
            }
        }
        if self.held.len() > before {
            return Ok(true);
        }
        let path = self.path.clone();
        let source = match &self.damage {
            Some(error) => io::Error::new(error.kind(), error.to_string()),
            None => return Ok(false),
        };
        Err(match self.format {
            Format::Plain => FileError::Read { path, source },
            format => {
                let position = self.position + self.held.len() as u64;
                FileError::Damaged { path, format: format.name(), position, source }
            }
        })
    }
}

fn oversize(record_max: usize) -> String {
    format!("a piece of a line longer than files.record_max ({record_max} bytes)")
}

fn decompress(mut raw: Box<dyn Read + Send>) -> io::Result<(Format, Box<dyn Read + Send>)> {
    let mut magic = Vec::with_capacity(4);
    raw.by_ref().take(4).read_to_end(&mut magic)?;
    let format = match magic.as_slice() {
        [0x1F, 0x8B, ..] => Format::Gzip,
        [0x28, 0xB5, 0x2F, 0xFD] => Format::Zstd,
        _ => Format::Plain,
    };
    let whole = io::Cursor::new(magic).chain(raw);
    Ok(match format {
        Format::Plain => (format, Box::new(whole)),
        Format::Gzip => (format, Box::new(flate2::read::MultiGzDecoder::new(BufReader::with_capacity(1 << 16, whole)))),
        Format::Zstd => (format, Box::new(zstd::Decoder::new(whole)?)),
    })
}

/// How much of the beginning tells lines from values.
const FRAMING_BYTES: usize = 1 << 18;

/// Lines, unless the first line is an unfinished JSON value that goes on, as JSON, over the line break. A broken line among
/// lines does not: no JSON string or word does.
fn framing_of(head: &[u8]) -> Framing {
    let head = &head[..head.len().min(FRAMING_BYTES)];
    let head = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head).trim_ascii_start();
    let first_value = |text| {
        let mut values = serde_json::Deserializer::from_slice(text).into_iter::<serde::de::IgnoredAny>();
        values.next().map(|value| value.map_err(|error| error.is_eof()))
    };
    // Two lines: what is broken further on is one value's affair.
    let line_end = |from: usize| memchr::memchr(b'\n', &head[from..]).map(|length| from + length);
    match line_end(0) {
        Some(end) if matches!(first_value(&head[..end]), Some(Err(true))) => {
            let blank = head[end..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let two_lines = &head[..line_end(end + blank).unwrap_or(head.len())];
            let goes_on = !matches!(first_value(two_lines), Some(Err(false)));
            if goes_on { Framing::Values } else { Framing::Lines }
        }
        None if head.first() == Some(&b'[') && head.len() == FRAMING_BYTES => Framing::Values,
        _ => Framing::Lines,
    }
}

/// Finds where JSON values begin and end, by depth and strings alone. Array brackets and commas between values are stepped
/// over, so that every element of an outermost array is a value of its own and any place between two is one to go on from.
#[derive(Default)]
struct ValueScan {
    at: usize,
    depth: u32,
    in_string: bool,
    escaped: bool,
    /// Where the value now open began.
    open: Option<usize>,
    /// Up to where everything is given out as records or lies between them.
    complete: usize,
    records: Vec<RecordSpan>,
}

impl ValueScan {
    fn run(&mut self, held: &[u8], position: u64) {
        while let Some(byte) = held.get(self.at) {
            if self.in_string {
                match byte {
                    // No JSON string goes over a line break: the value is broken, and ends here, not at the file's end.
                    b'\n' => {
                        if let Some(open) = self.open {
                            self.close(open, self.at, position);
                        }
                        (self.in_string, self.escaped, self.depth) = (false, false, 0);
                    }
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                self.at += 1;
                continue;
            }
            match self.open {
                None if matches!(byte, b'[' | b']' | b',' | 0xEF | 0xBB | 0xBF) || byte.is_ascii_whitespace() => {
                    self.complete = self.at + 1;
                }
                None => {
                    self.open = Some(self.at);
                    self.depth = u32::from(matches!(byte, b'{'));
                    self.in_string = *byte == b'"';
                }
                Some(open) => match byte {
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' if self.depth > 0 => {
                        self.depth -= 1;
                        if self.depth == 0 {
                            self.close(open, self.at + 1, position);
                        }
                    }
                    b'"' => self.in_string = true,
                    // The end of a number, a word, or garbage.
                    b',' | b']' | b'\n' if self.depth == 0 => {
                        self.close(open, self.at, position);
                        continue;
                    }
                    _ => {}
                },
            }
            self.at += 1;
        }
    }

    fn close(&mut self, open: usize, end: usize, position: u64) {
        self.records.push(RecordSpan {
            offset: position + open as u64,
            bytes: open..end,
            arrived: None,
            content: Content::Any,
        });
        self.open = None;
        self.complete = end;
    }
}

/// The inputs that `patterns` name: files, all files below a folder, globs, `-` for standard input. Sorted within each.
///
/// What lies in one of the folders of `own` is left out: ghostlight's output and spool are no input. How many files those
/// were is the second result.
pub fn inputs(patterns: &[String], own: &[PathBuf]) -> Result<(Vec<Input>, usize), InputError> {
    let own: Vec<PathBuf> =
        own.iter().filter_map(|folder| folder.canonicalize().ok()).filter(|folder| folder.is_dir()).collect();
    let is_own = |path: &Path| path.canonicalize().is_ok_and(|path| own.iter().any(|own| path.starts_with(own)));
    let (mut inputs, mut left_out) = (Vec::new(), 0);
    for pattern in patterns {
        let path = Path::new(pattern);
        let nothing = |what| InputError::Nothing { pattern: pattern.clone(), what };
        let mut files = if pattern == "-" {
            inputs.push(Input::Stdin);
            continue;
        } else if path.is_dir() {
            let mut files = Vec::new();
            walk(path, &mut files).map_err(|source| InputError::Folder { folder: path.to_owned(), source })?;
            if files.is_empty() {
                return Err(nothing("the folder has no files in it"));
            }
            files
        } else if path.exists() || !pattern.contains(['*', '?', '[']) {
            vec![path.to_owned()]
        } else {
            let found = glob::glob(pattern)
                .map_err(|error| InputError::Pattern { pattern: pattern.clone(), problem: error.to_string() })?;
            let files: Vec<_> = found.filter_map(Result::ok).filter(|path| path.is_file()).collect();
            if files.is_empty() {
                return Err(nothing("no file matches"));
            }
            files
        };
        let found = files.len();
        files.retain(|file| !is_own(file));
        left_out += found - files.len();
        if files.is_empty() {
            return Err(nothing("it is ghostlight's own output or spool; give the files that Auth0's events are in"));
        }
        files.sort();
        inputs.extend(files.into_iter().map(Input::File));
    }
    Ok((inputs, left_out))
}

#[derive(Debug, thiserror::Error)]
pub enum InputError {
    #[error("{pattern}: {what}")]
    Nothing { pattern: String, what: &'static str },
    #[error("{pattern} is not a pattern: {problem}")]
    Pattern { pattern: String, problem: String },
    #[error("listing {}: {source}", folder.display())]
    Folder { folder: PathBuf, source: io::Error },
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        // Links to folders are not followed: they may lead back.
        if entry.file_type()?.is_dir() {
            walk(&path, files)?;
        } else if !path.is_dir() {
            files.push(path);
        }
    }
    Ok(())
}
