//! One file of configuration as a tree of values, each with its place: JSON as it is, YAML as the same JSON.
//!
//! auth0-deploy-cli puts values in place of `##KEY##` and `@@KEY@@` before it parses, so that both may stand where neither
//! JSON nor YAML allows them. Here they become texts that say what they are: values nobody knows. Nothing of a file's
//! content is ever quoted in an error, since it may be a secret.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::not_run::NotRun;
use crate::alert::notify::text::is_unseen_or_control;

/// Around the name of a `##KEY##`; private characters, which no tenant's configuration has.
const LITERAL: (char, char) = ('\u{e000}', '\u{e001}');
/// Around the name of an `@@KEY@@`.
const STRINGIFIED: (char, char) = ('\u{e002}', '\u{e003}');
/// Around why a value is not known, where it was not given and where it could not be read.
const NOT_GIVEN: (char, char) = ('\u{e004}', '\u{e005}');
const FAILED: (char, char) = ('\u{e006}', '\u{e007}');

/// Where a value stands: a file, relative to the export, and a JSON pointer (RFC 6901) within.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub file: Arc<str>,
    pub pointer: String,
}

impl Place {
    pub fn of(file: &str) -> Self {
        Self { file: file.into(), pointer: String::new() }
    }

    /// The value of a key, or of a path of keys joined by dots.
    pub fn at(&self, path: &str) -> Self {
        let mut pointer = self.pointer.clone();
        for key in path.split('.').filter(|key| !key.is_empty()) {
            push_key(&mut pointer, key);
        }
        Self { file: self.file.clone(), pointer }
    }

    pub fn item(&self, index: usize) -> Self {
        Self { file: self.file.clone(), pointer: format!("{}/{index}", self.pointer) }
    }
}

fn push_key(pointer: &mut String, key: &str) {
    pointer.push('/');
    pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pointer.is_empty() {
            true => f.write_str(&self.file),
            false => write!(f, "{}#{}", self.file, self.pointer),
        }
    }
}

/// The line of every value of a file, from 1, by its pointer.
pub type Lines = BTreeMap<String, u32>;

/// What is not as it ought to be, where, and what would be right.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {problem}\n  right would be: {right}")]
pub struct ReadError {
    pub place: String,
    pub problem: String,
    pub right: String,
}

impl ReadError {
    pub fn new(place: impl fmt::Display, problem: impl Into<String>, right: impl Into<String>) -> Self {
        Self { place: escaped(&place.to_string()), problem: problem.into(), right: right.into() }
    }
}

/// With controls, and what is not seen or turns text round, as escapes: files have names that would write to a terminal.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match is_unseen_or_control(c) {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    out
}

/// A parsed file.
pub struct Document {
    pub file: Arc<str>,
    pub root: Value,
    pub lines: Lines,
}

impl Document {
    pub fn json(file: &str, text: &str) -> Result<Self, ReadError> {
        // Windows editors begin files with a byte order mark.
        let text = quote_placeholders(&mark(text.trim_start_matches('\u{feff}')));
        let wrong = |error: serde_json::Error| {
            let place = format!("{file}, line {}, column {}", error.line(), error.column());
            ReadError::new(place, "not JSON", "the JSON that auth0-deploy-cli or the Management API writes")
        };
        let root = serde_json::from_str(&text).map_err(wrong)?;
        let raw: &RawValue = serde_json::from_str(&text).map_err(wrong)?;
        let mut lines = Lines::new();
        JsonLines::new(&text).walk(raw, String::new(), &mut lines);
        Ok(Self { file: file.into(), root, lines })
    }

    pub fn yaml(file: &str, text: &str) -> Result<Self, ReadError> {
        let text = mark(&keep_comments(text));
        let parsed = MarkedYaml::load_from_str(&text).map_err(|error| {
            let place = format!("{file}, line {}, column {}", error.marker().line(), error.marker().col() + 1);
            ReadError::new(place, "not YAML", "the YAML that auth0-deploy-cli writes, with each key once")
        })?;
        let mut lines = Lines::new();
        let root = match parsed.as_slice() {
            [] => Value::Null,
            [one] => from_yaml(one, String::new(), &mut lines),
            _ => {
                return Err(ReadError::new(file, "holds several YAML documents", "one document, without lines of ---"));
            }
        };
        Ok(Self { file: file.into(), root, lines })
    }

    pub fn place(&self) -> Place {
        Place { file: self.file.clone(), pointer: String::new() }
    }
}

