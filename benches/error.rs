//! Question: how far off are a month's active users, and do the bounds that are stated hold?
//!
//! A month of 100, 10,000 and 1,000,000 users (an id each, at three random hours) is committed by hours and compacted to
//! days, 50 times with other ids and hours. Both must unite to the same registers; their estimate is compared with the
//! number of users. Run with `cargo bench --bench error`: prints the table of ARCHITECTURE.md in a minute or so.
//! GHOSTLIGHT_BENCH_SEEDS changes how often. The seeds are fixed, so every run prints the same.

#[path = "../tests/support/months.rs"]
mod months;

fn main() {
    let text = std::env::var("GHOSTLIGHT_BENCH_SEEDS").unwrap_or_else(|_| "50".to_owned());
    let seeds: u64 = text.parse().expect("a number");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    println!("| users | error (RMS) | largest | mean | 99.7 % bounds | hold the truth | days equal windows |");
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for users in [100_u64, 10_000, 1_000_000] {
        let (mut squares, mut largest, mut sum, mut width, mut held, mut equal) = (0.0, 0.0_f64, 0.0, 0.0, 0, 0);
        for seed in 0..seeds {
            let (by_window, by_day) = runtime.block_on(months::month(users, seed));
            let (exact, found) = (users as f64, by_day.1);
            let error = found.estimate / exact - 1.0;
            squares += error * error;
            sum += error;
            largest = largest.max(error.abs());
            width += (found.upper - found.lower) / 2.0 / found.estimate;
            held += u64::from((found.lower..=found.upper).contains(&exact));
            equal += u64::from(by_day == by_window);
        }
        let percent = |value: f64| format!("{:.3} %", value * 100.0);
        let mean = |sum: f64| sum / seeds as f64;
        println!(
            "| {users} | {} | {} | {} | ±{} | {held} of {seeds} | {equal} of {seeds} |",
            percent(mean(squares).sqrt()),
            percent(largest),
            percent(mean(sum)),
            percent(mean(width))
        );
    }
}
