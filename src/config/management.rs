//! The settings of a tenant's Management API, and of pulling its log events.

use std::time::Duration;

use serde::Deserialize;

use super::kafka::StartAt;
use super::{ConfigError, RawSecret, WebhookTo, duration, read_secret};
use crate::source::management::{self, Credentials};

/// Which tenant's, and as whom.
#[derive(Clone)]
pub struct ManagementApi {
    pub domain: String,
    pub credentials: Credentials,
}

impl std::fmt::Debug for ManagementApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ManagementApi").field("domain", &self.domain).finish_non_exhaustive()
    }
}

/// Log events that are pulled.
#[derive(Debug, Clone)]
pub struct ManagementSource {
    /// Where a spool begins that has no checkpoint.
    pub start: StartAt,
    /// How often it is asked once there is nothing more.
    pub interval: Duration,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawManagement {
    domain: Option<String>,
    client_id: Option<RawSecret>,
    client_secret: Option<RawSecret>,
}

impl RawManagement {
    pub(super) fn set_domain(&mut self, domain: &str) {
        self.domain = Some(domain.to_owned());
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawManagementSource {
    start: Option<String>,
    interval: Option<String>,
}

const DOMAIN_EXAMPLE: &str = "[management]\n  domain = \"acme.eu.auth0.com\"";

pub(super) fn api(raw: RawManagement) -> Result<ManagementApi, ConfigError> {
    let wrong = |problem| ConfigError::Value { key: "management.domain", problem, example: DOMAIN_EXAMPLE };
    let domain = raw.domain.ok_or_else(|| wrong("missing: whose Management API it is".to_owned()))?;
    management::base(&domain).map_err(|error| wrong(error.to_string()))?;
    // The names that Auth0's own tools use, and `ghostlight audit`.
    let secret = |raw: Option<RawSecret>, variable: &str, key, example| {
        let raw = raw.unwrap_or_else(|| RawSecret::of_variable(variable));
        read_secret(raw, key, example).map(|secret| secret.expose().to_owned())
    };
    let client_id = "client_id = { env = \"AUTH0_CLIENT_ID\" }";
    let client_secret = "client_secret = { env = \"AUTH0_CLIENT_SECRET\" }";
    let credentials = Credentials {
        client_id: secret(raw.client_id, "AUTH0_CLIENT_ID", "management.client_id", client_id)?,
        client_secret: secret(raw.client_secret, "AUTH0_CLIENT_SECRET", "management.client_secret", client_secret)?,
        named: "management.client_id and management.client_secret",
    };
    Ok(ManagementApi { domain, credentials })
}

pub(super) fn source(raw: RawManagementSource) -> Result<ManagementSource, ConfigError> {
    let (key, example) = ("source.management.interval", "interval = \"15s\"");
    let interval = duration(raw.interval, key, "15s", example)?;
    if interval < Duration::from_secs(1) {
        let problem = format!("{} is less than a second: Auth0 would refuse", humantime::format_duration(interval));
        return Err(ConfigError::Value { key, problem, example });
    }
    let start = StartAt::parse(raw.start.as_deref().unwrap_or("earliest"), "source.management.start")?;
    Ok(ManagementSource { start, interval })
}

pub(super) fn check_together(
    api: Option<&ManagementApi>,
    source: Option<&ManagementSource>,
    webhook: &WebhookTo,
) -> Result<(), ConfigError> {
    if source.is_none() {
        return Ok(());
    }
    if api.is_none() {
        let problem = "missing: source.management pulls the log events of a tenant".to_owned();
        return Err(ConfigError::Value { key: "management.domain", problem, example: DOMAIN_EXAMPLE });
    }
    if matches!(webhook, WebhookTo::Kafka { .. }) {
        return Err(ConfigError::Value {
            key: "source.management",
            problem: "a gateway (webhook.to = \"kafka\") keeps nothing itself; pull in a process of its own".to_owned(),
            example: "[webhook]\n  to = \"off\"",
        });
    }
    Ok(())
}

impl ManagementApi {
    pub(super) fn describe(&self) -> Vec<String> {
        vec![
            format!("management.domain       {}", self.domain),
            "management.client_id    (set)".to_owned(),
            "management.client_secret (set)".to_owned(),
        ]
    }
}

impl ManagementSource {
    pub(super) fn describe(&self) -> Vec<String> {
        vec![
            format!("source.management.start {}, where the spool knows nothing yet", self.start),
            format!(
                "source.management.interval {}: {} requests a minute at least, of the 100 that Auth0's smaller plans allow",
                humantime::format_duration(self.interval),
                (60.0 / self.interval.as_secs_f64()).ceil()
            ),
        ]
    }
}