/// Puts placeholders into private characters, so that every parser takes them for a part of a text.
fn mark(text: &str) -> String {
    let text = mark_between(text, "##", LITERAL);
    mark_between(&text, "@@", STRINGIFIED)
}

fn mark_between(text: &str, sign: &str, (open, close): (char, char)) -> String {
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':'))
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(sign) {
        out.push_str(before);
        match after.split_once(sign) {
            Some((name, behind)) if is_name(name) => {
                out.extend([open]);
                out.push_str(name);
                out.extend([close]);
                rest = behind;
            }
            _ => {
                out.push_str(sign);
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// A line of YAML that begins with `##NAME##` is a comment, unless it stands in a list in brackets, or alone where a value
/// belongs. It gets a space, so that it is not taken for a placeholder.
fn keep_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let mut following = text.split_inclusive('\n').filter(is_code).peekable();
    let mut before = "";
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        let code = without_comment(line);
        if is_code(&line) {
            following.next();
        }
        let is_value =
            before.ends_with(['[', ',']) || is_wanted(before) && !is_given(before, following.peek().copied());
        let is_comment = trimmed.starts_with('#') && !(trimmed.starts_with("##") && is_value);
        match is_comment {
            true => out.push_str(&line.replacen('#', "# ", 1)),
            false => out.push_str(line),
        }
        if !is_comment && !code.trim().is_empty() {
            before = code;
        }
    }
    out
}

/// A line of YAML up to its comment, without the spaces at its end; `##` may be a placeholder.
fn without_comment(line: &str) -> &str {
    let (mut quote, mut last) = (None, ' ');
    for (at, c) in line.char_indices() {
        let begins = last.is_whitespace() || matches!(last, '[' | '{' | ',' | ':');
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if begins && matches!(c, '"' | '\'') => quote = Some(c),
            None if last.is_whitespace() && c == '#' && !line[at..].starts_with("##") => return line[..at].trim_end(),
            None => {}
        }
        last = c;
    }
    line.trim_end()
}

/// Whether a line leaves its value to the next one.
fn is_wanted(line: &str) -> bool {
    line.ends_with(':') || line.trim_start() == "-" || line.ends_with(" -")
}

/// Whether what follows is the value that a line leaves to it: something deeper, or a list.
fn is_given(line: &str, next: Option<&str>) -> bool {
    let depth = |line: &str| line.len() - line.trim_start().len();
    next.is_some_and(|next| {
        depth(next) > depth(line)
            || depth(next) == depth(line)
                && line.ends_with(':')
                && next.trim_start().starts_with("- ")
                && !line.trim_start().starts_with("- ")
    })
}

/// In JSON, where a placeholder stands outside of a text, makes one of it.
fn quote_placeholders(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut in_text, mut escaped) = (false, false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_text => escaped = true,
            '"' => in_text = !in_text,
            _ => {}
        }
        let begins = !in_text && (c == LITERAL.0 || c == STRINGIFIED.0);
        let ends = !in_text && (c == LITERAL.1 || c == STRINGIFIED.1);
        out.extend(begins.then_some('"'));
        out.push(c);
        out.extend(ends.then_some('"'));
    }
    out
}

/// A text as the file has it, if it holds a placeholder.
pub fn with_placeholder(text: &str) -> Option<String> {
    if !text.contains([LITERAL.0, STRINGIFIED.0]) {
        return None;
    }
    Some(text.replace([LITERAL.0, LITERAL.1], "##").replace([STRINGIFIED.0, STRINGIFIED.1], "@@"))
}

/// The first placeholder of a text, without what stands around it, which may be a secret.
pub fn placeholder(text: &str) -> Option<String> {
    let begin = text.find([LITERAL.0, STRINGIFIED.0])?;
    let end = begin + text[begin..].find([LITERAL.1, STRINGIFIED.1])?;
    let last = text[end..].chars().next().map_or(0, char::len_utf8);
    with_placeholder(&text[begin..end + last])
}

/// A value that is not known, for the reason given: [`not_known`] tells it, also after it was recorded.
pub fn unknown(why: &NotRun) -> Value {
    let (open, close) = if why.is_failed() { FAILED } else { NOT_GIVEN };
    Value::String(format!("{open}{why}{close}"))
}

/// Why nobody knows what a text stands for: it holds a placeholder, or a reason instead of a value.
pub fn not_known(text: &str) -> Option<NotRun> {
    let within = |(open, close): (char, char)| {
        let why = text.strip_prefix(open)?.strip_suffix(close)?;
        Some(format!("not known: {why}"))
    };
    let not_given = || within(NOT_GIVEN).or_else(|| placeholder(text)).map(NotRun::NotGiven);
    within(FAILED).map(NotRun::Failed).or_else(not_given)
}

