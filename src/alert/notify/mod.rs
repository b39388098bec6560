//! An alert, told to a channel.
//!
//! Each channel's file renders an [`Alert`] to what is sent, purely; [`Notifier`] sends it, with a few tries inside a bound.
//! A longer pause is the outbox's business. Nothing here decides what is sent, or remembers that it was; and no secret
//! is in an error, a log or what `Debug` prints.

pub mod alertmanager;
pub mod email;
mod http;
pub mod log;
pub mod pagerduty;
pub mod slack;
pub mod teams;
pub(crate) mod text;
pub mod webhook;

use std::time::Duration;

use super::{Alert, Severity};
use crate::clock;
use crate::event::EventTime;
pub use http::Request;
use http::Secrets;

/// A way to tell people.
#[derive(Debug, Clone)]
pub enum Channel {
    Webhook(webhook::Webhook),
    Slack(slack::Slack),
    PagerDuty(pagerduty::PagerDuty),
    Alertmanager(alertmanager::Alertmanager),
    Teams(teams::Teams),
    Email(email::Email),
    Log,
}

/// A channel as the settings have it.
#[derive(Debug, Clone)]
pub struct Target {
    /// One of a kind, and an [`is_channel_name`](super::outbox::is_channel_name).
    pub name: String,
    /// What is less bad is not sent.
    pub min_severity: Severity,
    pub channel: Channel,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    Http(Request),
    Email(email::Mail),
    Log(log::Line),
}

impl Channel {
    /// As the settings call it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Slack(_) => "slack",
            Self::PagerDuty(_) => "pagerduty",
            Self::Alertmanager(_) => "alertmanager",
            Self::Teams(_) => "teams",
            Self::Email(_) => "email",
            Self::Log => "log",
        }
    }

    /// What is sent for `alert` at `now`, by the wall clock; `link` leads to the live page.
    pub fn render(&self, alert: &Alert, link: Option<&str>, now: EventTime) -> Message {
        match self {
            Self::Webhook(webhook) => Message::Http(webhook.render(alert, link, now)),
            Self::Slack(slack) => Message::Http(slack.render(alert, link)),
            Self::PagerDuty(pagerduty) => Message::Http(pagerduty.render(alert, link)),
            Self::Alertmanager(alertmanager) => Message::Http(alertmanager.render(alert, link, now)),
            Self::Teams(teams) => Message::Http(teams.render(alert, link)),
            Self::Email(email) => Message::Email(email.render(alert, link, now)),
            Self::Log => Message::Log(log::Line::new(alert)),
        }
    }

    /// Where it goes, with nothing secret.
    pub fn place(&self) -> String {
        match self {
            Self::Webhook(webhook) => http::host(&webhook.url),
            Self::Slack(slack) => http::host(slack.url.expose()),
            Self::PagerDuty(pagerduty) => http::host(&pagerduty.url),
            Self::Alertmanager(alertmanager) => http::host(&alertmanager.url),
            Self::Teams(teams) => http::host(teams.url.expose()),
            Self::Email(email) => format!("{}:{}", email.host, email.port),
            Self::Log => "the log".to_owned(),
        }
    }

    /// What an answer over HTTP could repeat, and must not be shown. Every URL is one: some people's webhooks have a token
    /// in theirs.
    fn secrets(&self) -> Secrets {
        let (url, secret) = match self {
            Self::Webhook(webhook) => (webhook.url.as_str(), webhook.secret.as_ref()),
            Self::Slack(slack) => (slack.url.expose(), None),
            Self::PagerDuty(pagerduty) => (pagerduty.url.as_str(), Some(&pagerduty.routing_key)),
            Self::Alertmanager(alertmanager) => (alertmanager.url.as_str(), alertmanager.authorization.as_ref()),
            Self::Teams(teams) => (teams.url.expose(), None),
            Self::Email(_) | Self::Log => return Secrets::default(),
        };
        secret.into_iter().fold(Secrets::default().with_url(url), |secrets, secret| secrets.with(secret.expose()))
    }
}

