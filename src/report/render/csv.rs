//! For spreadsheets and data frames: one tidy table, a number a row, the same columns in each.

use super::super::{Report, UnusedKey, UsersOfKey};
use crate::live::model::{ClientTokens, Users};
use crate::render::shown;

const COLUMNS: [&str; 14] = [
    "tenant",
    "from",
    "to",
    "as_of",
    "is_covered",
    "metric",
    "dimension",
    "key",
    "name",
    "audience",
    "date",
    "value",
    "lower",
    "upper",
];

pub fn render(report: &Report) -> String {
    let mut table = Table { report, writer: csv::Writer::from_writer(Vec::new()) };
    table.write(COLUMNS);
    table.caveats();
    table.users();
    table.tokens();
    table.events();
    table.audit();
    match table.writer.into_inner().map(String::from_utf8) {
        Ok(Ok(text)) => text,
        _ => unreachable!("text is written to memory"),
    }
}

struct Table<'a> {
    report: &'a Report,
    writer: csv::Writer<Vec<u8>>,
}

/// What a number is of: a dimension with its key and name, a date, or all.
#[derive(Clone, Copy, Default)]
struct Of<'a> {
    dimension: &'a str,
    key: &'a str,
    name: &'a str,
    audience: &'a str,
    date: &'a str,
}

