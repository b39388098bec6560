//! What every report that people read is made with: text that fits a terminal, and names that do no harm in it or in HTML.

use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};

use crate::alert::notify::text;

/// How it is to be shown on a terminal.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Columns.
    pub width: usize,
    pub color: bool,
}

/// One line without characters that nobody sees: names are chosen by strangers.
pub fn shown(text: &str) -> String {
    text::line(text, 1_000)
}

/// The same of a line whose spaces count, and which is not cut.
pub fn indented(line: &str) -> String {
    line.chars().map(|c| if text::is_unseen_or_control(c) { ' ' } else { c }).collect()
}

/// For XML and HTML, in text and in attributes. Two characters are none of XML's.
pub fn escaped(text: &str) -> String {
    text::escaped(&shown(text)).replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}

/// JSON with what nobody sees, and what turns text round, as escapes: the same values, and nothing that a terminal obeys.
pub fn visible(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c != '\n' && text::is_unseen_or_control(c) {
            true => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
            false => out.push(c),
        }
    }
    out
}

/// With its thousands apart: `1,234`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Characters of a cell.
const CELL_MAX: usize = 100;

/// What a table shows of a value: a name that takes lines and lines says no more by it.
pub fn cell(value: &str) -> String {
    if value.is_empty() { String::new() } else { text::line(value, CELL_MAX) }
}

/// Text for a terminal in the making.
pub struct Page {
    out: String,
    look: Look,
}

#[derive(Clone, Copy)]
pub enum Style {
    Bold,
    Red,
    Yellow,
    Green,
    Dim,
}