/// How often one page is tried in one attempt of the outbox. With these defaults an attempt ends within 51.25 s, and with
/// any `Retry-After` within [`total_max`](Self::total_max).
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    pub tries: u32,
    /// The pause after the first try. Each is four times the one before, and up to a quarter longer by chance.
    pub pause: Duration,
    pub try_max: Duration,
    /// Less than the outbox's [`SEND_MAX`](super::outbox::SEND_MAX).
    pub total_max: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            tries: 3,
            pause: Duration::from_secs(1),
            try_max: Duration::from_secs(15),
            total_max: Duration::from_secs(75),
        }
    }
}

impl Retry {
    /// How long to wait before the next try, or `None` if there is none: `tries` were made in `elapsed`, the last of which
    /// failed as `failure` says. `chance` is from 0 to 255.
    fn pause_after(&self, tries: u32, elapsed: Duration, failure: &Failure, chance: u8) -> Option<Duration> {
        if failure.is_final || tries >= self.tries {
            return None;
        }
        let pause = self.pause.saturating_mul(4_u32.saturating_pow(tries.saturating_sub(1)));
        let pause = pause.saturating_add(pause.saturating_mul(u32::from(chance)) / 1024);
        // Sooner than asked for would be refused again.
        let pause = pause.max(failure.retry_after.unwrap_or_default());
        (elapsed.saturating_add(pause) < self.total_max).then_some(pause)
    }
}

/// Why one try failed.
#[derive(Debug)]
struct Failure {
    problem: String,
    /// Another try would fail in the same way.
    is_final: bool,
    retry_after: Option<Duration>,
}

impl Failure {
    fn passing(problem: String) -> Self {
        Self { problem, is_final: false, retry_after: None }
    }

    fn lasting(problem: String) -> Self {
        Self { problem, is_final: true, retry_after: None }
    }
}

/// A page that a channel did not take.
#[derive(Debug, thiserror::Error)]
#[error("channel {channel} ({place}): {problem} ({})", if *.is_final { "final".to_owned() } else { format!("tries: {tries}") })]
pub struct NotifyError {
    pub channel: String,
    /// The kind of channel and its host.
    pub place: String,
    /// What was answered: the status, and how the answer begins.
    pub problem: String,
    pub tries: u32,
    /// The same page would be refused again; the settings or the other side must change first.
    pub is_final: bool,
}

/// Sends pages.
pub struct Notifier {
    targets: Vec<Target>,
    /// The live page.
    link: Option<String>,
    retry: Retry,
    client: reqwest::Client,
}

impl Notifier {
    pub fn new(targets: Vec<Target>, link: Option<String>, retry: Retry) -> anyhow::Result<Self> {
        Ok(Self { targets, link, retry, client: http::client()? })
    }

    /// The channels' names, for the outbox.
    pub fn names(&self) -> Vec<&str> {
        self.targets.iter().map(|target| target.name.as_str()).collect()
    }

