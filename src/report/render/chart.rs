//! A bar chart of days as SVG: no script, and readable in black and white.

use std::fmt::Write;

use crate::event::{Day, EventTime};
use crate::render::{escaped, grouped};

/// One day.
pub struct Bar {
    /// `YYYY-MM-DD`.
    pub date: String,
    /// Its height.
    pub value: f64,
    /// The part at its foot that stands out.
    pub marked: f64,
    /// What the value lies between.
    pub bounds: Option<(f64, f64)>,
}

pub struct Chart {
    pub title: &'static str,
    /// What the bars show.
    pub name: &'static str,
    /// What their marked part shows; empty where there is none.
    pub marked: &'static str,
}

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 40.0;
const RIGHT: f64 = 8.0;

fn day(date: &str) -> Option<Day> {
    EventTime::parse(&format!("{date}T00:00:00Z")).map(Day::of)
}

impl Chart {
    /// The days from `from` on, `YYYY-MM-DD`.
    pub fn draw(&self, from: &str, days: u64, bars: impl Iterator<Item = Bar>) -> String {
        let bars: Vec<Bar> = bars.collect();
        let top_of = |bar: &Bar| bar.bounds.map_or(bar.value, |(_, upper)| upper.max(bar.value));
        let most = bars.iter().map(top_of).fold(0.0, f64::max);
        let (Some(first), true) = (day(from), most > 0.0) else { return String::new() };
        let step = step(most);
        let max = (most / step).ceil() * step;
        let (plot_width, plot_height) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
        let slot = plot_width / days.max(1) as f64;
        let y = |value: f64| TOP + plot_height * (1.0 - value / max);
        let x = |day: Day| LEFT + slot * day.since(first) as f64;
        let mut out = format!(
            "<figure>\n<figcaption>{}{}</figcaption>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             aria-label=\"{}\">\n",
            escaped(self.title),
            self.legend(),
            escaped(self.title)
        );
        let lines = (max / step).round() as u64;
        for n in 0..=lines {
            let value = step * n as f64;
            let at = y(value);
            let _ = writeln!(
                out,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text class=\"n\" x=\"{}\" \
                 y=\"{:.1}\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 8.0,
                at + 4.0,
                grouped(value as u64)
            );
        }
        // Names of days, at most ten, on the day they name.
        let every = (days.div_ceil(10)).max(1);
        for n in (0..days).step_by(every as usize) {
            let date = first.plus(n as i64);
            let _ = writeln!(
                out,
                "<text class=\"day\" x=\"{:.1}\" y=\"{}\">{}</text>",
                x(date) + slot / 2.0,
                HEIGHT - 8.0,
                &date.to_string()[5..]
            );
        }
        for bar in &bars {
            let Some(day) = day(&bar.date) else { continue };
            let (left, width) = (x(day) + slot * 0.12, slot * 0.76);
            let rect = |out: &mut String, class: &str, from: f64, to: f64| {
                let _ = write!(
                    out,
                    "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\"/>",
                    y(to),
                    (y(from) - y(to)).max(0.0)
                );
            };
            let _ = write!(out, "<g><title>{}</title>", escaped(&self.words(bar)));
            rect(&mut out, "bar", bar.marked, bar.value);
            if bar.marked > 0.0 {
                rect(&mut out, "marked", 0.0, bar.marked);
            }
            if let Some((lower, upper)) = bar.bounds.filter(|(lower, upper)| upper - lower > max / 500.0) {
                let middle = left + width / 2.0;
                let _ = write!(
                    out,
                    "<line class=\"bounds\" x1=\"{middle:.1}\" x2=\"{middle:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>",
                    y(upper),
                    y(lower)
                );
            }
            out.push_str("</g>\n");
        }
        out.push_str("</svg>\n</figure>\n");
        out
    }

    fn legend(&self) -> String {
        match self.marked {
            "" => String::new(),
            marked => format!(
                " <span class=\"key\"><i class=\"bar\"></i> {}</span> <span class=\"key\"><i class=\"marked\"></i> {}</span>",
                escaped(self.name),
                escaped(marked)
            ),
        }
    }

    fn words(&self, bar: &Bar) -> String {
        let number = |value: f64| grouped(value.round().max(0.0) as u64);
        match (self.marked, bar.bounds) {
            ("", Some((lower, upper))) => {
                format!(
                    "{}: {} {} ({} to {})",
                    bar.date,
                    number(bar.value),
                    self.name,
                    number(lower.floor()),
                    number(upper.ceil())
                )
            }
            ("", None) => format!("{}: {} {}", bar.date, number(bar.value), self.name),
            (marked, _) => format!(
                "{}: {} {}, {} {marked}",
                bar.date,
                number(bar.value - bar.marked),
                self.name,
                number(bar.marked)
            ),
        }
    }
}

/// One, two or five times a power of ten, and no more than five of them up to `most`; counts have no fractions.
fn step(most: f64) -> f64 {
    let power = 10_f64.powf((most / 5.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * power).find(|step| most / step <= 5.0);
    step.unwrap_or(10.0 * power).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_at_round_numbers() {
        for (most, wanted) in [(0.5, 1.0), (3.0, 1.0), (7.0, 2.0), (50.0, 10.0), (51.0, 20.0), (1_204.0, 500.0)] {
            assert_eq!(step(most), wanted, "{most}");
        }
    }

    #[test]
    fn a_bar_stands_at_its_day_and_a_chart_of_nothing_is_none() {
        let chart = Chart { title: "t", name: "users", marked: "" };
        assert_eq!(chart.draw("2026-11-01", 10, std::iter::empty()), "");
        let bar = Bar { date: "2026-11-10".to_owned(), value: 7.0, marked: 0.0, bounds: Some((5.0, 9.0)) };
        let drawn = chart.draw("2026-11-01", 10, [bar].into_iter());
        assert!(drawn.contains("2026-11-10: 7 users (5 to 9)") && drawn.contains("class=\"bounds\""), "{drawn}");
        let left = LEFT + (WIDTH - LEFT - RIGHT) * 0.9;
        let x: f64 = drawn
            .split("class=\"bar\" x=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next()?.parse().ok())
            .expect("a bar");
        assert!(x > left && x < WIDTH - RIGHT, "{drawn}");
    }
}