/// The lines of a JSON text's values, by where serde found them in it.
struct JsonLines<'a> {
    text: &'a str,
    /// Where each line but the first begins.
    begins: Vec<usize>,
}

impl<'a> JsonLines<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, begins: memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1).collect() }
    }

    fn walk(&self, raw: &RawValue, pointer: String, into: &mut Lines) {
        let at = raw.get().as_ptr() as usize - self.text.as_ptr() as usize;
        let line = self.begins.partition_point(|begin| *begin <= at) + 1;
        if let Ok(fields) = serde_json::from_str::<BTreeMap<String, &RawValue>>(raw.get()) {
            for (key, value) in fields {
                let mut below = pointer.clone();
                push_key(&mut below, &key);
                self.walk(value, below, into);
            }
        } else if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) {
            for (index, value) in items.into_iter().enumerate() {
                self.walk(value, format!("{pointer}/{index}"), into);
            }
        }
        into.insert(pointer, u32::try_from(line).unwrap_or(u32::MAX));
    }
}

fn from_yaml(node: &MarkedYaml<'_>, pointer: String, lines: &mut Lines) -> Value {
    let line = u32::try_from(node.span.start.line()).unwrap_or(u32::MAX);
    let value = match &node.data {
        YamlData::Value(scalar) => from_scalar(scalar),
        YamlData::Sequence(items) => Value::Array(
            items
                .iter()
                .enumerate()
                .map(|(index, item)| from_yaml(item, format!("{pointer}/{index}"), lines))
                .collect(),
        ),
        YamlData::Mapping(pairs) => {
            let mut fields = Map::new();
            for (key, value) in pairs {
                let name = key_text(key);
                let mut below = pointer.clone();
                push_key(&mut below, &name);
                if name == "<<" {
                    merge(from_yaml(value, pointer.clone(), lines), &mut fields);
                } else {
                    fields.insert(name, from_yaml(value, below, lines));
                }
            }
            Value::Object(fields)
        }
        YamlData::Tagged(_, inner) => from_yaml(inner, pointer.clone(), lines),
        YamlData::Representation(text, ..) => Value::String(text.to_string()),
        YamlData::Alias(_) | YamlData::BadValue => Value::Null,
    };
    lines.insert(pointer, line);
    value
}

/// YAML 1.1's merge key, which js-yaml reads: what is there already wins.
fn merge(value: Value, into: &mut Map<String, Value>) {
    match value {
        Value::Object(fields) => fields.into_iter().for_each(|(key, value)| {
            into.entry(key).or_insert(value);
        }),
        Value::Array(items) => items.into_iter().for_each(|item| merge(item, into)),
        _ => {}
    }
}

fn from_scalar(scalar: &Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(flag) => Value::Bool(*flag),
        Scalar::Integer(number) => Value::from(*number),
        Scalar::FloatingPoint(number) => Value::from(number.into_inner()),
        Scalar::String(text) => Value::String(text.to_string()),
    }
}

