//! Up to when the client is sure to have seen the end of a partition.
//!
//! A report says how far the log goes as the broker last answered, not when that was. A broker that has not answered since,
//! partitions that were paused, or a process that was frozen with a report in its queue: each would make an old end look
//! new. But a report also counts the requests sent, and the client has at most one fetch on its way to a broker. So when
//! two more went out since an earlier report, the first of them was sent after that report and has been answered: what the
//! client says of the log is no older than that. Nothing here reads a clock.

use rdkafka::statistics::{Broker, Partition};

use crate::event::EventTime;

/// What the reports have told of one partition.
pub(super) struct Fetched {
    /// The partition is fetched since: reports of an earlier time may speak of before.
    since: EventTime,
    earlier: Option<Report>,
}

/// One report, as far as it tells of fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Report {
    /// When it was made, never later.
    at: EventTime,
    broker: i32,
    fetches: i64,
    /// Whatever may have ended a fetch without an answer.
    faults: u64,
}

impl Report {
    /// `None` unless the partition is being fetched, and all that came is taken.
    pub fn of(at: EventTime, broker: &Broker, partition: &Partition) -> Option<Self> {
        let is_fetched = broker.state == "UP" && partition.fetch_state == "active" && partition.fetchq_cnt == 0;
        let disconnects = broker.disconnects.unwrap_or_default().unsigned_abs();
        is_fetched.then(|| Self {
            at,
            broker: broker.nodeid,
            fetches: broker.req.get("Fetch").copied().unwrap_or_default(),
            faults: disconnects + broker.req_timeouts + broker.txerrs + broker.rxerrs,
        })
    }
}

impl Fetched {
    pub fn since(since: EventTime) -> Self {
        Self { since, earlier: None }
    }

    /// Not fetched until told otherwise.
    pub fn paused() -> Self {
        Self::since(EventTime::from_ms(i64::MAX))
    }

    /// Takes in the next report, and gives a time at which the log went no further than that report says.
    pub fn known_at(&mut self, report: Option<Report>) -> Option<EventTime> {
        let report = report.filter(|report| report.at >= self.since);
        let (Some(now), Some(earlier)) = (report, self.earlier) else {
            self.earlier = report;
            return None;
        };
        if (now.broker, now.faults) != (earlier.broker, earlier.faults) {
            self.earlier = report;
            return None;
        }
        let is_answered = now.fetches >= earlier.fetches + 2;
        is_answered.then(|| {
            self.earlier = report;
            earlier.at
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> EventTime {
        EventTime::from_ms(seconds * 1000)
    }

    fn report(seconds: i64, fetches: i64) -> Option<Report> {
        Some(Report { at: at(seconds), broker: 1, fetches, faults: 0 })
    }

    #[test]
    fn the_end_is_known_as_of_a_report_after_which_a_fetch_was_sent_and_answered() {
        let mut fetched = Fetched::since(at(10));
        assert_eq!(fetched.known_at(report(10, 100)), None);
        assert_eq!(fetched.known_at(report(11, 110)), Some(at(10)));
        assert_eq!(fetched.known_at(report(12, 110)), None, "the broker is silent");
        assert_eq!(fetched.known_at(report(13, 111)), None, "the answer may be missing still");
        assert_eq!(fetched.known_at(report(14, 112)), Some(at(11)), "as of before the silence");
        // Frozen for an hour, then a report that lay in the queue, then one of after.
        assert_eq!(fetched.known_at(report(15, 122)), Some(at(14)));
        assert_eq!(fetched.known_at(report(3615, 123)), None);
        assert_eq!(fetched.known_at(report(3616, 133)), Some(at(15)));
        assert_eq!(fetched.known_at(report(3617, 143)), Some(at(3616)));
    }

    #[test]
    fn reports_from_before_the_partition_was_fetched_do_not_count() {
        let mut fetched = Fetched::since(at(10));
        assert_eq!(fetched.known_at(report(9, 100)), None);
        assert_eq!(fetched.known_at(report(11, 110)), None);
        assert_eq!(fetched.known_at(report(12, 120)), Some(at(11)));
        let mut paused = Fetched::paused();
        assert_eq!((paused.known_at(report(12, 120)), paused.known_at(report(13, 130))), (None, None));
    }

    #[test]
    fn another_broker_a_fault_or_a_fetch_that_stopped_begin_anew() {
        let base = Report { at: at(10), broker: 1, fetches: 100, faults: 0 };
        let later = Report { at: at(11), fetches: 110, ..base };
        for other in [Some(Report { broker: 2, ..later }), Some(Report { faults: 1, ..later }), None] {
            let mut fetched = Fetched::since(at(0));
            assert_eq!((fetched.known_at(Some(base)), fetched.known_at(other)), (None, None));
            let next = Report { at: at(12), fetches: 120, ..other.unwrap_or(later) };
            let expected = other.map(|other| other.at);
            assert_eq!(fetched.known_at(Some(next)), expected);
        }
    }
}
