//! The settings of the read side: how ghosts are judged, and the live page.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::{ConfigError, RawSecret, Secret, count, duration, read_secret};
use crate::store::compact::CompactSettings;
use crate::usage::ghost::{
    DEFAULT_LEEWAY_PERCENT, DEFAULT_LIFETIME_SECONDS, LIFETIME_SECONDS_MAX, Lifetimes, Thresholds,
};

/// The page at `/`, its JSON, and the loop that feeds them and decides alerts.
#[derive(Debug, Clone)]
pub struct LiveSettings {
    /// `None`: on where only this machine can reach it, or where a token is asked for.
    pub enabled: Option<bool>,
    /// What page and JSON ask for: as `Authorization: Bearer …`, or at their login.
    pub token: Option<Secret>,
    /// How often it is looked for what was committed.
    pub interval: Duration,
    /// How far back from what is known the first reader of a tenant judges.
    pub look_back: Duration,
    /// Not a setting: nobody writes any more, as after a demo.
    pub is_over: bool,
    /// Days of usage kept in memory.
    pub days: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGhosts {
    #[serde(default)]
    lifetimes: BTreeMap<String, String>,
    default_lifetime: Option<String>,
    leeway_percent: Option<u64>,
    avoidable_per_day: Option<u64>,
    waste_percent: Option<u64>,
    processes_per_address: Option<u64>,
}

impl RawGhosts {
    /// What `other` names goes before what is here.
    pub(super) fn lay_over(&mut self, other: Self) {
        self.lifetimes.extend(other.lifetimes);
        self.default_lifetime = other.default_lifetime.or(self.default_lifetime.take());
        self.leeway_percent = other.leeway_percent.or(self.leeway_percent);
        self.avoidable_per_day = other.avoidable_per_day.or(self.avoidable_per_day);
        self.waste_percent = other.waste_percent.or(self.waste_percent);
        self.processes_per_address = other.processes_per_address.or(self.processes_per_address);
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLive {
    enabled: Option<bool>,
    token: Option<RawSecret>,
    interval: Option<String>,
    look_back: Option<String>,
    days: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCompaction {
    enabled: Option<bool>,
    interval: Option<String>,
    keep: Option<String>,
}

/// `None` where it is off.
pub(super) fn compaction(raw: RawCompaction) -> Result<Option<CompactSettings>, ConfigError> {
    let interval = duration(raw.interval, "compaction.interval", "1h", "interval = \"1h\"")?;
    let keep = duration(raw.keep, "compaction.keep", "1day", "keep = \"1day\"")?;
    let settings = CompactSettings { interval, keep, ..CompactSettings::default() };
    Ok(raw.enabled.unwrap_or(true).then_some(settings))
}

pub(super) fn describe_compaction(settings: Option<&CompactSettings>) -> Vec<String> {
    let time = |length| humantime::format_duration(length).to_string();
    let effective = settings.copied().unwrap_or_default();
    vec![
        format!("compaction.enabled      {}", settings.is_some()),
        format!("compaction.interval     {}", time(effective.interval)),
        format!("compaction.keep         {}: what is merged lies there twice for so long", time(effective.keep)),
    ]
}

const LIFETIMES_EXAMPLE: &str = "[ghosts.lifetimes]\n  \"https://api.example.com/\" = \"1h\"";
const TOKEN_EXAMPLE: &str = "token = { env = \"GHOSTLIGHT_LIVE_TOKEN\" }";

impl RawLive {
    /// Has the page be there whatever the file says.
    pub(super) fn only(&mut self) {
        self.enabled = Some(true);
    }
}

pub(super) fn ghosts(raw: RawGhosts) -> Result<(Lifetimes, Thresholds), ConfigError> {
    let thresholds = Thresholds::default();
    let lifetime = |text: Option<String>, key, default: &str, example| {
        let length = duration(text, key, default, example)?;
        match u32::try_from(length.as_secs()) {
            _ if length.subsec_nanos() != 0 => Err(ConfigError::Value {
                key,
                problem: format!("{} is not in whole seconds, as Auth0's are", humantime::format_duration(length)),
                example,
            }),
            Ok(seconds) if (1..=LIFETIME_SECONDS_MAX).contains(&seconds) => Ok(seconds),
            _ => Err(ConfigError::Value {
                key,
                problem: format!(
                    "{} is not from a second to 30 days, the longest that Auth0 has",
                    humantime::format_duration(length)
                ),
                example,
            }),
        }
    };
    let mut by_setting = BTreeMap::new();
    for (audience, text) in raw.lifetimes {
        if audience.is_empty() {
            return Err(ConfigError::Value {
                key: "ghosts.lifetimes",
                problem: "an empty audience: no token is for none".to_owned(),
                example: LIFETIMES_EXAMPLE,
            });
        }
        let seconds = lifetime(Some(text), "ghosts.lifetimes", "", LIFETIMES_EXAMPLE).map_err(|error| match error {
            ConfigError::Value { key, problem, example } => {
                ConfigError::Value { key, problem: format!("of {audience:?}: {problem}"), example }
            }
            other => other,
        })?;
        by_setting.insert(audience, seconds);
    }
    let default = format!("{DEFAULT_LIFETIME_SECONDS}s");
    let leeway_percent = count(
        raw.leeway_percent,
        "ghosts.leeway_percent",
        u64::from(DEFAULT_LEEWAY_PERCENT),
        "leeway_percent = 10",
        0..=90,
    )?;
    let lifetimes = Lifetimes {
        by_setting,
        by_tenant: BTreeMap::new(),
        default_seconds: Some(lifetime(
            raw.default_lifetime,
            "ghosts.default_lifetime",
            &default,
            "default_lifetime = \"1day\"",
        )?),
        leeway_percent: Some(leeway_percent as u32),
    };
    let avoidable_per_day = count(
        raw.avoidable_per_day,
        "ghosts.avoidable_per_day",
        thresholds.avoidable_per_day as u64,
        "avoidable_per_day = 100",
        1..=1_000_000_000,
    )?;
    let waste_percent = count(
        raw.waste_percent,
        "ghosts.waste_percent",
        (thresholds.waste_ratio * 100.0) as u64,
        "waste_percent = 50",
        1..=100,
    )?;
    let processes_per_address = count(
        raw.processes_per_address,
        "ghosts.processes_per_address",
        thresholds.processes_per_address,
        "processes_per_address = 50",
        1..=100_000,
    )?;
    let thresholds = Thresholds {
        avoidable_per_day: avoidable_per_day as f64,
        waste_ratio: waste_percent as f64 / 100.0,
        processes_per_address: processes_per_address as u64,
    };
    Ok((lifetimes, thresholds))
}

/// With fewer there were no month so far.
const DAYS_MIN: u64 = 32;

pub(super) fn live(raw: RawLive) -> Result<LiveSettings, ConfigError> {
    Ok(LiveSettings {
        enabled: raw.enabled,
        token: raw.token.map(|raw| read_secret(raw, "live.token", TOKEN_EXAMPLE)).transpose()?,
        interval: duration(raw.interval, "live.interval", "5s", "interval = \"5s\"")?,
        look_back: duration(raw.look_back, "live.look_back", "1h", "look_back = \"1h\"")?,
        is_over: false,
        days: count(raw.days, "live.days", 62, "days = 62", DAYS_MIN..=400)? as i64,
    })
}

impl LiveSettings {
    /// Whether it runs, where the server listens on loopback alone or not.
    pub fn is_on(&self, is_loopback: bool) -> bool {
        self.enabled.unwrap_or(is_loopback || self.token.is_some())
    }

    /// Refuses to show a tenant's numbers to whoever can reach the port.
    pub(super) fn check(&self, listen: std::net::SocketAddr) -> Result<(), ConfigError> {
        match self.enabled {
            Some(true) if self.token.is_none() && !listen.ip().is_loopback() => Err(ConfigError::Value {
                key: "live.token",
                problem: format!("missing, and {listen} can be reached from other machines"),
                example: TOKEN_EXAMPLE,
            }),
            _ => Ok(()),
        }
    }

    pub(super) fn describe(&self, is_loopback: bool) -> Vec<String> {
        let enabled = match (self.is_on(is_loopback), self.enabled) {
            (is_on, Some(_)) => is_on.to_string(),
            (true, None) => "true".to_owned(),
            (false, None) => {
                "false: http.listen can be reached from other machines, and there is no live.token".to_owned()
            }
        };
        vec![
            format!("live.enabled            {enabled}"),
            format!("live.token              {}", self.token.as_ref().map_or("(none)", |_| "(set)")),
            format!("live.interval           {}", humantime::format_duration(self.interval)),
            format!("live.look_back          {}", humantime::format_duration(self.look_back)),
            format!("live.days               {}", self.days),
        ]
    }
}

pub(super) fn describe_ghosts(lifetimes: &Lifetimes, thresholds: &Thresholds) -> Vec<String> {
    let time = |seconds: u32| humantime::format_duration(Duration::from_secs(u64::from(seconds))).to_string();
    let mut lines: Vec<_> = lifetimes
        .by_setting
        .iter()
        .map(|(audience, seconds)| format!("ghosts.lifetimes        {audience} = {}", time(*seconds)))
        .collect();
    if lines.is_empty() {
        lines.push("ghosts.lifetimes        (none: every audience has the default)".to_owned());
    }
    lines.extend([
        format!("ghosts.default_lifetime {}", time(lifetimes.default_seconds.unwrap_or(DEFAULT_LIFETIME_SECONDS))),
        format!("ghosts.leeway_percent   {}", lifetimes.leeway_percent.unwrap_or(DEFAULT_LEEWAY_PERCENT)),
        format!("ghosts.avoidable_per_day {}", thresholds.avoidable_per_day),
        format!("ghosts.waste_percent    {:.0}", thresholds.waste_ratio * 100.0),
        format!("ghosts.processes_per_address {}", thresholds.processes_per_address),
    ]);
    lines
}
