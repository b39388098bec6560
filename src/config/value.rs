//! Values as people write them: lengths of time, sizes and counts, within what makes sense.

use std::time::Duration;

use super::ConfigError;
use crate::event::WindowLength;

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;
pub(super) const TIB: u64 = 1 << 40;

pub(super) fn iec(bytes: u64) -> String {
    bytesize::ByteSize::b(bytes).display().iec().to_string()
}

pub(super) fn non_empty(
    text: Option<String>,
    key: &'static str,
    example: &'static str,
) -> Result<Option<String>, ConfigError> {
    match text {
        Some(text) if text.trim().is_empty() => Err(ConfigError::Value {
            key,
            problem: "empty; leave it out to take what each event says".to_owned(),
            example,
        }),
        text => Ok(text),
    }
}

pub(super) fn duration(
    text: Option<String>,
    key: &'static str,
    default: &str,
    example: &'static str,
) -> Result<Duration, ConfigError> {
    let text = text.unwrap_or_else(|| default.to_owned());
    let wrong = |problem| ConfigError::Value { key, problem, example };
    let duration = humantime::parse_duration(&text)
        .map_err(|error| wrong(format!("{text:?} is not a length of time: {error}")))?;
    if duration.is_zero() { Err(wrong("must be more than nothing".to_owned())) } else { Ok(duration) }
}

pub(super) fn window(
    text: Option<String>,
    key: &'static str,
    default: &str,
    example: &'static str,
    max_seconds: u64,
) -> Result<WindowLength, ConfigError> {
    let length = duration(text, key, default, example)?;
    let fits = length.as_secs() <= max_seconds;
    WindowLength::new(length).filter(|_| fits).ok_or_else(|| ConfigError::Value {
        key,
        problem: format!(
            "{} must be whole seconds that divide a day evenly, at most {}",
            humantime::format_duration(length),
            humantime::format_duration(Duration::from_secs(max_seconds))
        ),
        example,
    })
}

pub(super) fn size(
    text: Option<String>,
    key: &'static str,
    default: &str,
    example: &'static str,
    range: std::ops::RangeInclusive<u64>,
) -> Result<u64, ConfigError> {
    let text = text.unwrap_or_else(|| default.to_owned());
    let wrong = |problem| ConfigError::Value { key, problem, example };
    let bytes = text
        .parse::<bytesize::ByteSize>()
        .map_err(|_| wrong(format!("{text:?} is not a size: a number that is not negative, and a unit such as MiB")))?
        .as_u64();
    if range.contains(&bytes) {
        return Ok(bytes);
    }
    Err(wrong(format!("{text:?} is not between {} and {}", iec(*range.start()), iec(*range.end()))))
}

pub(super) fn count(
    number: Option<u64>,
    key: &'static str,
    default: u64,
    example: &'static str,
    range: std::ops::RangeInclusive<u64>,
) -> Result<usize, ConfigError> {
    let number = number.unwrap_or(default);
    if range.contains(&number) {
        return Ok(number as usize);
    }
    let problem = format!("{number} is not between {} and {}", range.start(), range.end());
    Err(ConfigError::Value { key, problem, example })
}