impl Table<'_> {
    fn write<S: AsRef<[u8]>>(&mut self, cells: [S; 14]) {
        if let Err(error) = self.writer.write_record(cells) {
            unreachable!("every row has the same columns: {error}");
        }
    }

    fn row(&mut self, metric: &str, of: Of<'_>, value: &str, bounds: Option<(f64, f64)>) {
        let (tenant, period) = (cell(&self.report.tenant), &self.report.period);
        let bound = |of: fn((f64, f64)) -> f64| bounds.map_or_else(String::new, |bounds| of(bounds).to_string());
        let cells = [
            tenant,
            period.from.clone(),
            period.to.clone(),
            period.as_of.to_string(),
            period.is_covered.to_string(),
            metric.to_owned(),
            of.dimension.to_owned(),
            cell(of.key),
            cell(of.name),
            cell(of.audience),
            of.date.to_owned(),
            value.to_owned(),
            bound(|bounds| bounds.0),
            bound(|bounds| bounds.1),
        ];
        self.write(cells);
    }

    fn count(&mut self, metric: &str, of: Of<'_>, value: u64) {
        self.row(metric, of, &value.to_string(), None);
    }

    fn estimate(&mut self, metric: &str, of: Of<'_>, users: &Users) {
        self.row(metric, of, &users.estimate.to_string(), Some((users.lower, users.upper)));
    }

    /// What the numbers lack, and what else is to be known of them: a line each.
    fn caveats(&mut self) {
        for gap in &self.report.period.gaps {
            self.count("caveats", Of { name: gap, ..Of::default() }, 1);
        }
    }

    fn users(&mut self) {
        let report = self.report;
        let users = &report.active_users;
        let all = Of::default();
        self.estimate("active_users", all, &users.total.users);
        self.estimate("active_users_average_day", all, &users.average_day);
        if let Some(previous) = &users.previous {
            self.estimate("active_users_previous", all, previous);
        }
        if let Some(projected) = &users.total.projected {
            let bounds = Some((projected.lower, projected.upper));
            self.row("active_users_projected", all, &projected.value.to_string(), bounds);
        }
        for (metric, quota) in [
            ("active_users_quota", users.total.quota),
            ("m2m_tokens_quota", report.m2m_tokens.total.quota),
            ("organizations_quota", report.organizations.quota),
            ("enterprise_connections_quota", report.enterprise_connections.quota),
        ] {
            if let Some(quota) = quota {
                self.count(metric, all, quota);
            }
        }
        self.count("organizations_active", all, report.organizations.active);
        self.count("enterprise_connections_active", all, report.enterprise_connections.active);
        for day in &users.by_day {
            let of = Of { date: &day.date, ..all };
            self.estimate("active_users_of_day", of, &day.day);
            self.estimate("active_users_of_week_so_far", of, &day.week);
            self.estimate("active_users_of_month_so_far", of, &day.month);
        }
        for week in &users.by_week {
            self.estimate("active_users_of_week", Of { date: &week.from, ..all }, &week.users);
        }
        for (dimension, keys) in [
            ("connection_type", &users.by_connection_type),
            ("connection", &users.by_connection),
            ("organization", &users.by_organization),
            ("client", &users.by_client),
        ] {
            for UsersOfKey { key, name, users, logins, previous } in keys {
                let of = Of { dimension, key, name, ..all };
                self.estimate("active_users", of, users);
                if let Some(previous) = previous {
                    self.estimate("active_users_previous", of, previous);
                }
                self.count("logins", of, *logins);
            }
        }
    }

    fn tokens(&mut self) {
        let tokens = &self.report.m2m_tokens;
        let all = Of::default();
        self.count("m2m_tokens_issued", all, tokens.total.issued);
        self.count("m2m_tokens_needed", all, tokens.total.needed);
        self.count("m2m_tokens_avoidable", all, tokens.total.avoidable);
        self.count("m2m_tokens_unbillable", all, tokens.total.unbillable);
        self.count("m2m_requests_failed", all, tokens.failed);
        if let Some(projected) = &tokens.total.projected {
            let bounds = Some((projected.lower, projected.upper));
            self.row("m2m_tokens_projected", all, &projected.value.to_string(), bounds);
        }
        if let Some(cost) = &tokens.cost {
            let of = Of { dimension: "currency", key: &cost.currency, ..all };
            self.row("m2m_tokens_cost", of, &cost.issued.to_string(), None);
            self.row("m2m_tokens_cost_avoidable", of, &cost.avoidable.to_string(), None);
            self.row("m2m_tokens_cost_ghosts", of, &cost.ghosts.to_string(), None);
        }
        for day in &tokens.by_day {
            let date = day.at.date();
            let of = Of { date: &date, ..all };
            self.count("m2m_tokens_issued", of, day.issued);
            self.count("m2m_tokens_needed", of, day.needed);
            self.count("m2m_tokens_avoidable", of, day.avoidable);
        }
        for client in &tokens.clients {
            let ClientTokens { client_id: key, client_name: name, audience, .. } = client;
            let of = Of { dimension: "client", key, name, audience, ..all };
            self.count("m2m_tokens_issued", of, client.issued);
            self.count("m2m_tokens_needed", of, client.needed);
            self.count("m2m_tokens_needed_shared", of, client.needed_shared);
            let is_ghost = tokens.ghosts.iter().any(|found| found.ghost.id == client.id);
            self.count("m2m_is_ghost", of, u64::from(is_ghost));
        }
    }

    fn events(&mut self) {
        let report = self.report;
        let events = &report.events;
        for day in &events.by_day {
            let of = Of { date: &day.date, ..Of::default() };
            self.count("events", of, day.events);
            self.count("logins", of, day.logins);
            self.count("logins_failed", of, day.failed_logins);
            self.count("rate_limits", of, day.rate_limits);
            self.count("attacks", of, day.attacks);
        }
        for (metric, types) in
            [("rate_limits", &events.rate_limits), ("attacks", &events.attacks), ("failures", &events.failures)]
        {
            for found in types {
                let of = Of { dimension: "type", key: &found.type_code, name: &found.meaning, ..Of::default() };
                self.count(metric, of, found.events);
            }
        }
        for found in &events.failures_by_connection {
            let of = Of { dimension: "connection", key: &found.connection, ..Of::default() };
            self.count("logins_failed", of, found.failed);
            self.count("logins_succeeded", of, found.succeeded);
        }
        for (dimension, keys) in [("connection", &report.unused.connections), ("client", &report.unused.clients)] {
            for found in keys {
                let UnusedKey { key, name, last_on } = found;
                self.count("uses_since", Of { dimension, key, name, date: last_on, ..Of::default() }, 0);
            }
        }
    }

    fn audit(&mut self) {
        // Of what could not be read there is no number.
        let Some(audit) = self.report.audit.as_ref().filter(|audit| audit.at.is_some()) else { return };
        let all = Of::default();
        for (metric, count) in [
            ("audit_required", audit.required),
            ("audit_recommended", audit.recommended),
            ("audit_best_practice", audit.best_practice),
            ("audit_accepted", audit.accepted),
            ("audit_not_run", audit.not_run),
        ] {
            self.count(metric, all, count);
        }
        for found in &audit.findings {
            let of = Of { dimension: &found.check, key: &found.subject, name: &found.title, ..all };
            self.count("audit_findings", of, found.evidence.len() as u64);
        }
    }
}

/// Text that a spreadsheet takes for a formula gets an apostrophe in front, as OWASP has it for CSV; an id that merely begins
/// with a hyphen is none.
fn cell(text: &str) -> String {
    let clean = if text.is_empty() { String::new() } else { shown(text) };
    let is_plain = clean.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if clean.starts_with(['=', '+', '-', '@']) && !is_plain { format!("'{clean}") } else { clean }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        assert_eq!(cell("=HYPERLINK(\"x\")"), "'=HYPERLINK(\"x\")");
        assert_eq!(cell("-2+3|cmd"), "'-2+3|cmd");
        assert_eq!(cell("-A_7-b"), "-A_7-b");
        assert_eq!(cell("\t=1+1"), "'=1+1");
        assert_eq!(cell(""), "");
    }
}