/// A column of a table, by what becomes of cells that do not fit.
#[derive(Clone, Copy)]
pub enum Column<'a> {
    /// Broken into lines.
    Text(&'a str),
    /// Always whole.
    Whole(&'a str),
    /// Always whole, and at the right.
    Number(&'a str),
}

impl<'a> Column<'a> {
    pub fn name(self) -> &'a str {
        let (Self::Text(name) | Self::Whole(name) | Self::Number(name)) = self;
        name
    }
}

impl Page {
    pub fn new(look: Look) -> Self {
        Self { out: String::new(), look }
    }

    pub fn finish(self) -> String {
        self.out
    }

    pub fn width(&self) -> usize {
        self.look.width
    }

    pub fn styled(&self, text: &str, style: Style) -> String {
        let code = match style {
            Style::Bold => "1",
            Style::Red => "31",
            Style::Yellow => "33",
            Style::Green => "32",
            Style::Dim => "2",
        };
        if self.look.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    pub fn line(&mut self, text: &str) {
        self.out.push_str(text.trim_end());
        self.out.push('\n');
    }

    /// Text broken at spaces, the lines after the first one indented by as much as `label` is long.
    pub fn wrapped(&mut self, label: &str, text: &str) {
        self.broken(label, text, None);
    }

    /// The same in a style.
    pub fn wrapped_in(&mut self, style: Style, label: &str, text: &str) {
        self.broken(label, text, Some(style));
    }

    fn broken(&mut self, label: &str, text: &str, style: Option<Style>) {
        let label_width = label.chars().count();
        let width = self.look.width.max(label_width + 20);
        let (mut line, mut used) = (label.to_owned(), label_width);
        let mut is_empty = true;
        for word in text.split_whitespace() {
            let length = word.chars().count();
            if !is_empty && used + 1 + length > width {
                self.line_in(style, &line);
                (line, used, is_empty) = (" ".repeat(label_width), label_width, true);
            }
            if !is_empty {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += length;
            is_empty = false;
        }
        self.line_in(style, &line);
    }

    fn line_in(&mut self, style: Option<Style>, line: &str) {
        match style {
            Some(style) => {
                let line = self.styled(line.trim_end(), style);
                self.line(&line);
            }
            None => self.line(line),
        }
    }

    pub fn title(&mut self, text: &str) {
        self.line("");
        self.wrapped_in(Style::Bold, "", text);
    }

    /// As wide as it needs to be, and no wider than the page: where that is too narrow for the columns, a line a cell.
    pub fn table(&mut self, columns: &[Column<'_>], rows: &[Vec<String>]) {
        let rows: Vec<Vec<String>> = rows.iter().map(|cells| cells.iter().map(|value| cell(value)).collect()).collect();
        let mut table = self.arranged(columns);
        for cells in &rows {
            table.add_row(cells.iter().zip(columns).map(|(cell, column)| aligned(cell, *column)));
        }
        if needed_width(&table, columns) > self.look.width {
            return self.records(columns, &rows);
        }
        for (at, line) in table.lines().enumerate() {
            let line = if at == 0 { self.styled(line.trim_end(), Style::Dim) } else { line };
            self.line(&line);
        }
    }

    /// The same rows one below the other: each cell beside the name of its column, which is broken rather than a number.
    fn records(&mut self, columns: &[Column<'_>], rows: &[Vec<String>]) {
        let mut table = self.arranged(&[Column::Whole(""), Column::Text("")]);
        let cells = rows.iter().flat_map(|cells| cells.iter().zip(columns));
        let whole =
            cells.filter(|(_, column)| !matches!(column, Column::Text(_))).map(|(cell, _)| cell.chars().count());
        let values = whole.max().unwrap_or_default().max(usize::from(LETTERS)) + 2;
        let names = self.look.width.saturating_sub(values).max(usize::from(LETTERS));
        if let (Some(column), Ok(names)) = (table.column_mut(0), u16::try_from(names)) {
            column.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(names)));
        }
        if let (Some(column), Ok(values)) = (table.column_mut(1), u16::try_from(values)) {
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(values)));
        }
        for (at, cells) in rows.iter().enumerate() {
            if at > 0 {
                table.add_row(["", ""]);
            }
            let told = cells.iter().zip(columns).filter(|(cell, _)| !cell.is_empty());
            told.for_each(|(cell, column)| _ = table.add_row([column.name(), cell]));
        }
        // The first line would be the columns' names, which have none.
        for line in table.lines().skip(1) {
            self.line(&line);
        }
    }

    fn arranged(&self, columns: &[Column<'_>]) -> Table {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(u16::try_from(self.look.width).unwrap_or(u16::MAX)).set_truncation_indicator("…");
        table.set_header(columns.iter().map(|column| aligned(column.name(), *column)));
        for (at, column) in table.column_iter_mut().enumerate() {
            column.set_padding((padding_left(at), 1));
            if !matches!(columns[at], Column::Text(_)) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        table
    }
}

fn padding_left(at: usize) -> u16 {
    if at == 0 { 2 } else { 1 }
}

/// Of a text that is broken, at least.
const LETTERS: u16 = 12;

/// What a table takes at the least: columns that are whole as they are, and some letters of each of the others.
fn needed_width(table: &Table, columns: &[Column<'_>]) -> usize {
    let widths = table.column_max_content_widths().into_iter().zip(columns).enumerate();
    let width = |(at, (content, column)): (usize, (u16, &Column<'_>))| {
        let content = if matches!(column, Column::Text(_)) { content.min(LETTERS) } else { content };
        usize::from(padding_left(at) + content + 1)
    };
    widths.map(width).sum()
}

fn aligned(text: &str, column: Column<'_>) -> Cell {
    let cell = Cell::new(text);
    match column {
        Column::Number(_) => cell.set_alignment(CellAlignment::Right),
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn a_table_fits_the_page_and_breaks_no_number() {
        let columns = [Column::Text("client"), Column::Number("issued"), Column::Whole("verdict")];
        let row = |name: &str| vec![name.to_owned(), "1,234,567".to_owned(), "does not cache".to_owned()];
        for width in [34, 40, 49, 50, 60, 80] {
            let mut page = Page::new(Look { width, color: false });
            page.table(&columns, &[row("short"), row(&"long ".repeat(30)), row("語語語語語語語語語語語語語語語語")]);
            let text = page.finish();
            assert_eq!(text.matches("1,234,567").count(), 3, "{text}");
            assert_eq!(text.matches("does not cache").count(), 3, "{text}");
            assert!(text.contains("long…"), "{text}");
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}: {text}");
        }
    }

    #[test]
    fn a_long_heading_is_broken_and_no_number_is() {
        let heading = "sum(CASE WHEN active_users.dimension = Utf8(\"tenant\") THEN active_users.events ELSE 0 END)";
        let (one, other) = ("1234567890123456789", "2026-11-01T00:00:00.000Z");
        for width in [40, 60, 80, 100] {
            for name in [heading.to_owned(), heading.replace(' ', "_")] {
                let mut page = Page::new(Look { width, color: false });
                let columns = [Column::Number(&name), Column::Whole(&name), Column::Text("client")];
                page.table(&columns, &[vec![one.to_owned(), other.to_owned(), "a long name of a client".to_owned()]]);
                let text = page.finish();
                assert!(text.contains(one) && text.contains(other), "{width}: {text}");
                assert!(text.lines().all(|line| line.chars().count() <= width), "{width}: {text}");
            }
        }
    }

    #[test]
    fn no_cell_moves_the_cursor() {
        let mut page = Page::new(Look { width: 80, color: false });
        page.table(
            &[Column::Text("a"), Column::Text("")],
            &[vec!["x\u{1b}[2J\ty\nz\u{202e}".to_owned(), String::new()]],
        );
        assert_eq!(page.finish(), "  a\n  x [2J y z\n");
    }

    #[test]
    fn json_is_the_same_and_hides_nothing() {
        let value = serde_json::json!({ "a\u{202e}b": "\u{85}\u{9b}31m \u{200b}\u{e0041}\u{2028}\u{7f} \u{e4}語\n" });
        let text = visible(&format!("{value:#}\n"));
        assert!(text.contains("\\u202e") && text.contains("\\udb40\\udc41") && text.contains('\u{e4}'), "{text}");
        assert!(text.chars().all(|c| c == '\n' || !text::is_unseen_or_control(c)), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("JSON"), value);
    }
}
