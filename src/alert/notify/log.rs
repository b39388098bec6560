//! The process's own log: always there, so that an alert is somewhere even if no other channel is set.

use super::super::{Alert, Severity, Status};
use super::text;

/// Ours: a log line is for grep, not for a book.
const TEXT_MAX: usize = 4000;

/// An alert as one event of `tracing`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub level: tracing::Level,
    pub alert: String,
    pub sequence: u64,
    pub status: &'static str,
    pub rule: String,
    pub severity: &'static str,
    pub tenant: String,
    pub subject: String,
    pub title: String,
    pub summary: String,
    /// `name=value`, separated by `; `.
    pub evidence: String,
    pub fix: String,
    pub since: String,
    pub at: String,
}

impl Line {
    pub fn new(alert: &Alert) -> Self {
        let evidence: Vec<_> = alert.evidence.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Self {
            level: match (alert.status, alert.severity) {
                (Status::Resolved, _) | (_, Severity::Info) => tracing::Level::INFO,
                (_, Severity::Warning) => tracing::Level::WARN,
                (_, Severity::Critical) => tracing::Level::ERROR,
            },
            alert: text::line(&alert.id, TEXT_MAX),
            sequence: alert.sequence,
            status: text::status(alert),
            rule: text::line(&alert.rule, TEXT_MAX),
            severity: alert.severity.name(),
            tenant: text::line(&alert.tenant, TEXT_MAX),
            subject: text::line(&alert.subject, TEXT_MAX),
            title: text::line(&alert.title, TEXT_MAX),
            summary: text::line(&alert.summary, TEXT_MAX),
            evidence: text::line(&evidence.join("; "), TEXT_MAX),
            fix: text::line(alert.fix.as_deref().unwrap_or_default(), TEXT_MAX),
            since: alert.since.to_string(),
            at: alert.at.to_string(),
        }
    }

    pub fn write(&self) {
        // The macro wants its level as a constant.
        macro_rules! write_at {
            ($level:expr) => {
                tracing::event!(
                    $level,
                    alert = %self.alert, sequence = self.sequence, status = self.status, rule = %self.rule,
                    severity = self.severity, tenant = %self.tenant, subject = %self.subject, summary = %self.summary,
                    evidence = %self.evidence, fix = %self.fix, since = %self.since, at = %self.at,
                    "{}: {}", self.status, self.title
                )
            };
        }
        match self.level {
            tracing::Level::ERROR => write_at!(tracing::Level::ERROR),
            tracing::Level::WARN => write_at!(tracing::Level::WARN),
            _ => write_at!(tracing::Level::INFO),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::alert;
    use super::*;

    #[test]
    fn the_level_is_how_bad_it_is_and_lines_stay_lines() {
        let level = |status, severity| Line::new(&Alert { status, severity, ..alert() }).level;
        assert_eq!(level(Status::Firing, Severity::Critical), tracing::Level::ERROR);
        assert_eq!(level(Status::Firing, Severity::Warning), tracing::Level::WARN);
        assert_eq!(level(Status::Firing, Severity::Info), tracing::Level::INFO);
        assert_eq!(level(Status::Resolved, Severity::Critical), tracing::Level::INFO);
        let forged = Line::new(&Alert { title: "a\n2026-11-01 ERROR forged".to_owned(), ..alert() });
        assert_eq!(forged.title, "a 2026-11-01 ERROR forged");
        assert_eq!(forged.evidence, "tokens=144; needed=12");
    }
}
