//! The settings of what is written about people.

use serde::Deserialize;

use super::{ConfigError, RawSecret, read_secret};
use crate::event::{Policies, Policy, Privacy};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPrivacy {
    user_id: Option<String>,
    user_name: Option<String>,
    ip: Option<String>,
    email: Option<String>,
    key: Option<RawSecret>,
}

const KEY: &str = "privacy.key";
const KEY_EXAMPLE: &str = "key = { env = \"GHOSTLIGHT_PRIVACY_KEY\" }";
/// Shorter keys can be tried out, with all addresses there are.
const KEY_BYTES_MIN: usize = 16;

pub(super) fn privacy(raw: RawPrivacy) -> Result<Privacy, ConfigError> {
    let policies = Policies {
        user_id: policy(raw.user_id, "privacy.user_id", "user_id = \"hash\"")?,
        user_name: policy(raw.user_name, "privacy.user_name", "user_name = \"drop\"")?,
        ip: policy(raw.ip, "privacy.ip", "ip = \"hash\"")?,
        email: policy(raw.email, "privacy.email", "email = \"hash\"")?,
    };
    let wrong = |problem: &str| ConfigError::Value { key: KEY, problem: problem.to_owned(), example: KEY_EXAMPLE };
    let place = raw.key.as_ref().map(RawSecret::place).unwrap_or_default();
    let key = raw.key.map(|key| read_secret(key, KEY, KEY_EXAMPLE)).transpose()?;
    match &key {
        Some(_) if !policies.hash_any() => return Err(wrong("nothing is hashed with it: no policy is \"hash\"")),
        // Blanks around it are part of it, and no secret.
        Some(key) if key.expose().trim().len() < KEY_BYTES_MIN => {
            return Err(wrong(&format!(
                "{place} is shorter than 16 bytes, so that it can be guessed; `openssl rand -hex 32` makes one"
            )));
        }
        _ => {}
    }
    Privacy::new(policies, key.as_ref().map(|key| key.expose().as_bytes()))
        .ok_or_else(|| wrong("missing: what is hashed is hashed with a key; `openssl rand -hex 32` makes one"))
}

fn policy(name: Option<String>, key: &'static str, example: &'static str) -> Result<Policy, ConfigError> {
    let Some(name) = name else { return Ok(Policy::default()) };
    Policy::from_name(&name).ok_or_else(|| ConfigError::Value {
        key,
        problem: format!("{name:?} is not one of {}", Policy::NAMES.join(", ")),
        example,
    })
}

/// Users that are watched are counted by what is not dropped.
pub(super) fn check_together(policies: Policies, watches_users: bool) -> Result<(), ConfigError> {
    for (policy, key, who, example) in [
        (policies.user_id, "privacy.user_id", "users", "user_id = \"hash\""),
        (policies.email, "privacy.email", "users whose id holds an address", "email = \"hash\""),
    ] {
        if policy == Policy::Drop && watches_users {
            let problem = format!("\"drop\" leaves nothing to count {who} by, and quota.mau is watched");
            return Err(ConfigError::Value { key, problem, example });
        }
    }
    Ok(())
}

/// What is lost by dropping what something else needs, and what no policy reaches.
pub(super) fn warnings(policies: Policies, to_topic: bool) -> Vec<&'static str> {
    let mut warnings = Vec::new();
    if policies.user_id == Policy::Drop {
        warnings.push("privacy.user_id is \"drop\": users cannot be counted; with \"hash\" they are");
    }
    if policies.ip == Policy::Drop {
        warnings.push(
            "privacy.ip is \"drop\": all processes of a client count as behind one address; raise \
             ghosts.processes_per_address to what a client has, or take \"hash\"",
        );
    }
    if to_topic && !policies.keep_all() {
        warnings.push("webhook.to is \"kafka\": the topic gets events as they came, and [privacy] is for who reads it");
    }
    warnings
}

