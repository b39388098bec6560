//! The settings of the audit beside the live page.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::management::ManagementApi;
use super::{ConfigError, duration};

/// A tenant whose configuration is audited from time to time.
#[derive(Debug, Clone)]
pub struct AuditSettings {
    /// As its events name it.
    pub tenant: String,
    pub from: AuditFrom,
    /// Findings that are accepted.
    pub baseline: Option<PathBuf>,
    pub interval: Duration,
    /// What nobody used for so many days is unused.
    pub unused_days: i64,
}

/// Where the configuration is.
#[derive(Debug, Clone)]
pub enum AuditFrom {
    /// What auth0-deploy-cli exported.
    Export(PathBuf),
    /// What `ghostlight audit --record` wrote.
    Recording(PathBuf),
    Api(ManagementApi),
}

impl std::fmt::Display for AuditFrom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Export(path) | Self::Recording(path) => path.display().fmt(f),
            Self::Api(api) => f.write_str(&api.domain),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAudit {
    config: Option<PathBuf>,
    replay: Option<PathBuf>,
    tenant: Option<String>,
    baseline: Option<PathBuf>,
    interval: Option<String>,
    unused_days: Option<u64>,
}

/// What is unused after so long, unless fewer days are kept.
const UNUSED_DAYS: i64 = 30;

/// `tenant`, `api` and the days that the read side keeps are those of other settings.
pub(super) fn audit(
    raw: RawAudit,
    tenant: Option<&String>,
    api: Option<&ManagementApi>,
    days_kept: i64,
) -> Result<AuditSettings, ConfigError> {
    let from = match (raw.config, raw.replay, api) {
        (Some(path), None, _) => AuditFrom::Export(path),
        (None, Some(folder), _) => AuditFrom::Recording(folder),
        (None, None, Some(api)) => AuditFrom::Api(api.clone()),
        (Some(_), Some(_), _) | (None, None, None) => {
            return Err(ConfigError::Value {
                key: "audit.config",
                problem: "expected one of an export (config), a recording (replay), or [management] with a domain"
                    .to_owned(),
                example: "[audit]\n  config = \"/etc/ghostlight/tenant\"",
            });
        }
    };
    // A tenant's domain begins with its name.
    let of_domain = |api: &ManagementApi| Some(api.domain.split('.').next()?.to_owned());
    let of_api = match &from {
        AuditFrom::Api(api) => of_domain(api),
        AuditFrom::Export(_) | AuditFrom::Recording(_) => None,
    };
    let tenant = raw.tenant.or_else(|| tenant.cloned()).or(of_api).ok_or_else(|| ConfigError::Value {
        key: "audit.tenant",
        problem: "missing: whose configuration this is, by the name that the events have".to_owned(),
        example: "tenant = \"acme\"",
    })?;
    // A folder costs nothing to look at.
    let default = if matches!(from, AuditFrom::Api(_)) { "1h" } else { "1m" };
    let interval = duration(raw.interval, "audit.interval", default, "interval = \"1h\"")?;
    // Today is one of those that are kept.
    let most = days_kept - 1;
    let unused_days = raw.unused_days.map_or(UNUSED_DAYS.min(most), |days| i64::try_from(days).unwrap_or(i64::MAX));
    if !(1..=most).contains(&unused_days) {
        return Err(ConfigError::Value {
            key: "audit.unused_days",
            problem: format!("{unused_days} is not between 1 and {most}, of the {days_kept} days that live.days keeps"),
            example: "unused_days = 30",
        });
    }
    Ok(AuditSettings { tenant, from, baseline: raw.baseline, interval, unused_days })
}

impl AuditSettings {
    pub(super) fn describe(&self) -> Vec<String> {
        let name = match &self.from {
            AuditFrom::Export(_) => "audit.config           ",
            AuditFrom::Recording(_) => "audit.replay           ",
            AuditFrom::Api(_) => "audit                  ",
        };
        vec![
            format!("{name} {}", self.from),
            format!("audit.tenant            {}", self.tenant),
            format!(
                "audit.baseline          {}",
                self.baseline.as_ref().map_or_else(|| "(none)".to_owned(), |path| path.display().to_string())
            ),
            format!("audit.interval          {}", humantime::format_duration(self.interval)),
            format!("audit.unused_days       {}", self.unused_days),
        ]
    }
}
