//! What a report shows to people, in words and tables, whatever it is shown on.

use super::super::{Change, Cost, CostlyGhost, Report, TypeEvents, UnusedKey, UsersOfKey};
use crate::live::model::{Audit, AuditFinding, CountOfMonth, Projection, Users};
use crate::render::{Column, grouped};

/// What is said under every report.
pub const HOW_TO_READ: [&str; 5] = [
    "Active users are distinct by their ids, estimated by sketches. Beside each estimate stands what it lies between with a \
     probability of 99.7 %; where nothing stands, it is exact.",
    "A projection stands with its 80 % interval.",
    "M2M tokens are needed if even a cache in every calling process (an address each) would have asked for them; all others \
     were avoidable, also those that a fleet behind one address, a job by the clock or a restart explains. A ghost asks for \
     tokens it has, and none of these explains it.",
    "By connection only those users count whose events name their connection: single sign-on names none.",
    "Days are UTC, weeks begin on Monday. Tokens for Auth0's own APIs are not billable, and in no sum unless it says so.",
];

/// A number with its name, and what there is to say of it.
pub struct Fact {
    pub name: &'static str,
    pub value: String,
    pub more: Vec<String>,
}

pub struct Table {
    pub title: &'static str,
    pub columns: Vec<Column<'static>>,
    pub rows: Vec<Vec<String>>,
}

/// `northwind-prod, 2026-11`.
pub fn title(report: &Report) -> String {
    let period = &report.period;
    let days = match &period.month {
        Some(month) => month.clone(),
        None if period.from == period.to => period.from.clone(),
        None => format!("{} to {}", period.from, period.to),
    };
    format!("{}, {days}", report.tenant)
}

/// Which days these are, and what they are compared with.
pub fn days(report: &Report) -> String {
    let period = &report.period;
    let compared = match &period.compared_with {
        Some(days) => format!("compared with {} to {}", days.from, days.to),
        None => "compared with nothing: the data does not go back far enough".to_owned(),
    };
    format!("{} to {}, UTC; {compared}", period.from, period.to)
}

pub fn summary(report: &Report) -> Vec<Fact> {
    let (active, tokens, events) = (&report.active_users, &report.m2m_tokens, &report.events);
    let of_quota = |used: f64, quota: Option<u64>| {
        quota.and_then(|quota| Some(format!("{} of the quota of {}", share(used, quota as f64)?, grouped(quota))))
    };
    let heading = |end: &Option<Projection>| end.as_ref().map(|end| format!("heading for {}", projection(end)));
    let (total, issued) = (&active.total, &tokens.total);
    let cost = tokens.cost.as_ref();
    let sum = |types: &[TypeEvents]| grouped(types.iter().map(|found| found.events).sum());
    let logins: u64 = events.by_day.iter().map(|day| day.logins).sum();
    let failed: u64 = events.by_day.iter().map(|day| day.failed_logins).sum();
    let fact =
        |name, value, more: Vec<Option<String>>| Fact { name, value, more: more.into_iter().flatten().collect() };
    let mut facts = vec![
        fact(
            "Active users",
            rounded(total.users.estimate),
            vec![
                between(&total.users).map(|between| format!("lies between {between}")),
                active.change.as_ref().map(change),
                heading(&total.projected),
                of_quota(total.users.estimate, total.quota),
                Some(format!("{} on an average day", with_bounds(&active.average_day))),
            ],
        ),
        fact(
            "M2M tokens",
            grouped(issued.issued),
            vec![
                share(issued.avoidable as f64, issued.issued as f64)
                    .map(|share| format!("{} of them avoidable ({share})", grouped(issued.avoidable))),
                tokens.previous.and_then(|before| {
                    let change = change_of(issued.issued, before.issued)?;
                    Some(format!("{change} against {} before", grouped(before.issued)))
                }),
                heading(&issued.projected),
                of_quota(issued.issued as f64, issued.quota),
                cost.map(|cost| {
                    format!("all cost {}, avoidable ones {}", money(cost.issued, cost), money(cost.avoidable, cost))
                }),
            ],
        ),
        fact(
            "Ghosts",
            grouped(tokens.ghosts.len() as u64),
            vec![
                Some(format!("among {} clients and audiences", grouped(tokens.ghosts_checked.clients))),
                avoidable_by_ghosts(report),
                cost.map(|cost| format!("their avoidable tokens cost {}", money(cost.ghosts, cost))),
            ],
        ),
        fact(
            "Logins",
            grouped(logins),
            vec![
                share(failed as f64, (failed + logins) as f64)
                    .map(|share| format!("{} more failed ({share} of all)", grouped(failed))),
                Some(format!("rate limits {} times", sum(&events.rate_limits))),
                Some(format!("attack protection {} times", sum(&events.attacks))),
            ],
        ),
    ];
    if let Some(audit) = &report.audit {
        let recommended =
            || format!("{} recommended, {} of best practice", grouped(audit.recommended), grouped(audit.best_practice));
        let not_run = || format!("{} checks could not be run", grouped(audit.not_run));
        let notes = if audit.at.is_some() { vec![Some(recommended()), Some(not_run())] } else { Vec::new() };
        facts.push(fact("Audit", audit_standing(audit), notes));
    }
    facts
}