    /// Tells one channel; what is not bad enough for it counts as told.
    pub async fn send(&self, name: &str, alert: &Alert) -> Result<(), NotifyError> {
        let Some(target) = self.targets.iter().find(|target| target.name == name) else {
            let problem = "no setting has it".to_owned();
            return Err(NotifyError {
                channel: name.to_owned(),
                place: "unknown".to_owned(),
                problem,
                tries: 0,
                is_final: true,
            });
        };
        if alert.severity < target.min_severity {
            return Ok(());
        }
        let begun = clock::monotonic();
        let mut tries = 0;
        loop {
            let left = self.retry.total_max.saturating_sub(begun.elapsed());
            let try_max = self.retry.try_max.min(left);
            let failure = match tokio::time::timeout(try_max, self.try_once(&target.channel, alert)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(failure)) => failure,
                Err(_) => Failure::passing(format!("no answer within {}", humantime::format_duration(try_max))),
            };
            tries += 1;
            let chance = uuid::Uuid::new_v4().as_bytes()[0];
            match self.retry.pause_after(tries, begun.elapsed(), &failure, chance) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => {
                    return Err(NotifyError {
                        channel: target.name.clone(),
                        place: format!("{} at {}", target.channel.kind(), target.channel.place()),
                        problem: failure.problem,
                        tries,
                        is_final: failure.is_final,
                    });
                }
            }
        }
    }

    /// Rendered for each try, so that a signature is never older than its try.
    async fn try_once(&self, channel: &Channel, alert: &Alert) -> Result<(), Failure> {
        let message = channel.render(alert, self.link.as_deref(), clock::now());
        match (message, channel) {
            (Message::Http(request), _) => http::post(&self.client, &request, &channel.secrets()).await,
            (Message::Email(mail), Channel::Email(email)) => email.send(&mail).await,
            (Message::Email(_), _) => unreachable!("only e-mail renders a mail"),
            (Message::Log(line), _) => {
                line.write();
                Ok(())
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::Status;
    use super::*;

    pub(crate) fn alert() -> Alert {
        Alert {
            id: "ghost-usage:ef3418fd020f766b".to_owned(),
            sequence: 4,
            status: Status::Firing,
            rule: "ghost-usage".to_owned(),
            severity: Severity::Warning,
            tenant: "acme".to_owned(),
            subject: "client billing-worker, audience https://api.acme.internal/".to_owned(),
            title: "billing-worker asks for 12 tokens where 1 would do".to_owned(),
            summary: "In 1 h it got 144 tokens; 12 would have lasted.".to_owned(),
            evidence: vec![("tokens".to_owned(), "144".to_owned()), ("needed".to_owned(), "12".to_owned())],
            fix: Some("Cache the token until it expires.".to_owned()),
            since: EventTime::from_ms(1_793_491_200_000),
            at: EventTime::from_ms(1_793_494_800_000),
        }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn pauses_grow_fourfold_with_a_quarter_of_chance_and_end_after_three_tries() {
        let retry = Retry::default();
        let failure = Failure::passing(String::new());
        let after = |tries, chance| retry.pause_after(tries, seconds(0), &failure, chance);
        assert_eq!((after(1, 0), after(2, 0), after(3, 0)), (Some(seconds(1)), Some(seconds(4)), None));
        let longest = after(2, 255).expect("there is a third try");
        assert!(longest > seconds(4) && longest < seconds(5), "{longest:?}");
        let lasting = Failure::lasting(String::new());
        assert_eq!(retry.pause_after(1, seconds(0), &lasting, 0), None);
    }

    #[test]
    fn a_longer_wait_is_granted_when_asked_for_unless_the_bound_comes_first() {
        let retry = Retry::default();
        let asked = |seconds_asked| Failure {
            problem: String::new(),
            is_final: false,
            retry_after: Some(seconds(seconds_asked)),
        };
        assert_eq!(retry.pause_after(1, seconds(1), &asked(30), 0), Some(seconds(30)));
        assert_eq!(retry.pause_after(1, seconds(1), &asked(0), 0), Some(seconds(1)));
        assert_eq!(retry.pause_after(1, seconds(1), &asked(74), 0), None);
        assert_eq!(retry.pause_after(1, seconds(1), &asked(u64::MAX), 0), None);
    }

    #[test]
    fn an_attempt_with_all_its_tries_fits_into_the_outbox_s_time() {
        let retry = Retry::default();
        let asks_for_much = Failure { problem: String::new(), is_final: false, retry_after: Some(seconds(25)) };
        for failure in [Failure::passing(String::new()), asks_for_much] {
            let (mut tries, mut elapsed) = (0, seconds(0));
            loop {
                elapsed += retry.try_max.min(retry.total_max.saturating_sub(elapsed));
                tries += 1;
                match retry.pause_after(tries, elapsed, &failure, 255) {
                    Some(pause) => elapsed += pause,
                    None => break,
                }
            }
            assert!(elapsed <= retry.total_max && retry.total_max < super::super::outbox::SEND_MAX, "{elapsed:?}");
        }
    }
}
