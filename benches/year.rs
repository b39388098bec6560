//! Question: does what lies on the store, and what a start has to do, stay bounded over a year beside compaction?
//!
//! Twelve partitions, in memory: a year with a flush an hour, which shows what grows with the days; then some days of a
//! flush a minute, which show how high it is what stays bounded. Run with `cargo bench --bench year`: it takes as long as
//! two hundred thousand commits do. GHOSTLIGHT_BENCH_DAYS and GHOSTLIGHT_BENCH_MINUTE_DAYS change how long they are. It
//! prints counts, which are the same in every run: what lies on the store, and how many operations on it a partition that
//! starts needs to go on, and a reader to have seen everything. It ends with an error if what has to stay bounded goes on
//! growing after its first days.

#[allow(dead_code)]
#[path = "../tests/within/commits.rs"]
mod commits;
#[allow(dead_code)]
#[path = "../tests/within/faulty_store.rs"]
mod faulty_store;

use std::sync::Arc;

use commits::{Level, Year};
use ghostlight::store::compact::CompactSettings;
use object_store::memory::InMemory;

/// Until then the first entries are retired, and days switched.
const FIRST_DAYS: i64 = 5;

/// The highest of each in the first days: after them nothing is higher, but by a tenth.
#[derive(Default)]
struct Bounds([usize; 4]);

impl Bounds {
    fn meet(&mut self, day: i64, level: &Level) {
        let Level { raw_files, entries, id_files, start_operations, .. } = *level;
        let names = ["raw files", "ledger entries", "id files", "operations of a start"];
        let found = [raw_files, entries, id_files, start_operations];
        for ((bound, found), name) in self.0.iter_mut().zip(found).zip(names) {
            if day < FIRST_DAYS {
                *bound = found.max(*bound);
            }
            assert!(found * 10 <= *bound * 11, "day {}: {found} {name}, {bound} at most before", day + 1);
        }
    }
}

fn number(variable: &str, default: i64) -> i64 {
    std::env::var(variable).ok().map_or(default, |text| text.parse().expect("a number"))
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    let of_hours = (24, number("GHOSTLIGHT_BENCH_DAYS", 365), 73);
    let of_minutes = (1440, number("GHOSTLIGHT_BENCH_MINUTE_DAYS", 7), 1);
    for (flushes, days, step) in [of_hours, of_minutes] {
        println!("12 partitions, {flushes} flushes a day each:\n");
        println!("| day | commits | ledger entries | raw files a dataset | id files | a start | a reader | objects |");
        println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
        let year = Year { partitions: 12, days, flushes, settings: CompactSettings::default() };
        let mut bounds = Bounds::default();
        let tell = |day: i64, level: Level| {
            bounds.meet(day, &level);
            if (day + 1) % step == 0 || day == 4 {
                let Level { raw_files, entries, id_files, start_operations, read_operations, objects, commits } = level;
                let counts = [commits, entries, raw_files, id_files, start_operations, read_operations, objects];
                println!("| {} | {} |", day + 1, counts.map(|count| count.to_string()).join(" | "));
            }
        };
        runtime.block_on(year.run(&Arc::new(InMemory::new()), tell)).expect("compacts");
        println!();
    }
}
