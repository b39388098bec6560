//! The settings of alerts: the channels they go to.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use lettre::message::Mailbox;
use lettre::transport::smtp::client::Certificate;
use serde::Deserialize;

use super::rules::{self, DecisionSettings, RawDecisions, RawRule, RawSilence};
use super::{ConfigError, RawSecret, Secret, read_secret};
use crate::alert::Severity;
use crate::alert::notify::alertmanager::Alertmanager;
use crate::alert::notify::email::{self, Email};
use crate::alert::notify::pagerduty::{self, PagerDuty};
use crate::alert::notify::slack::Slack;
use crate::alert::notify::teams::Teams;
use crate::alert::notify::webhook::Webhook;
use crate::alert::notify::{Channel, Target};
use crate::alert::outbox::is_channel_name;

/// The name of the channel that is always there.
const LOG: &str = "log";

#[derive(Debug, Clone)]
pub struct AlertSettings {
    /// Where people find the live page; it goes with each alert.
    pub link: Option<String>,
    /// With the log, which comes first.
    pub channels: Vec<Target>,
    pub decisions: DecisionSettings,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAlerts {
    link: Option<String>,
    #[serde(default)]
    channels: Vec<RawChannel>,
    grace: Option<String>,
    retired_after: Option<String>,
    #[serde(default)]
    rules: BTreeMap<String, RawRule>,
    #[serde(default)]
    silences: Vec<RawSilence>,
}

impl RawAlerts {
    /// What `decisions` names goes before what is here: each rule, all silences, each length of time.
    pub(super) fn lay_over(&mut self, decisions: RawDecisions) {
        let RawDecisions { grace, retired_after, rules, silences } = decisions;
        self.grace = grace.or(self.grace.take());
        self.retired_after = retired_after.or(self.retired_after.take());
        self.rules.extend(rules);
        if !silences.is_empty() {
            self.silences = silences;
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum RawChannel {
    Webhook { name: String, min_severity: Option<String>, url: RawUrl, secret: Option<RawSecret> },
    Slack { name: String, min_severity: Option<String>, url: RawSecret },
    PagerDuty { name: String, min_severity: Option<String>, url: Option<RawUrl>, routing_key: RawSecret },
    Alertmanager { name: String, min_severity: Option<String>, url: RawUrl, authorization: Option<RawSecret> },
    Teams { name: String, min_severity: Option<String>, url: RawSecret },
    Email(RawEmail),
}

/// A URL that is no secret.
#[derive(Debug)]
struct RawUrl(String);

impl<'de> Deserialize<'de> for RawUrl {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let wrong = |error| serde::de::Error::custom(format!("url: {error}; of this type it is written here itself"));
        String::deserialize(from).map(Self).map_err(wrong)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEmail {
    name: String,
    min_severity: Option<String>,
    smtp: String,
    tls: Option<String>,
    ca: Option<PathBuf>,
    from: String,
    to: Vec<String>,
    username: Option<String>,
    password: Option<RawSecret>,
}

pub(super) fn alerts(raw: RawAlerts) -> Result<AlertSettings, ConfigError> {
    let mut channels = vec![Target { name: LOG.to_owned(), min_severity: Severity::Info, channel: Channel::Log }];
    for raw in raw.channels {
        let target = target(raw)?;
        if channels.iter().any(|other| other.name == target.name) {
            let problem = match target.name.as_str() {
                LOG => format!("{LOG:?} is the channel that is always there"),
                name => format!("{name:?} is there twice"),
            };
            return Err(name_wrong(problem));
        }
        channels.push(target);
    }
    let link = raw.link.map(|link| {
        parsed(&link, "").map(|_| link).map_err(|problem| ConfigError::Value {
            key: "alerts.link",
            problem,
            example: "link = \"https://ghostlight.example.com/\"",
        })
    });
    let RawAlerts { grace, retired_after, rules, silences, .. } = raw;
    let decisions = rules::decisions(RawDecisions { grace, retired_after, rules, silences })?;
    Ok(AlertSettings { link: link.transpose()?, channels, decisions })
}

fn target(raw: RawChannel) -> Result<Target, ConfigError> {
    Ok(match raw {
        RawChannel::Webhook { name, min_severity, url, secret } => {
            let url = plain_url(&name, url.0, "url = \"https://alerts.example.com/ghostlight\"")?;
            let example = "secret = { env = \"GHOSTLIGHT_ALERT_WEBHOOK_SECRET\" }";
            let secret = secret.map(|raw| read_secret(raw, "alerts.channels.secret", example)).transpose()?;
            named(name, min_severity, Channel::Webhook(Webhook { url, secret }))?
        }
        RawChannel::Slack { name, min_severity, url } => {
            let url = secret_url(&name, url, "url = { env = \"GHOSTLIGHT_SLACK_URL\" }")?;
            named(name, min_severity, Channel::Slack(Slack { url }))?
        }
        RawChannel::PagerDuty { name, min_severity, url, routing_key } => {
            let url = url.map_or_else(|| pagerduty::URL.to_owned(), |url| url.0);
            let url = plain_url(&name, url, "url = \"https://events.eu.pagerduty.com/v2/enqueue\"")?;
            let example = "routing_key = { env = \"GHOSTLIGHT_PAGERDUTY_KEY\" }";
            let routing_key = read_secret(routing_key, "alerts.channels.routing_key", example)?;
            only_encrypted(&name, &url, "its routing key", "url = \"https://events.eu.pagerduty.com/v2/enqueue\"")?;
            named(name, min_severity, Channel::PagerDuty(PagerDuty { url, routing_key }))?
        }
        RawChannel::Alertmanager { name, min_severity, url, authorization } => {
            let mut url = plain_url(&name, url.0, "url = \"http://alertmanager:9093\"")?;
            if !url.ends_with(Alertmanager::PATH) {
                url = format!("{}{}", url.trim_end_matches('/'), Alertmanager::PATH);
            }
            let example = "authorization = { env = \"GHOSTLIGHT_ALERTMANAGER_AUTHORIZATION\" }";
            let authorization = authorization.map(|raw| header(raw, &name, example)).transpose()?;
            if authorization.is_some() {
                only_encrypted(&name, &url, "its authorization", "url = \"https://alertmanager.example.com\"")?;
            }
            named(name, min_severity, Channel::Alertmanager(Alertmanager { url, authorization }))?
        }
        RawChannel::Teams { name, min_severity, url } => {
            let url = secret_url(&name, url, "url = { env = \"GHOSTLIGHT_TEAMS_URL\" }")?;
            named(name, min_severity, Channel::Teams(Teams { url }))?
        }
        RawChannel::Email(mut raw) => {
            let (name, min_severity) = (std::mem::take(&mut raw.name), raw.min_severity.take());
            let email = email(&name, raw)?;
            named(name, min_severity, Channel::Email(email))?
        }
    })
}

fn email(name: &str, raw: RawEmail) -> Result<Email, ConfigError> {
    let wrong = |key, problem: String, example| {
        let problem = format!("of channel {name}: {problem}");
        ConfigError::Value { key, problem, example }
    };
    let server = raw
        .smtp
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse::<u16>().ok().filter(|port| *port > 0)?)));
    let Some((host, port)) = server.filter(|(host, _)| !host.is_empty() && !host.contains(['/', '@', ' '])) else {
        // Not repeated: a password may stand in it.
        return Err(wrong(
            "alerts.channels.smtp",
            "it is not a host and a port from 1 to 65535".to_owned(),
            "smtp = \"smtp.example.com:587\"",
        ));
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let tls = match raw.tls.as_deref() {
        None | Some("starttls") => email::Tls::StartTls,
        Some("tls") => email::Tls::Tls,
        Some("none") => email::Tls::None,
        Some(other) => {
            let problem = format!("{other:?} is not one of starttls, tls, none");
            return Err(wrong("alerts.channels.tls", problem, "tls = \"starttls\""));
        }
    };
    if tls == email::Tls::None && !is_here(&host) {
        let problem = format!("\"none\" is only for this machine, and {host} is another");
        return Err(wrong("alerts.channels.tls", problem, "tls = \"starttls\""));
    }
    let ca = match &raw.ca {
        None => None,
        Some(path) => {
            let certificate = std::fs::read(path).map_err(|error| error.to_string());
            match certificate.and_then(|pem| Certificate::from_pem(&pem).map_err(|error| error.to_string())) {
                Ok(certificate) => Some(certificate),
                Err(problem) => {
                    let problem = format!("reading {}: {problem}", path.display());
                    return Err(wrong("alerts.channels.ca", problem, "ca = \"/etc/ghostlight/smtp-ca.pem\""));
                }
            }
        }
    };
    let address = |key, text: &str, example| {
        let mailbox = text.parse::<Mailbox>();
        mailbox.map_err(|error| wrong(key, format!("{text:?} is not a mail address: {error}"), example))
    };
    let from = address("alerts.channels.from", &raw.from, "from = \"ghostlight <ghostlight@example.com>\"")?;
    const TO: (&str, &str) = ("alerts.channels.to", "to = [\"on-call@example.com\"]");
    let to = raw.to.iter().map(|text| address(TO.0, text, TO.1)).collect::<Result<Vec<_>, _>>()?;
    if to.is_empty() {
        return Err(wrong(TO.0, "nobody gets it".to_owned(), TO.1));
    }
    const LOGIN: &str = "username = \"ghostlight\"\n  password = { env = \"GHOSTLIGHT_SMTP_PASSWORD\" }";
    let login = match (raw.username, raw.password) {
        (Some(user), Some(password)) => Some((user, read_secret(password, "alerts.channels.password", LOGIN)?)),
        (None, None) => None,
        _ => {
            let problem = "it goes with a password, and neither alone".to_owned();
            return Err(wrong("alerts.channels.username", problem, LOGIN));
        }
    };
    Ok(Email { host, port, tls, ca, from, to, login })
}

fn named(name: String, min_severity: Option<String>, channel: Channel) -> Result<Target, ConfigError> {
    if !is_channel_name(&name) {
        return Err(name_wrong(format!("{name:?} is not 1 to 64 of ASCII letters, digits, '-' and '_'")));
    }
    let min_severity = min_severity.as_deref().unwrap_or(Severity::Warning.name());
    let min_severity = Severity::from_name(min_severity).ok_or_else(|| ConfigError::Value {
        key: "alerts.channels.min_severity",
        problem: format!("of channel {name}: {min_severity:?} is not one of info, warning, critical"),
        example: "min_severity = \"warning\"",
    })?;
    Ok(Target { name, min_severity, channel })
}

fn name_wrong(problem: String) -> ConfigError {
    ConfigError::Value { key: "alerts.channels.name", problem, example: "name = \"on-call\"" }
}

fn url_wrong(name: &str, problem: &str, example: &'static str) -> ConfigError {
    ConfigError::Value { key: "alerts.channels.url", problem: format!("of channel {name}: {problem}"), example }
}

fn plain_url(name: &str, url: String, example: &'static str) -> Result<String, ConfigError> {
    let parsed = parsed(&url, "it ").map_err(|problem| url_wrong(name, &problem, example))?;
    if parsed.password().is_some() || !parsed.username().is_empty() {
        return Err(url_wrong(name, "it has a user or a password in it, and the settings hold no secrets", example));
    }
    Ok(url)
}

/// A URL that nobody may see; neither on the wire.
fn secret_url(name: &str, raw: RawSecret, example: &'static str) -> Result<Secret, ConfigError> {
    let url = read_secret(raw, "alerts.channels.url", example)?;
    only_encrypted(name, url.expose(), "it", example)?;
    Ok(url)
}

/// Refuses to send `secret` in the clear to another machine. The URL is not shown: it may be the secret.
fn only_encrypted(name: &str, url: &str, secret: &str, example: &'static str) -> Result<(), ConfigError> {
    let parsed = parsed(url, "it ").map_err(|problem| url_wrong(name, &problem, example))?;
    let is_sent_safely = parsed.scheme() == "https" || parsed.host_str().is_some_and(is_here);
    let problem = format!("{secret} is a secret, and is only sent over https, but to this machine");
    is_sent_safely.then_some(()).ok_or_else(|| url_wrong(name, &problem, example))
}

/// Whether a host is this machine, by its name alone.
fn is_here(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn header(raw: RawSecret, name: &str, example: &'static str) -> Result<Secret, ConfigError> {
    const KEY: &str = "alerts.channels.authorization";
    let value = read_secret(raw, KEY, example)?;
    if reqwest::header::HeaderValue::from_str(value.expose()).is_err() {
        let problem = format!("of channel {name}: it has characters that no header can have");
        return Err(ConfigError::Value { key: KEY, problem, example });
    }
    Ok(value)
}

fn parsed(url: &str, shown: &str) -> Result<reqwest::Url, String> {
    reqwest::Url::parse(url)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| format!("{shown}is not an http or https URL"))
}

impl AlertSettings {
    /// Lines for `Config::describe`.
    pub(super) fn describe(&self) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(self.link.iter().map(|link| format!("alerts.link             {link}")));
        lines.extend(self.channels.iter().filter(|target| target.name != LOG).map(|target| {
            let (kind, place) = (target.channel.kind(), target.channel.place());
            format!(
                "alerts.channels         {}: {kind} at {place}, from {} on",
                target.name,
                target.min_severity.name()
            )
        }));
        lines.extend(self.decisions.describe());
        lines
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, Path::new("x.toml"))
    }