/// Users by week, and by each dimension.
pub fn users(report: &Report) -> Vec<Table> {
    let active = &report.active_users;
    let weeks = active.by_week.iter().map(|week| {
        let note = if week.is_whole { "" } else { "in part" };
        let users = &week.users;
        vec![week.from.clone(), rounded(users.estimate), between(users).unwrap_or_default(), note.to_owned()]
    });
    let columns = vec![Column::Whole("week of"), Column::Number("users"), Column::Number("between"), Column::Whole("")];
    let mut tables = vec![Table { title: "By week", columns, rows: weeks.collect() }];
    for (title, name, keys) in [
        ("By kind of connection", "kind", &active.by_connection_type),
        ("By connection", "connection", &active.by_connection),
        ("By organization", "organization", &active.by_organization),
        ("By client", "client", &active.by_client),
    ] {
        let all = active.total.users.estimate;
        let row = |key: &UsersOfKey| {
            vec![
                if key.name.is_empty() { key.key.clone() } else { key.name.clone() },
                rounded(key.users.estimate),
                between(&key.users).unwrap_or_default(),
                share(key.users.estimate.min(all), all).unwrap_or_default(),
                grouped(key.logins),
                key.previous.as_ref().map_or_else(|| "-".to_owned(), |users| rounded(users.estimate)),
            ]
        };
        let columns = vec![
            Column::Text(name),
            Column::Number("users"),
            Column::Number("between"),
            Column::Number("of all"),
            Column::Number("logins"),
            Column::Number("users before"),
        ];
        tables.push(Table { title, columns, rows: keys.iter().map(row).collect() });
    }
    tables
}

pub fn clients(report: &Report) -> Table {
    let rows = report.m2m_tokens.clients.iter().map(|client| {
        let name = if client.client_name.is_empty() { &client.client_id } else { &client.client_name };
        vec![
            name.clone(),
            client.audience.clone(),
            grouped(client.issued),
            grouped(client.needed),
            format!("{}{}", client.verdict, if client.billable { "" } else { " (not billable)" }),
        ]
    });
    let columns = vec![
        Column::Text("client"),
        Column::Text("audience"),
        Column::Number("issued"),
        Column::Number("needed"),
        Column::Text("verdict"),
    ];
    Table { title: "By client and audience", columns, rows: rows.collect() }
}

pub fn other_tokens(report: &Report) -> String {
    let tokens = &report.m2m_tokens;
    format!(
        "Beside the billable tokens {} for Auth0's own APIs. {} requests for a token were refused.",
        grouped(tokens.total.unbillable),
        grouped(tokens.failed)
    )
}

