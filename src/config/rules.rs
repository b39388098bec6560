//! The settings of rules: which are on, how long their conditions must last, how bad they are, and who is left in peace.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::{ConfigError, RawConfig, RawGhosts, RawQuota, duration, toml_error};
use crate::alert::Severity;
use crate::alert::episode::Timing;
use crate::alert::rules::{self, TIMINGS};
use crate::alert::silence::Silence;
use crate::event::EventTime;
use crate::store::progress::Patience;

/// How alerts are decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionSettings {
    /// Every rule with its timing, also those turned off: what they have open resolves.
    pub timings: BTreeMap<&'static str, Timing>,
    /// Rules that find nothing any more.
    pub off: Vec<&'static str>,
    /// Rules that are as bad as somebody said, whatever they find.
    pub severities: BTreeMap<&'static str, Severity>,
    pub silences: Vec<Silence>,
    pub patience: Patience,
}

impl Default for DecisionSettings {
    fn default() -> Self {
        Self {
            timings: TIMINGS.into_iter().collect(),
            off: Vec::new(),
            severities: BTreeMap::new(),
            silences: Vec::new(),
            patience: Patience::default(),
        }
    }
}

/// What `[alerts]` has beside its channels; all of it in a file of rules.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDecisions {
    pub grace: Option<String>,
    pub retired_after: Option<String>,
    #[serde(default)]
    pub rules: BTreeMap<String, RawRule>,
    #[serde(default)]
    pub silences: Vec<RawSilence>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRule {
    enabled: Option<bool>,
    severity: Option<String>,
    #[serde(rename = "for")]
    lasts: Option<String>,
    clear: Option<String>,
    repeat: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSilence {
    rule: Option<String>,
    tenant: Option<String>,
    subject: Option<String>,
    until: String,
    reason: String,
}

/// A file of `backtest --rules`: only what alerts are decided by.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRulesFile {
    quota: Option<RawQuota>,
    #[serde(default)]
    ghosts: RawGhosts,
    #[serde(default)]
    alerts: RawDecisions,
}

const RULES: &str = "alerts.rules";
const RULES_EXAMPLE: &str = "[alerts.rules.quota]\n  repeat = \"1day\"";
const SILENCES: &str = "alerts.silences";
const SILENCES_EXAMPLE: &str =
    "silences = [{ rule = \"spike\", until = \"2026-12-01T00:00:00Z\", reason = \"load test, OPS-12\" }]";
const GRACE_EXAMPLE: &str = "grace = \"1m\"";
const RETIRED_EXAMPLE: &str = "retired_after = \"1day\"";
/// Longer, and every page would come a day late.
const GRACE_MAX: Duration = Duration::from_secs(86_400);
/// Longer, and one worker that is gone holds verdicts back for a season.
const RETIRED_MAX: Duration = Duration::from_secs(90 * 86_400);
/// The longest a condition may have to last, or to be over.
const WINDOWS_MAX: u64 = 288;

