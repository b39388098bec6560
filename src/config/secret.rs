//! What must not be read: where it comes from, and that nothing prints it.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::ConfigError;

/// A value that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: String) -> Self {
        Self(value)
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

/// `{ env = "NAME" }` or `{ file = "PATH" }`; a secret is never in the settings themselves.
#[derive(Debug)]
pub(super) struct RawSecret {
    env: Option<String>,
    file: Option<PathBuf>,
}

impl RawSecret {
    pub(super) fn of_variable(name: &str) -> Self {
        Self { env: Some(name.to_owned()), file: None }
    }

    /// Where it is, in words, as far as they may be said.
    pub(super) fn place(&self) -> String {
        match (&self.env, &self.file) {
            (_, Some(path)) => shown_path(path),
            (Some(name), None) => format!("the variable {}", shown_name(name)),
            (None, None) => "the secret".to_owned(),
        }
    }
}

impl<'de> Deserialize<'de> for RawSecret {
    /// Whatever else was written may be the secret itself, so the error only says what is right.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Written {
            env: Option<String>,
            file: Option<PathBuf>,
        }
        match Written::deserialize(deserializer) {
            Ok(Written { env, file }) => Ok(Self { env, file }),
            Err(_) => Err(serde::de::Error::custom(
                "expected `{ env = \"NAME\" }` or `{ file = \"PATH\" }`: a secret is never written here itself",
            )),
        }
    }
}

pub(super) fn read_secret(raw: RawSecret, key: &'static str, example: &'static str) -> Result<Secret, ConfigError> {
    let wrong = |problem| ConfigError::Value { key, problem, example };
    let place = raw.place();
    let value = match (raw.env, raw.file) {
        (Some(name), None) => {
            std::env::var(&name).map_err(|_| wrong(format!("the environment has no variable {}", shown_name(&name))))?
        }
        (None, Some(path)) => std::fs::read_to_string(&path)
            .map_err(|error| wrong(format!("reading {place}: {error}")))?
            .trim_end_matches(['\n', '\r'])
            .to_owned(),
        _ => return Err(wrong("expected either `env` or `file`".to_owned())),
    };
    if value.is_empty() { Err(wrong(format!("{place} is empty"))) } else { Ok(Secret::new(value)) }
}

/// A name that is none may be the secret itself, in the wrong place.
fn shown_name(name: &str) -> &str {
    let is_name = name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    if is_name { name } else { "of that name (not shown: it does not look like one, such as GHOSTLIGHT_PASSWORD)" }
}

/// The same for a file: one that is there is no secret, nor is what names a folder that is.
fn shown_path(path: &Path) -> String {
    let is_path = path.is_absolute() || path.starts_with("./") || path.starts_with("../") || path.exists();
    let is_within = || path.parent().is_some_and(|folder| !folder.as_os_str().is_empty() && folder.is_dir());
    match is_path || is_within() {
        true => path.display().to_string(),
        false => "the file named there (not shown: it may be the secret itself; write ./NAME)".to_owned(),
    }
}