/// Of the billable ones, as the sum of all avoidable tokens is.
fn avoidable_by_ghosts(report: &Report) -> Option<String> {
    let ghosts = report.m2m_tokens.ghosts.iter().map(|found| &found.ghost).filter(|ghost| ghost.billable);
    let avoidable: u64 = ghosts.map(|ghost| ghost.avoidable).sum();
    (avoidable > 0).then(|| {
        let all = grouped(report.m2m_tokens.total.avoidable);
        format!("{} of the {all} avoidable tokens are theirs", grouped(avoidable))
    })
}

/// A ghost's name, and what there is to know of it.
pub fn ghost<'a>(report: &Report, found: &'a CostlyGhost) -> (&'a str, Vec<(&'static str, String)>) {
    let CostlyGhost { ghost, cost, projected_cost } = found;
    let name = if ghost.client_name.is_empty() { &ghost.client_id } else { &ghost.client_name };
    let billable = if ghost.billable { "" } else { "; of Auth0's own APIs: not billable" };
    let addresses = if ghost.addresses == 1 { "address" } else { "addresses" };
    let avoidable = format!(
        "{} of {} tokens ({}), from {} {addresses}{billable}",
        grouped(ghost.avoidable),
        grouped(ghost.issued),
        percent(ghost.waste_ratio),
        grouped(ghost.addresses)
    );
    let mut facts = vec![
        ("Client", ghost.client_id.clone()),
        ("Audience", ghost.audience.clone()),
        ("Verdict", format!("{}, confidence {}", ghost.verdict, ghost.confidence)),
        ("Avoidable", avoidable),
    ];
    if let Some((cost, of)) = cost.as_ref().zip(report.m2m_tokens.cost.as_ref()) {
        let end = projected_cost.filter(|_| report.period.elapsed < 1.0);
        let end = end.map_or_else(String::new, |end| format!(", {} by the month's end", money(end, of)));
        facts.push(("Cost", format!("{}{end}", money(*cost, of))));
    }
    facts.push(("Why", ghost.explanation.clone()));
    facts.extend(ghost.mended_at.map(|at| ("Mended", format!("since {at} there are hardly any"))));
    if !ghost.first_log_id.is_empty() {
        let evidence = format!("first seen with log_id {}, last with {}", ghost.first_log_id, ghost.last_log_id);
        facts.push(("Evidence", evidence));
    }
    facts.push(("Fix", ghost.fix.clone()));
    (name, facts)
}

/// The quotas there are, and how each stands.
pub fn quotas(report: &Report) -> Table {
    let (mau, tokens) = (&report.active_users.total, &report.m2m_tokens.total);
    let row =
        |name: &str, used: String, share: f64, quota: u64, end: &Option<Projection>, runs_out: &Option<String>| {
            vec![
                name.to_owned(),
                used,
                grouped(quota),
                percent(share / quota.max(1) as f64),
                end.as_ref().map_or_else(|| "-".to_owned(), projection),
                runs_out.clone().unwrap_or_else(|| "-".to_owned()),
            ]
        };
    let count =
        |name, of: &CountOfMonth| Some(row(name, grouped(of.active), of.active as f64, of.quota?, &None, &None));
    let rows = [
        mau.quota.map(|quota| {
            let used = &mau.users;
            row("active users", with_bounds(used), used.estimate, quota, &mau.projected, &mau.runs_out_on)
        }),
        tokens.quota.map(|quota| {
            let used = tokens.issued;
            row("M2M tokens", grouped(used), used as f64, quota, &tokens.projected, &tokens.runs_out_on)
        }),
        count("organizations", &report.organizations),
        count("enterprise connections", &report.enterprise_connections),
    ];
    let columns = vec![
        Column::Text("quota"),
        Column::Number("used"),
        Column::Number("allowed"),
        Column::Number("share"),
        Column::Number("heading for"),
        Column::Whole("used up on"),
    ];
    Table { title: "Of the month", columns, rows: rows.into_iter().flatten().collect() }
}