pub(super) fn decisions(raw: RawDecisions) -> Result<DecisionSettings, ConfigError> {
    let mut settings = DecisionSettings::default();
    for (name, raw) in raw.rules {
        let rule = known(&name, RULES, RULES_EXAMPLE)?;
        let wrong = |problem: String| ConfigError::Value {
            key: RULES,
            problem: format!("of rule {rule}: {problem}"),
            example: RULES_EXAMPLE,
        };
        if raw.enabled == Some(false) {
            settings.off.push(rule);
        }
        if let Some(severity) = raw.severity {
            let known = Severity::from_name(&severity);
            let severity =
                known.ok_or_else(|| wrong(format!("severity {severity:?} is not one of info, warning, critical")))?;
            settings.severities.insert(rule, severity);
        }
        let timing = settings.timings.entry(rule).or_insert(Timing { for_windows: 1, clear_windows: 1, repeat: None });
        if let Some(text) = raw.lasts {
            timing.for_windows = windows(&text).map_err(|problem| wrong(format!("`for`: {problem}")))?;
        }
        if let Some(text) = raw.clear {
            timing.clear_windows = windows(&text).map_err(|problem| wrong(format!("`clear`: {problem}")))?;
        }
        if let Some(text) = raw.repeat {
            timing.repeat = repeat(&text).map_err(|problem| wrong(format!("`repeat`: {problem}")))?;
        }
    }
    settings.silences = raw.silences.into_iter().map(silence).collect::<Result<_, _>>()?;
    let default = Patience::default();
    let text = |length| humantime::format_duration(length).to_string();
    settings.patience = Patience {
        grace: at_most(
            duration(raw.grace, "alerts.grace", &text(default.grace), GRACE_EXAMPLE)?,
            GRACE_MAX,
            "alerts.grace",
            GRACE_EXAMPLE,
        )?,
        retired_after: at_most(
            duration(raw.retired_after, "alerts.retired_after", &text(default.retired_after), RETIRED_EXAMPLE)?,
            RETIRED_MAX,
            "alerts.retired_after",
            RETIRED_EXAMPLE,
        )?,
    };
    Ok(settings)
}

/// Puts what the file at `path` says in place of what `raw` says of rules, ghosts and quotas.
pub(super) fn replace(raw: &mut RawConfig, path: &Path) -> Result<(), ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let file: RawRulesFile = toml::from_str(&text)
        .map_err(|error| ConfigError::Syntax { path: path.to_owned(), problem: toml_error::explain(&text, error) })?;
    if let Some(quota) = file.quota {
        raw.quota = quota;
    }
    raw.ghosts.lay_over(file.ghosts);
    raw.alerts.lay_over(file.alerts);
    Ok(())
}

fn at_most(
    length: Duration,
    most: Duration,
    key: &'static str,
    example: &'static str,
) -> Result<Duration, ConfigError> {
    let text = humantime::format_duration;
    match length <= most {
        true => Ok(length),
        false => {
            let problem = format!("{} is more than {}", text(length), text(most));
            Err(ConfigError::Value { key, problem, example })
        }
    }
}

fn known(name: &str, key: &'static str, example: &'static str) -> Result<&'static str, ConfigError> {
    let mut rules = TIMINGS.iter().map(|(rule, _)| *rule);
    rules.find(|rule| *rule == name).ok_or_else(|| ConfigError::Value {
        key,
        problem: format!("there is no rule {name:?}; there are {}", TIMINGS.map(|(rule, _)| rule).join(", ")),
        example,
    })
}

/// A length of time as windows, rounded up: a condition is looked at once a window.
fn windows(text: &str) -> Result<u32, String> {
    let length = humantime::parse_duration(text).map_err(|error| format!("{text:?} is no length of time: {error}"))?;
    let windows = length.as_millis().div_ceil(rules::WINDOW_MS as u128) as u64;
    match u32::try_from(windows) {
        Ok(windows) if (1..=WINDOWS_MAX).contains(&u64::from(windows)) => Ok(windows),
        _ => Err(format!("{text:?} is not between 5 minutes, a window, and a day")),
    }
}

fn repeat(text: &str) -> Result<Option<Duration>, String> {
    if text == "never" {
        return Ok(None);
    }
    let length = humantime::parse_duration(text)
        .map_err(|error| format!("{text:?} is neither \"never\" nor a length of time: {error}"))?;
    let longest = Duration::from_secs(7 * 86_400);
    let shortest = Duration::from_millis(rules::WINDOW_MS as u64);
    match (shortest..=longest).contains(&length) {
        true => Ok(Some(length)),
        false => Err(format!("{text:?} is not between 5 minutes and 7 days; \"never\" turns it off")),
    }
}

