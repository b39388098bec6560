//! For people who were not there, on a screen or on paper: one page with charts, without scripts and without anything from
//! elsewhere.

use std::fmt::Write;

use super::super::Report;
use super::chart::{Bar, Chart};
use super::content::{self, HOW_TO_READ, Table};
use crate::render::{Column, escaped, grouped};

/// Rows of a table; JSON and CSV have all.
const ROWS: usize = 25;

const STYLE: &str = include_str!("report.css");

pub fn render(report: &Report) -> String {
    let title = escaped(&content::title(report));
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src \
         'none'; style-src 'unsafe-inline'\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
    );
    head(&mut out, report, &title);
    section(&mut out, "Active users", |out| {
        let bars = report.active_users.by_day.iter().map(|day| Bar {
            date: day.date.clone(),
            value: day.day.estimate,
            marked: 0.0,
            bounds: Some((day.day.lower, day.day.upper)),
        });
        let chart = Chart { title: "Active users by day, with what each lies between", name: "users", marked: "" };
        out.push_str(&chart.draw(&report.period.from, report.period.days, bars));
        content::users(report).iter().for_each(|found| table(out, found));
    });
    tokens(&mut out, report);
    let quotas = content::quotas(report);
    if !quotas.rows.is_empty() {
        section(&mut out, "Quotas", |out| table(out, &quotas));
    }
    section(&mut out, "Logins, failures and attacks", |out| {
        let bars = report.events.by_day.iter().map(|day| Bar {
            date: day.date.clone(),
            value: (day.logins + day.failed_logins) as f64,
            marked: day.failed_logins as f64,
            bounds: None,
        });
        let chart = Chart { title: "Logins by day", name: "worked", marked: "failed" };
        out.push_str(&chart.draw(&report.period.from, report.period.days, bars));
        content::events(report).iter().for_each(|found| table(out, found));
    });
    section(&mut out, "No longer used", |out| {
        content::unused(report).iter().for_each(|found| table(out, found));
        paragraph(out, &content::unused_note(report));
    });
    audit(&mut out, report);
    section(&mut out, "How to read it", |out| list(out, HOW_TO_READ));
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn section(out: &mut String, title: &str, content: impl FnOnce(&mut String)) {
    let _ = writeln!(out, "<section>\n<h2>{}</h2>", escaped(title));
    content(out);
    out.push_str("</section>\n");
}

fn paragraph(out: &mut String, text: &str) {
    let _ = writeln!(out, "<p>{}</p>", escaped(text));
}

fn list<S: AsRef<str>>(out: &mut String, items: impl IntoIterator<Item = S>) {
    out.push_str("<ul>\n");
    for item in items {
        let _ = writeln!(out, "<li>{}</li>", escaped(item.as_ref()));
    }
    out.push_str("</ul>\n");
}

fn head(out: &mut String, report: &Report, title: &str) {
    let _ = writeln!(out, "<header>\n<h1>{title}</h1>");
    paragraph(out, &content::days(report));
    let period = &report.period;
    if !period.gaps.is_empty() {
        let class = if period.is_covered { "note" } else { "note warning" };
        let _ = writeln!(out, "<div class=\"{class}\">");
        if !period.is_covered {
            paragraph(out, "The data does not cover all of these days:");
        }
        list(out, &period.gaps);
        out.push_str("</div>\n");
    }
    out.push_str("</header>\n<section class=\"cards\">\n");
    for fact in content::summary(report) {
        let (name, value) = (escaped(fact.name), escaped(&fact.value));
        let _ = writeln!(out, "<div class=\"card\">\n<h2>{name}</h2>\n<p class=\"value\">{value}</p>");
        fact.more.iter().for_each(|line| paragraph(out, line));
        out.push_str("</div>\n");
    }
    out.push_str("</section>\n");
}

/// With its title; a line where there is nothing in it.
fn table(out: &mut String, table: &Table) {
    if table.rows.is_empty() {
        return paragraph(out, &format!("{}: none", table.title));
    }
    // An empty cell is shown as nothing.
    let shown = |cell: &str| if cell.is_empty() { String::new() } else { escaped(cell) };
    let class = |column: &Column| match column {
        Column::Text(_) => "",
        Column::Whole(_) => " class=\"w\"",
        Column::Number(_) => " class=\"n\"",
    };
    let _ = write!(out, "<div class=\"table\">\n<table>\n<caption>{}</caption>\n<thead><tr>", escaped(table.title));
    for column in &table.columns {
        let _ = write!(out, "<th scope=\"col\"{}>{}</th>", class(column), shown(column.name()));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in table.rows.iter().take(ROWS) {
        out.push_str("<tr>");
        for (cell, column) in row.iter().zip(&table.columns) {
            let _ = write!(out, "<td{}>{}</td>", class(column), shown(cell));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n");
    if table.rows.len() > ROWS {
        paragraph(out, &format!("and {} more, in JSON and CSV", grouped((table.rows.len() - ROWS) as u64)));
    }
    out.push_str("</div>\n");
}

fn tokens(out: &mut String, report: &Report) {
    let tokens = &report.m2m_tokens;
    section(out, "M2M tokens", |out| {
        let bars = tokens.by_day.iter().map(|day| Bar {
            date: day.at.date(),
            value: day.issued as f64,
            marked: day.avoidable as f64,
            bounds: None,
        });
        let chart = Chart { title: "Billable tokens issued by day", name: "needed", marked: "avoidable" };
        out.push_str(&chart.draw(&report.period.from, report.period.days, bars));
        table(out, &content::clients(report));
        paragraph(out, &content::other_tokens(report));
    });
    if tokens.ghosts.is_empty() {
        return;
    }
    section(out, &format!("Ghosts ({})", tokens.ghosts.len()), |out| {
        items(out, tokens.ghosts.iter().map(|found| content::ghost(report, found)));
    });
}

/// What the audit of the tenant's configuration says, if the settings have it audited.
fn audit(out: &mut String, report: &Report) {
    let Some(audit) = &report.audit else { return };
    section(out, &format!("Audit ({})", content::audit_standing(audit)), |out| {
        paragraph(out, &content::audit(audit));
        items(out, audit.findings.iter().map(content::finding));
    });
}

/// Each by its name, with what there is to know of it.
fn items<'a, F: IntoIterator<Item = (&'static str, String)>>(
    out: &mut String,
    items: impl Iterator<Item = (&'a str, F)>,
) {
    for (name, facts) in items {
        let _ = writeln!(out, "<article class=\"item\">\n<h3>{}</h3>\n<dl>", escaped(name));
        for (name, text) in facts {
            let _ = writeln!(out, "<dt>{}</dt><dd>{}</dd>", escaped(name), escaped(&text));
        }
        out.push_str("</dl>\n</article>\n");
    }
}