pub fn events(report: &Report) -> [Table; 4] {
    let events = &report.events;
    let of_types = |title, types: &[TypeEvents]| {
        let row = |found: &TypeEvents| {
            vec![
                found.type_code.clone(),
                found.meaning.clone(),
                grouped(found.events),
                grouped(found.days),
                found.last_on.clone().unwrap_or_default(),
                found.previous.map_or_else(|| "-".to_owned(), grouped),
            ]
        };
        let columns = vec![
            Column::Whole("type"),
            Column::Text("meaning"),
            Column::Number("events"),
            Column::Number("days"),
            Column::Whole("last on"),
            Column::Number("before"),
        ];
        Table { title, columns, rows: types.iter().map(row).collect() }
    };
    let connections = events.failures_by_connection.iter().map(|found| {
        let name = if found.connection.is_empty() { "(none named)" } else { &found.connection };
        vec![name.to_owned(), grouped(found.failed), grouped(found.succeeded), percent(found.ratio)]
    });
    let columns = vec![
        Column::Text("connection"),
        Column::Number("failed"),
        Column::Number("worked"),
        Column::Number("failed of all"),
    ];
    [
        of_types("Rate limits", &events.rate_limits),
        of_types("Attacks", &events.attacks),
        of_types("Why logins and tokens failed", &events.failures),
        Table { title: "Failed logins by connection", columns, rows: connections.collect() },
    ]
}

pub fn unused(report: &Report) -> [Table; 2] {
    let table = |title, name, keys: &[UnusedKey]| {
        let row = |key: &UnusedKey| {
            let name = if key.name.is_empty() { key.key.clone() } else { format!("{} ({})", key.name, key.key) };
            vec![name, key.last_on.clone()]
        };
        let columns = vec![Column::Text(name), Column::Whole("last used on")];
        Table { title, columns, rows: keys.iter().map(row).collect() }
    };
    [
        table("Connections no longer used", "connection", &report.unused.connections),
        table("Clients no longer used", "client", &report.unused.clients),
    ]
}

pub fn unused_note(report: &Report) -> String {
    let since =
        report.unused.looked_at_since.map_or_else(String::new, |at| format!(", which goes back to {}", at.date()));
    format!(
        "Used before these days and not in them, by the data{since}. What nobody ever used only the tenant's configuration tells: \
         see ghostlight audit."
    )
}

/// What is open of what is required, if that is known.
pub fn audit_standing(audit: &Audit) -> String {
    audit.at.map_or_else(|| "not known".to_owned(), |_| format!("{} required", grouped(audit.required)))
}

/// What was audited, and how it stands.
pub fn audit(audit: &Audit) -> String {
    if let (Some(problem), None) = (&audit.problem, audit.at) {
        return format!(
            "The configuration in {} could not be read, so that nothing is known of it: {problem}. ghostlight audit tries again.",
            audit.source
        );
    }
    let read = audit.at.map_or_else(String::new, |at| format!(" was read at {at}"));
    let beside = audit.events.as_ref().map_or_else(String::new, |events| format!(", and judged beside {events}"));
    let open = match audit.required {
        0 => "Nothing that is required is open".to_owned(),
        1 => "One required finding is open".to_owned(),
        required => format!("{} required findings are open", grouped(required)),
    };
    format!(
        "The configuration in {}{read}{beside}. {open}, {} recommended and {} of best practice; {} are accepted, and {} checks \
         could not be run. All of them, and why: ghostlight audit.",
        audit.source,
        grouped(audit.recommended),
        grouped(audit.best_practice),
        grouped(audit.accepted),
        grouped(audit.not_run)
    )
}