fn silence(raw: RawSilence) -> Result<Silence, ConfigError> {
    let wrong = |problem: String| ConfigError::Value { key: SILENCES, problem, example: SILENCES_EXAMPLE };
    let until = EventTime::parse(&raw.until)
        .ok_or_else(|| wrong(format!("until {:?} is not ISO 8601 in UTC, such as 2026-12-01T00:00:00Z", raw.until)))?;
    if raw.reason.trim().is_empty() {
        return Err(wrong("a silence needs a reason: it is written into the journal".to_owned()));
    }
    if let Some(rule) = &raw.rule {
        known(rule, SILENCES, SILENCES_EXAMPLE)?;
    }
    Ok(Silence { rule: raw.rule, tenant: raw.tenant, subject: raw.subject, until, reason: raw.reason })
}

impl DecisionSettings {
    /// Lines for `Config::describe`; of rules and silences, what is not as it is by default.
    pub(super) fn describe(&self) -> Vec<String> {
        let time = |length: Duration| humantime::format_duration(length).to_string();
        let mut lines = vec![
            format!("alerts.grace            {}", time(self.patience.grace)),
            format!("alerts.retired_after    {}", time(self.patience.retired_after)),
        ];
        for (rule, default) in TIMINGS {
            let timing = self.timings.get(rule).copied().unwrap_or(default);
            let severity = self.severities.get(rule);
            let is_off = self.off.contains(&rule);
            if timing == default && severity.is_none() && !is_off {
                continue;
            }
            let window = Duration::from_millis(rules::WINDOW_MS as u64);
            let severity = severity.map(|severity| format!(", {}", severity.name())).unwrap_or_default();
            lines.push(format!(
                "alerts.rules            {rule}: {}for {}, clear {}, repeat {}{severity}",
                if is_off { "off; " } else { "" },
                time(window * timing.for_windows),
                time(window * timing.clear_windows),
                timing.repeat.map_or_else(|| "never".to_owned(), time),
            ));
        }
        lines.extend(self.silences.iter().map(|silence| {
            let any = |text: &Option<String>| text.clone().unwrap_or_else(|| "any".to_owned());
            format!(
                "alerts.silences         rule {}, tenant {}, subject {}, until {}: {}",
                any(&silence.rule),
                any(&silence.tenant),
                any(&silence.subject),
                silence.until,
                silence.reason
            )
        }));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::rules::{GHOST_USAGE, QUOTA, SPIKE};
    use crate::config::{Config, Flags};

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, Path::new("x.toml"))
    }

    const RIGHT: &str = r#"
        [alerts]
        grace = "2m"
        retired_after = "2h"
        silences = [{ rule = "spike", tenant = "acme", until = "2026-12-01T00:00:00Z", reason = "load test" }]
        [alerts.rules.ghost-usage]
        for = "12m"
        clear = "20m"
        repeat = "never"
        [alerts.rules.spike]
        enabled = false
        [alerts.rules.quota]
        severity = "info"
        repeat = "1day"
    "#;

    #[test]
    fn rules_can_be_turned_off_timed_and_graded_and_silenced() {
        let config = parse(RIGHT).expect("right");
        let decisions = &config.alerts.decisions;
        assert_eq!(decisions.off, [SPIKE]);
        assert_eq!(decisions.severities.get(QUOTA), Some(&Severity::Info));
        let timing = decisions.timings[GHOST_USAGE];
        assert_eq!((timing.for_windows, timing.clear_windows, timing.repeat), (3, 4, None), "rounded up to windows");
        assert_eq!(decisions.timings[QUOTA].repeat, Some(Duration::from_secs(86_400)));
        assert_eq!(decisions.patience.grace, Duration::from_secs(120));
        assert_eq!(decisions.silences[0].reason, "load test");
        let described = config.describe();
        for line in [
            "ghost-usage: for 15m, clear 20m, repeat never",
            "spike: off; for 5m",
            "repeat 1day, info",
            "rule spike, tenant acme, subject any, until 2026-12-01T00:00:00.000Z: load test",
        ] {
            assert!(described.contains(line), "{line} is not in {described}");
        }
        assert_eq!(parse("").expect("right").alerts.decisions, DecisionSettings::default());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_key_and_a_right_line() {
        for (text, says) in [
            ("[alerts.rules.ghosts]\nenabled = false", "there is no rule \"ghosts\"; there are ghost-usage,"),
            ("[alerts.rules.spike]\nfor = \"soon\"", "of rule spike: `for`: \"soon\""),
            ("[alerts.rules.spike]\nclear = \"2days\"", "between 5 minutes, a window, and a day"),
            ("[alerts.rules.spike]\nfor = \"0s\"", "between 5 minutes"),
            ("[alerts.rules.spike]\nrepeat = \"1s\"", "\"never\" turns it off"),
            ("[alerts.rules.spike]\nrepeat = \"30days\"", "\"never\" turns it off"),
            ("[alerts.rules.spike]\nseverity = \"bad\"", "one of info, warning, critical"),
            ("[alerts.rules.spike]\nseverety = \"info\"", "severety"),
            ("[[alerts.silences]]\nuntil = \"tomorrow\"\nreason = \"x\"", "alerts.silences: until \"tomorrow\""),
            ("[[alerts.silences]]\nuntil = \"2026-12-01T00:00:00Z\"\nreason = \" \"", "needs a reason"),
            ("[[alerts.silences]]\nuntil = \"2026-12-01T00:00:00Z\"\nreason = \"x\"\nrule = \"y\"", "no rule \"y\""),
            ("[alerts]\ngrace = \"0s\"", "alerts.grace"),
            ("[alerts]\ngrace = \"400days\"", "alerts.grace"),
            ("[alerts]\nretired_after = \"x\"", "alerts.retired_after"),
        ] {
            let error = parse(text).expect_err("not right").to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_file_of_rules_replaces_only_what_decides() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let settings = write("a.toml", "tenant = \"acme\"\n[quota]\nmau = 5\n[alerts]\nlink = \"https://x.test/\"");
        let rules = write("b.toml", "[alerts.rules.spike]\nenabled = false");
        let config = Config::load_with_rules(Some(&settings), &Flags::default(), Some(&rules)).expect("right");
        assert_eq!((config.tenant.as_deref(), config.quota.monthly.mau), (Some("acme"), Some(5)));
        assert_eq!(
            (config.alerts.link.as_deref(), &config.alerts.decisions.off[..]),
            (Some("https://x.test/"), &[SPIKE][..])
        );
        let settings = write(
            "d.toml",
            "[quota]\nmau = 5\n[ghosts]\nleeway_percent = 5\nlifetimes = { a = \"1h\" }\n[alerts]\ngrace = \"2m\"",
        );
        let rules = write(
            "e.toml",
            "[quota]\nm2m_tokens = 7\n[ghosts]\nlifetimes = { b = \"2h\" }\n[alerts.rules.spike]\nclear = \"1h\"",
        );
        let config = Config::load_with_rules(Some(&settings), &Flags::default(), Some(&rules)).expect("right");
        let monthly = (config.quota.monthly.mau, config.quota.monthly.m2m_tokens);
        assert_eq!(monthly, (None, Some(7)), "a section it has is all of it");
        let lifetimes = &config.lifetimes;
        assert_eq!((lifetimes.by_setting["a"], lifetimes.by_setting["b"]), (3600, 7200), "but for lifetimes");
        assert_eq!(lifetimes.leeway_percent, Some(5));
        assert_eq!(config.alerts.decisions.patience.grace, Duration::from_secs(120));
        let other = write("c.toml", "[http]\nlisten = \"127.0.0.1:1\"");
        let error = Config::load_with_rules(None, &Flags::default(), Some(&other)).expect_err("no rules");
        assert!(error.to_string().contains("http"), "{error}");
    }
}
