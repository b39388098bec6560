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
}

/// `tenant` and `api` are those of other settings.
pub(super) fn audit(
    raw: RawAudit,
    tenant: Option<&String>,
    api: Option<&ManagementApi>,
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
    Ok(AuditSettings { tenant, from, baseline: raw.baseline, interval })
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
        ]
    }
}
