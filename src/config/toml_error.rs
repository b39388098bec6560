//! What is said about settings that are not TOML, or not these settings: where, which key, what was wrong, and a right line.
//!
//! Never what was written: it may be a secret in the wrong place, and errors end in logs.

/// Every key of the settings, at its default or with an example: the one place where right lines stand.
const EVERY_KEY: &str = include_str!("../../deploy/ghostlight.toml");

/// One text about `error`, which reading `text` ended with.
pub(super) fn explain(text: &str, mut error: toml::de::Error) -> String {
    let place = error.span().map(|span| line_and_column(text, span.start));
    let message = error.message().to_owned();
    // Without its input the error ends with the path of the key, and quotes no line.
    error.set_input(None);
    let shown = error.to_string();
    let path = shown.strip_prefix(&message).and_then(|rest| rest.trim().strip_prefix("in `"));
    let mut key = path.map(|path| path.trim_end_matches('`').to_owned()).unwrap_or_default();
    let problem = without_values(&message);
    let named = ["unknown field `", "missing field `"].iter().find_map(|begin| message.strip_prefix(begin));
    if let Some((name, _)) = named.and_then(|rest| rest.split_once('`')) {
        key = if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    }
    let place = place.map(|(line, column)| format!("line {line}, column {column}: ")).unwrap_or_default();
    if key.is_empty() {
        return format!("{place}{problem}");
    }
    let right = right_line(&key).map(|line| format!("\n  right would be, for example: {line}")).unwrap_or_default();
    format!("{place}setting {key}: {problem}{right}")
}

/// Both from 1; columns are characters.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at.min(text.len())).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    (line, before.rsplit('\n').next().unwrap_or_default().chars().count() + 1)
}

/// serde's words, without the value that it quotes and the types that it names.
fn without_values(message: &str) -> String {
    let is_type = ["invalid type: ", "invalid value: "].iter().find_map(|begin| message.strip_prefix(begin));
    if let Some((found, expected)) = is_type.and_then(|rest| rest.rsplit_once(", expected ")) {
        let found = found.split(['"', '`']).next().unwrap_or_default().trim();
        let expected = match expected {
            "a string" | "a borrowed string" | "path string" => "a text in quotation marks",
            "u8" | "u32" | "u64" | "i64" => "a whole number, and not a negative one",
            "a boolean" => "true or false",
            "a sequence" => "a list in brackets",
            other if other.starts_with("struct ") || other.starts_with("a map") => "a table",
            other => other,
        };
        return format!("{} was written, expected {expected}", with_article(found));
    }
    if let Some((_, expected)) = message.strip_prefix("unknown variant").and_then(|rest| rest.split_once(", expected "))
    {
        return format!("what was written is not {expected}");
    }
    match message.split_once("untagged enum") {
        Some(_) => "what was written is of another type than it can be".to_owned(),
        None => message.replacen("unknown field", "there is no", 1),
    }
}

fn with_article(found: &str) -> String {
    match found.chars().next() {
        Some('a' | 'e' | 'i' | 'o' | 'u') => format!("an {found}"),
        _ => format!("a {found}"),
    }
}

/// The line of `key` or, where there is no such key, of the one in its section whose name begins most like it.
fn right_line(key: &str) -> Option<&'static str> {
    let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
    let alike = |other: &str| other.chars().zip(name.chars()).take_while(|(one, two)| one == two).count();
    let lines = || lines().filter(|(of, ..)| *of == section);
    let exact = lines().find(|(_, other, _)| *other == name);
    // A section's own name, or a key that nothing is like: how it begins.
    let of_section = || {
        let mut under = self::lines().filter(|(of, ..)| *of == key);
        under.next()
    };
    let nearest = || lines().max_by_key(|(_, other, _)| alike(other)).filter(|(_, other, _)| alike(other) > 0);
    exact.or_else(of_section).or_else(nearest).or_else(|| lines().next()).map(|(.., line)| line)
}

/// Section, key and line of every setting.
fn lines() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let mut section = "";
    EVERY_KEY.lines().filter_map(move |line| {
        let line = match line.strip_prefix("# example: ") {
            Some(example) => example,
            None => line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line),
        };
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.trim_matches(['[', ']']);
            return None;
        }
        let (key, _) = line.split_once(" = ").filter(|_| !line.starts_with('#'))?;
        Some((section, key, line))
    })
}