pub(super) fn describe(privacy: &Privacy) -> Vec<String> {
    let policies = privacy.policies();
    let user_id = match policies.user_id {
        Policy::Drop => "drop: users cannot be counted",
        other => other.name(),
    };
    vec![
        format!("privacy.user_id         {user_id}"),
        format!("privacy.user_name       {}", policies.user_name.name()),
        format!("privacy.ip              {}", policies.ip.name()),
        format!("privacy.email           {}", policies.email.name()),
        format!("privacy.key             {}", if privacy.key_id().is_some() { "(set)" } else { "(none)" }),
    ]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Config;

    #[test]
    fn a_gateway_is_told_that_the_topic_has_everything() {
        let kafka = "[webhook]\nto = \"kafka\"\ntopic = \"t\"\n[kafka]\nbootstrap_servers = [\"a:1\"]\n";
        let warnings =
            |text: &str| Config::parse(&format!("{kafka}{text}"), Path::new("x.toml")).expect("right").warnings();
        assert!(warnings("").is_empty());
        let found = warnings("[privacy]\nip = \"drop\"\n");
        assert!(found.len() == 2 && found[1].contains("topic"), "{found:?}");
    }

    #[test]
    fn what_cannot_be_is_refused_with_a_right_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            format!("key = {{ file = {:?} }}", path.display().to_string())
        };
        let (good, short) = (file("good", "0123456789abcdef\n"), file("short", "hunter2"));
        let (blank, empty) = (file("blank", &" \t".repeat(16)), file("empty", "\n"));
        let missing = format!("key = {{ file = {:?} }}", folder.path().join("missing").display().to_string());
        let parse = |text: &str| Config::parse(&format!("[privacy]\n{text}"), Path::new("x.toml"));
        let config = parse(&format!("user_id = \"hash\"\nip = \"drop\"\n{good}")).expect("right");
        let described = config.describe();
        assert!(described.contains("privacy.user_id         hash\n"), "{described}");
        assert!(described.contains("privacy.key             (set)"), "{described}");
        for (text, says, example) in [
            ("user_id = \"mask\"".to_owned(), "privacy.user_id: \"mask\" is not one of keep, hash, drop", "\"hash\""),
            ("user_id = \"hash\"".to_owned(), "privacy.key: missing", "GHOSTLIGHT_PRIVACY_KEY"),
            (format!("user_id = \"hash\"\n{short}"), "/short is shorter than 16 bytes", "GHOSTLIGHT_PRIVACY_KEY"),
            (format!("user_id = \"hash\"\n{blank}"), "/blank is shorter than 16 bytes", "GHOSTLIGHT_PRIVACY_KEY"),
            (format!("user_id = \"hash\"\n{empty}"), "/empty is empty", "GHOSTLIGHT_PRIVACY_KEY"),
            (format!("user_id = \"hash\"\n{missing}"), "/missing: No such file", "GHOSTLIGHT_PRIVACY_KEY"),
            (
                "user_id = \"hash\"\nkey = { file = \"src/no-such-key\" }".to_owned(),
                "src/no-such-key: No such file",
                "GHOSTLIGHT_PRIVACY_KEY",
            ),
            (
                "user_id = \"hash\"\nkey = { file = \"hunter2hunter2hunter2\" }".to_owned(),
                "not shown: it may be the secret itself; write ./NAME",
                "GHOSTLIGHT_PRIVACY_KEY",
            ),
            (format!("user_id = \"drop\"\n{good}"), "privacy.key: nothing is hashed", "GHOSTLIGHT_PRIVACY_KEY"),
            ("user_id = \"drop\"\n[quota]\nmau = 5".to_owned(), "privacy.user_id: \"drop\"", "user_id = \"hash\""),
            ("email = \"drop\"\n[quota]\nmau = 5".to_owned(), "privacy.email: \"drop\"", "email = \"hash\""),
            (
                "user_id = \"drop\"\n[quota.tenants.acme]\nmau = 5".to_owned(),
                "privacy.user_id: \"drop\"",
                "user_id = \"hash\"",
            ),
        ] {
            let error = parse(&text).expect_err("not right").to_string();
            assert!(error.contains(says) && error.contains(example), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