    fn error(text: &str) -> String {
        parse(text).expect_err("not right").to_string()
    }

    fn channel(rest: &str) -> String {
        format!("[[alerts.channels]]\n{rest}\n")
    }

    /// The path of a file with `text`, as TOML.
    fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> String {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        format!("{{ file = {:?} }}", path.display().to_string())
    }

    const EMAIL: &str = "type = \"email\"\nfrom = \"a@x.test\"\nto = [\"B <b@x.test>\"]\n";

    #[test]
    fn every_kind_of_channel_can_be_set_and_the_log_is_always_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let url = file(&folder, "url", "https://hooks.slack.test/services/T/B/hidden\n");
        let key = file(&folder, "key", "hidden");
        let text = [
            "[alerts]\nlink = \"https://live.test/\"\n".to_owned(),
            channel(&format!("type = \"webhook\"\nname = \"hook\"\nurl = \"http://x.test:8080/a\"\nsecret = {key}")),
            channel(&format!("type = \"slack\"\nname = \"chat\"\nurl = {url}\nmin_severity = \"info\"")),
            channel(&format!(
                "type = \"pagerduty\"\nname = \"on-call\"\nrouting_key = {key}\nmin_severity = \"critical\""
            )),
            channel(&format!(
                "type = \"alertmanager\"\nname = \"am\"\nurl = \"https://am:9093/\"\nauthorization = {key}"
            )),
            channel("type = \"alertmanager\"\nname = \"am2\"\nurl = \"http://am:9093/\""),
            channel(&format!("type = \"teams\"\nname = \"teams_2\"\nurl = {url}")),
            channel(&format!("{EMAIL}name = \"mail\"\nsmtp = \"mail.test:587\"\nusername = \"u\"\npassword = {key}")),
        ];
        let config = parse(&text.concat()).expect("right");
        let kinds: Vec<_> = config.alerts.channels.iter().map(|target| target.channel.kind()).collect();
        assert_eq!(kinds, ["log", "webhook", "slack", "pagerduty", "alertmanager", "alertmanager", "teams", "email"]);
        let severities: Vec<_> = config.alerts.channels.iter().map(|target| target.min_severity).collect();
        use Severity::{Critical, Info, Warning};
        assert_eq!(severities, [Info, Warning, Info, Critical, Warning, Warning, Warning, Warning]);
        let Channel::Alertmanager(alertmanager) = &config.alerts.channels[4].channel else { panic!("the fifth") };
        assert_eq!(alertmanager.url, "https://am:9093/api/v2/alerts");
        let Channel::Alertmanager(alertmanager) = &config.alerts.channels[5].channel else { panic!("the sixth") };
        assert_eq!(alertmanager.url, "http://am:9093/api/v2/alerts", "there is no secret to send");
        let described = config.describe();
        assert!(described.contains("alerts.link             https://live.test/"), "{described}");
        assert!(described.contains("on-call: pagerduty at events.pagerduty.com, from critical on"), "{described}");
        assert!(!format!("{described} {config:?}").contains("hidden"), "{described}");