fn key_text(key: &MarkedYaml<'_>) -> String {
    match &key.data {
        YamlData::Value(scalar) => match from_scalar(scalar) {
            Value::String(text) => text,
            other => other.to_string(),
        },
        YamlData::Representation(text, ..) => text.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(value: &Value) -> Value {
        match value {
            Value::String(text) => with_placeholder(text).map_or_else(|| value.clone(), Value::String),
            Value::Array(items) => items.iter().map(shown).collect(),
            Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), shown(value))).collect(),
            other => other.clone(),
        }
    }

    #[test]
    fn placeholders_stand_wherever_deploy_cli_puts_values() {
        let json = Document::json(
            "clients/app.json",
            "{\n  \"callbacks\": @@CALLBACKS@@,\n  \"name\": \"##ENV## app\",\n  \"web_origins\": [\"https://a.example\", ##MORE##],\n  \"text\": \"a \\\" ## b\"\n}",
        )
        .expect("JSON with placeholders");
        let wanted = json!({
            "callbacks": "@@CALLBACKS@@", "name": "##ENV## app", "text": "a \" ## b",
            "web_origins": ["https://a.example", "##MORE##"]
        });
        assert_eq!(shown(&json.root), wanted);
        let yaml = Document::yaml(
            "tenant.yaml",
            "##CLIENTS##\ncallbacks: @@CALLBACKS@@\nname: ##ENV## app\nweb_origins: [ \"https://a.example\", ##MORE## ]\ntext: 'a \" ## b'\n",
        )
        .expect("YAML with placeholders");
        assert_eq!(shown(&yaml.root), wanted);
    }

    #[test]
    fn a_placeholder_alone_on_its_line_is_a_value_where_one_belongs() {
        let yaml = |text: &str| shown(&Document::yaml("tenant.yaml", text).expect("YAML").root);
        assert_eq!(yaml("a:\n  ##A##\nb: 1\n"), json!({ "a": "##A##", "b": 1 }));
        assert_eq!(yaml("a: # why\n  ##A##\n"), json!({ "a": "##A##" }));
        assert_eq!(yaml("a: [ # why\n  ##A##\n]\n"), json!({ "a": ["##A##"] }));
        assert_eq!(yaml("a: [ 1, # it's why\n  ##A##, # more\n  ##B##\n]\n"), json!({ "a": [1, "##A##", "##B##"] }));
        assert_eq!(yaml("- b:\n    ##A##\n- b: 2\n"), json!([{ "b": "##A##" }, { "b": 2 }]));
        assert_eq!(yaml("a:\n  ##THINGS##\n  - 1\n"), json!({ "a": [1] }));
        assert_eq!(yaml("a:\n##THINGS##\n- 1\n"), json!({ "a": [1] }));
        assert_eq!(yaml("a:\n  ##THINGS##\n  ##MORE##\n  b: 1\n"), json!({ "a": { "b": 1 } }));
        assert_eq!(yaml("a: 'x # y'\n##END##\n"), json!({ "a": "x # y" }));
    }

    #[test]
    fn a_file_of_comments_is_read_line_by_line() {
        let comments = "  # a comment\n".repeat(200_000);
        let yaml =
            Document::yaml("tenant.yaml", &format!("a:\n{comments}  ##A##\nb:\n{comments}  c: 1\n")).expect("YAML");
        assert_eq!(shown(&yaml.root), json!({ "a": "##A##", "b": { "c": 1 } }));
        assert_eq!(yaml.lines["/b/c"], 400_004);
    }

    #[test]
    fn every_value_has_its_line_in_both_layouts() {
        let json = Document::json("a.json", "{\n \"a/b\": [\n  1,\n  {\"c\": true}\n ]\n}").expect("JSON");
        let lines: Vec<_> = json.lines.iter().map(|(pointer, line)| (pointer.as_str(), *line)).collect();
        assert_eq!(lines, [("", 1), ("/a~1b", 2), ("/a~1b/0", 3), ("/a~1b/1", 4), ("/a~1b/1/c", 4)]);
        let yaml = Document::yaml("a.yaml", "a/b:\n  - 1\n  - c: true\n").expect("YAML");
        let lines: Vec<_> = yaml.lines.iter().map(|(pointer, line)| (pointer.as_str(), *line)).collect();
        assert_eq!(lines, [("", 1), ("/a~1b", 2), ("/a~1b/0", 2), ("/a~1b/1", 3), ("/a~1b/1/c", 3)]);
        assert_eq!(json.root, yaml.root);
    }

    #[test]
    fn anchors_and_merge_keys_are_followed() {
        let text = "base: &base\n  a: 1\n  b: 2\nover:\n  <<: *base\n  b: 3\n";
        let yaml = Document::yaml("a.yaml", text).expect("YAML");
        assert_eq!(yaml.root["over"], json!({ "a": 1, "b": 3 }));
    }

    #[test]
    fn errors_name_the_place_and_never_the_content() {
        let secret = "s3cr3t-value";
        let wrong = [
            Document::json("clients/a.json", &format!("{{\n \"client_secret\": {secret}\n}}")).err(),
            Document::yaml("tenant.yaml", &format!("a: [{secret}\nb: {{")).err(),
            Document::yaml("tenant.yaml", &format!("a: 1\na: {secret}\n")).err(),
            Document::yaml("tenant.yaml", &format!("a: 1\n---\nb: {secret}\n")).err(),
        ];
        for error in wrong {
            let text = error.expect("an error").to_string();
            assert!(!text.contains(secret), "{text}");
            assert!(
                text.contains("right would be") && text.contains(".yaml") | text.contains("a.json, line 2"),
                "{text}"
            );
        }
    }

    #[test]
    fn endless_aliases_end() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..12 {
            let before = format!("*a{}, ", n - 1).repeat(10);
            text += &format!("a{n}: &a{n} [{}]\n", before.trim_end_matches(", "));
        }
        assert!(Document::yaml("bomb.yaml", &text).is_err());
    }
}
