//! The time, asked only at the edges: everything below takes it as an argument.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::event::EventTime;

/// The wall clock.
#[allow(clippy::disallowed_methods)]
pub fn now() -> EventTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    EventTime::from_ms(since_epoch.as_millis() as i64)
}

/// The clock for measuring how long something took.
#[allow(clippy::disallowed_methods)]
pub fn monotonic() -> Instant {
    Instant::now()
}