        let bare = parse("").expect("right").alerts;
        assert_eq!((bare.channels.len(), bare.channels[0].channel.kind(), bare.describe().len()), (1, "log", 2));
    }

    #[test]
    fn a_secret_goes_in_the_clear_to_this_machine_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = file(&folder, "key", "hidden");
        for (url, is_right) in [
            ("https://x.test/", true),
            ("http://localhost:9093/", true),
            ("http://127.0.0.2/", true),
            ("http://[::1]:9093/", true),
            ("http://x.test/", false),
            ("http://10.0.0.1:9093/", false),
            ("http://localhost.x.test/", false),
            ("http://127.0.0.1.x.test/", false),
            ("HTTP://x.test/", false),
        ] {
            let secret_url = file(&folder, "url", url);
            for (text, secret) in [
                (format!("type = \"pagerduty\"\nurl = \"{url}\"\nrouting_key = {key}"), "its routing key"),
                (format!("type = \"alertmanager\"\nurl = \"{url}\"\nauthorization = {key}"), "its authorization"),
                (format!("type = \"slack\"\nurl = {secret_url}"), "it"),
                (format!("type = \"teams\"\nurl = {secret_url}"), "it"),
            ] {
                let parsed = parse(&channel(&format!("name = \"a\"\n{text}")));
                let told =
                    format!("alerts.channels.url: of channel a: {secret} is a secret, and is only sent over https");
                match parsed {
                    Ok(_) => assert!(is_right, "{text}"),
                    Err(error) => {
                        let error = error.to_string();
                        assert!(!is_right && error.contains(&told), "{text}: {error}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_key_and_a_right_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let plain = file(&folder, "plain", "http://hooks.slack.test/services/hidden");
        let none = file(&folder, "none", "hidden, not a URL");
        let key = file(&folder, "header", "hidden\nhidden");
        let email = |rest: &str| channel(&format!("{EMAIL}name = \"a\"\n{rest}"));
        let webhook = |rest: &str| channel(&format!("type = \"webhook\"\nurl = \"https://x.test/\"\n{rest}"));
        for (text, key, example) in [
            (webhook("name = \"a b\""), "alerts.channels.name", "name = \"on-call\""),
            (webhook("name = \"log\""), "always there", "name = \"on-call\""),
            (webhook("name = \"a\"").repeat(2), "\"a\" is there twice", "name = \"on-call\""),
            (webhook("name = \"a\"\nmin_severity = \"bad\""), "alerts.channels.min_severity", "\"warning\""),
            (webhook("name = \"a\"\nsecret = {}"), "alerts.channels.secret", "secret = { env ="),
            (webhook("name = \"a\"\nsecret = \"hidden\""), "x.toml", "expected `{ env ="),
            (webhook("name = \"a\"\nrouting_key = \"x\""), "routing_key", "min_severity"),
            (channel("type = \"webhook\"\nname = \"a\""), "url", "missing"),
            (channel("type = \"webhook\"\nname = \"a\"\nurl = { env = \"X\" }"), "url: ", "written here itself"),
            (channel("type = \"webhook\"\nname = \"a\"\nurl = \"ftp://x\""), "alerts.channels.url", "https://alerts"),
            (
                channel("type = \"webhook\"\nname = \"a\"\nurl = \"https://u:p@x\""),
                "alerts.channels.url",
                "https://alerts",
            ),
            (channel(&format!("type = \"slack\"\nname = \"a\"\nurl = {plain}")), "only sent over https", "SLACK_URL"),
            (channel(&format!("type = \"teams\"\nname = \"a\"\nurl = {none}")), "alerts.channels.url", "TEAMS_URL"),
            (
                channel(&format!("type = \"alertmanager\"\nname = \"a\"\nurl = \"http://x\"\nauthorization = {key}")),
                "alerts.channels.authorization",
                "authorization = {",
            ),
            (email("smtp = \"mail.test\""), "alerts.channels.smtp", "smtp.example.com:587"),
            (email("smtp = \"mail.test:25\"\ntls = \"none\""), "only for this machine", "tls = \"starttls\""),
            (email("smtp = \"mail.test:25\"\ntls = \"ssl\""), "alerts.channels.tls", "tls = \"starttls\""),
            (email("smtp = \"mail.test:25\"\nca = \"/no/such\""), "alerts.channels.ca", "ca ="),
            (email("smtp = \"mail.test:25\"\nusername = \"u\""), "alerts.channels.username", "password ="),
            (
                email("smtp = \"mail.test:25\"").replace("b@x.test", "nobody"),
                "alerts.channels.to",
                "to = [\"on-call@example.com\"]",
            ),
            (email("smtp = \"mail.test:25\"").replace("a@x.test", ""), "alerts.channels.from", "from = "),
            (channel("type = \"pager\"\nname = \"a\""), "pager", "pagerduty"),
            ("[alerts]\nlink = \"here\"".to_owned(), "alerts.link", "link = \"https://"),
            ("[alerts]\nchanels = []".to_owned(), "chanels", "channels"),
        ] {
            let error = error(&text);
            assert!(error.contains(key) && error.contains(example), "{text}: {error}");
            // A value written where a secret belongs is shown by nobody but the TOML reader, which shows the line.
            assert!(!error.contains("hidden") || text.contains("\"hidden\""), "{error}");
        }
    }
}