/// What is required, with what there is to know of it.
pub fn finding(found: &AuditFinding) -> (&str, [(&'static str, String); 6]) {
    let facts = [
        ("At", found.subject.clone()),
        ("Found", found.evidence.join("; ")),
        ("Why", found.why.clone()),
        ("Fix", found.fix.clone()),
        ("See", found.docs.clone()),
        ("Check", found.check.clone()),
    ];
    (&found.title, facts)
}

/// Such as `2,999`.
pub fn rounded(number: f64) -> String {
    grouped(number.round().max(0.0) as u64)
}

/// What an estimate lies between; nothing where it is exact.
pub fn between(users: &Users) -> Option<String> {
    let is_exact = users.lower.round() == users.upper.round();
    (!is_exact).then(|| format!("{} and {}", rounded(users.lower.floor()), rounded(users.upper.ceil())))
}

/// Such as `2,999 (between 2,860 and 3,154)`.
fn with_bounds(users: &Users) -> String {
    let bounds = between(users).map_or_else(String::new, |between| format!(" ({})", between.replace("and", "to")));
    format!("{}{bounds}", rounded(users.estimate))
}

fn projection(projected: &Projection) -> String {
    let Projection { value, lower, upper } = projected;
    format!("{} ({} to {})", rounded(*value), rounded(lower.floor()), rounded(upper.ceil()))
}

/// `12 %`, `0.3 %`.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        0.0 => "0 %".to_owned(),
        less if less > 0.0 && less < 0.05 => "< 0.1 %".to_owned(),
        more if more > 99.5 && more < 100.0 => "> 99.5 %".to_owned(),
        less if less.abs() < 9.95 => format!("{less:.1} %"),
        more => format!("{more:.0} %"),
    }
}

fn share(part: f64, of: f64) -> Option<String> {
    (of > 0.0).then(|| percent(part / of))
}

/// `+4.2 %`.
fn signed(share: f64) -> String {
    let percent = share * 100.0;
    if percent.abs() < 9.95 { format!("{percent:+.1} %") } else { format!("{percent:+.0} %") }
}

/// Two estimates that may well be equal are not called different.
fn change(change: &Change) -> String {
    let Change { value, lower, upper } = change;
    let bounds = format!("{} to {}", signed(*lower), signed(*upper));
    match *lower <= 0.0 && *upper >= 0.0 {
        true => format!("no clear change ({bounds})"),
        false => format!("{} on before ({bounds})", signed(*value)),
    }
}

fn change_of(now: u64, before: u64) -> Option<String> {
    (before > 0).then(|| signed(now as f64 / before as f64 - 1.0))
}

fn money(amount: f64, cost: &Cost) -> String {
    let cents = (amount * 100.0).round() as u64;
    format!("{}.{:02} {}", grouped(cents / 100), cents % 100, cost.currency)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        let shares = [0.0, 0.0003, 0.004, 0.0994, 0.1, 0.42, 0.996, 1.0, 12.5].map(percent);
        assert_eq!(shares, ["0 %", "< 0.1 %", "0.4 %", "9.9 %", "10 %", "42 %", "> 99.5 %", "100 %", "1250 %"]);
        assert_eq!([-0.5, -0.004, 0.0, 0.031, 1.5].map(signed), ["-50 %", "-0.4 %", "+0.0 %", "+3.1 %", "+150 %"]);
        let users = |estimate, lower, upper| Users { estimate, lower, upper };
        assert_eq!(with_bounds(&users(2999.4, 2860.2, 3153.1)), "2,999 (2,860 to 3,154)");
        assert_eq!(with_bounds(&users(7.0, 7.0, 7.0001)), "7");
        let cost = Cost { currency: "EUR".to_owned(), ..Cost::default() };
        assert_eq!(money(1234.567, &cost), "1,234.57 EUR");
        assert_eq!(change(&Change { value: 0.1, lower: -0.01, upper: 0.2 }), "no clear change (-1.0 % to +20 %)");
        assert_eq!(change(&Change { value: 0.1, lower: 0.05, upper: 0.2 }), "+10 % on before (+5.0 % to +20 %)");
    }
}
