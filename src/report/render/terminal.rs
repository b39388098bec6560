//! For people at a terminal: what matters first, then what it is made of.

use super::super::Report;
use super::content::{self, HOW_TO_READ, Table, rounded};
use crate::event::{Day, EventTime};
use crate::render::{Look, Page, Style, grouped, shown};

/// Rows of a table; JSON and CSV have all.
const ROWS: usize = 10;

pub fn render(report: &Report, look: Look) -> String {
    let mut page = Page::new(look);
    head(&mut page, report);
    page.title("IN SHORT");
    for fact in content::summary(report) {
        let text: Vec<&str> = std::iter::once(&fact.value).chain(&fact.more).map(String::as_str).collect();
        let text = text.join("; ");
        page.wrapped(&format!("  {:<14}", fact.name), &text);
    }
    page.title("ACTIVE USERS");
    let by_day = report.active_users.by_day.iter().map(|day| (day.date.clone(), day.day.estimate));
    spark(&mut page, "by day", report, by_day);
    for found in content::users(report) {
        table(&mut page, &found);
    }
    tokens(&mut page, report);
    let quotas = content::quotas(report);
    if !quotas.rows.is_empty() {
        page.title("QUOTAS");
        table(&mut page, &quotas);
    }
    page.title("FAILURES AND ATTACKS");
    for found in content::events(report) {
        table(&mut page, &found);
    }
    page.title("NO LONGER USED");
    for found in content::unused(report) {
        table(&mut page, &found);
    }
    page.line("");
    page.wrapped("  ", &content::unused_note(report));
    audit(&mut page, report);
    page.title("HOW TO READ IT");
    HOW_TO_READ.iter().for_each(|text| page.wrapped("  - ", text));
    page.finish()
}

fn head(page: &mut Page, report: &Report) {
    page.wrapped_in(Style::Bold, "", &shown(&content::title(report)));
    page.wrapped("", &content::days(report));
    let period = &report.period;
    if !period.is_covered {
        page.wrapped_in(Style::Yellow, "", "The data does not cover all of these days:");
    }
    period.gaps.iter().for_each(|gap| page.wrapped("  - ", &shown(gap)));
}

/// With its title; a line where there is nothing in it.
fn table(page: &mut Page, table: &Table) {
    page.line("");
    if table.rows.is_empty() {
        return page.wrapped("  ", &format!("{}: none", table.title));
    }
    page.wrapped_in(Style::Bold, "  ", table.title);
    page.table(&table.columns, &table.rows[..table.rows.len().min(ROWS)]);
    if table.rows.len() > ROWS {
        let text = format!("and {} more, with --format json or csv", grouped((table.rows.len() - ROWS) as u64));
        page.wrapped_in(Style::Dim, "  ", &text);
    }
}

/// A column a day, or several days a column where the page is narrower than they are; days without any are empty.
fn spark(page: &mut Page, name: &str, report: &Report, values: impl Iterator<Item = (String, f64)>) {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let day = |date: &str| EventTime::parse(&format!("{date}T00:00:00Z")).map(Day::of);
    let Some(first) = day(&report.period.from) else { return };
    let mut by_day = vec![0.0_f64; report.period.days as usize];
    let mut most = (0.0, String::new());
    for (date, value) in values {
        if let Some(slot) = day(&date).and_then(|day| by_day.get_mut(usize::try_from(day.since(first)).ok()?)) {
            *slot = value;
        }
        if value > most.0 {
            most = (value, date);
        }
    }
    let (max, date) = most;
    if max <= 0.0 {
        return page.line(&format!("  {name:<10}none"));
    }
    let days_a_column = by_day.len().div_ceil(page.width().saturating_sub(14).max(10));
    let line: String = by_day
        .chunks(days_a_column)
        .map(|days| days.iter().copied().fold(0.0, f64::max))
        .map(|value| if value > 0.0 { BLOCKS[((value / max * 8.0).ceil() as usize).clamp(1, 8) - 1] } else { ' ' })
        .collect();
    let line = page.styled(&line, Style::Green);
    page.line(&format!("  {name:<10}{line}"));
    let grain = if days_a_column > 1 { format!(", {days_a_column} days a column") } else { String::new() };
    let note = format!("at most {} on {date}{grain}", rounded(max));
    page.wrapped_in(Style::Dim, &format!("  {:<10}", ""), &note);
}

fn tokens(page: &mut Page, report: &Report) {
    let tokens = &report.m2m_tokens;
    page.title("M2M TOKENS");
    let by_day = |of: fn(&crate::live::model::TokenWindow) -> u64| {
        tokens.by_day.iter().map(move |day| (day.at.date(), of(day) as f64))
    };
    spark(page, "issued", report, by_day(|day| day.issued));
    spark(page, "avoidable", report, by_day(|day| day.avoidable));
    table(page, &content::clients(report));
    page.line("");
    page.wrapped("  ", &content::other_tokens(report));
    if tokens.ghosts.is_empty() {
        return;
    }
    page.title(&format!("GHOSTS ({})", tokens.ghosts.len()));
    let ghosts = tokens.ghosts.iter().map(|found| content::ghost(report, found));
    items(page, ghosts);
}

/// What the audit of the tenant's configuration says, if the settings have it audited.
fn audit(page: &mut Page, report: &Report) {
    let Some(audit) = &report.audit else { return };
    page.title(&format!("AUDIT ({})", content::audit_standing(audit)));
    page.wrapped("  ", &shown(&content::audit(audit)));
    if !audit.findings.is_empty() {
        page.line("");
    }
    items(page, audit.findings.iter().map(content::finding));
}

/// Each by its name, with what there is to know of it.
fn items<'a, F: IntoIterator<Item = (&'static str, String)>>(
    page: &mut Page,
    items: impl Iterator<Item = (&'a str, F)>,
) {
    for (at, (name, facts)) in items.enumerate() {
        if at > 0 {
            page.line("");
        }
        page.wrapped_in(Style::Red, "  ", &shown(name));
        for (name, text) in facts {
            page.wrapped(&format!("    {:<10}", name.to_lowercase()), &shown(&text));
        }
    }
}
