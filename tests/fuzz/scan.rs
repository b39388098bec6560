//! The scanner and the parser must say the same of all bytes; guided by what code they reach.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../support/scan.rs"]
mod support;

// Bytes that are no text choose a record to write and how to break it, all others are the record.
fuzz_target!(|bytes: &[u8]| {
    if let Some(choices) = bytes.strip_prefix(b"\xff") {
        let mut record = support::Writer::record(choices).into_bytes();
        support::check(&record);
        for mutation in choices.rchunks_exact(4).take(3) {
            let at = usize::from(mutation[1]) | usize::from(mutation[2]) << 8;
            support::mutate(&mut record, (mutation[0].into(), at, mutation[3]));
        }
        support::check(&record);
    } else {
        support::check(bytes);
    }
});
