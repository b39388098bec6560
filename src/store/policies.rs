//! Under which policies (`[privacy]`) people were written, and on which days: users whose ids are written in another way are
//! other users.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::ledger::{Entry, FileRecord, PrivacyText};

/// Each once, in the order in which they were met.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Policies(Vec<Under>);

/// What was written under one, from its first day to its last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Under {
    /// `None` where everything was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    privacy: Option<PrivacyText>,
    from: String,
    to: String,
}

impl Policies {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes in what an entry says of its rows.
    pub fn take(&mut self, entry: &Entry) {
        let days = || entry.files.iter().filter_map(FileRecord::date).map(str::to_owned);
        if let (Some(from), Some(to)) = (days().min(), days().max()) {
            self.add(Under { privacy: entry.settings.privacy.clone(), from, to });
        }
    }

    pub fn and(&mut self, other: &Self) {
        other.0.iter().for_each(|under| self.add(under.clone()));
    }

    fn add(&mut self, under: Under) {
        match self.0.iter_mut().find(|known| known.privacy == under.privacy) {
            Some(known) => {
                known.from = under.from.min(std::mem::take(&mut known.from));
                known.to = under.to.max(std::mem::take(&mut known.to));
            }
            None => self.0.push(under),
        }
    }

    /// Of those under which something of these days was written.
    pub fn within(&self, days: &RangeInclusive<String>) -> Self {
        let is_within = |under: &&Under| under.from <= *days.end() && under.to >= *days.start();
        Self(self.0.iter().filter(is_within).cloned().collect())
    }

    /// What is to be said where they are several, or leave nobody to count.
    pub fn note(&self) -> Option<String> {
        let policies = || self.0.iter().filter_map(|under| under.privacy.as_ref());
        let mut keys: Vec<_> = policies().filter_map(|privacy| privacy.key_id.as_ref()).collect();
        keys.sort();
        keys.dedup();
        let keys = match keys.len() {
            1 => "one key".to_owned(),
            count => format!("{count} keys"),
        };
        let is_changed = self.0.len() > 1;
        let changed = is_changed.then(|| {
            format!(
                "people were written under {} policies ([privacy]), hashed with {keys}: under each, users whose ids are written \
                 otherwise count anew",
                self.0.len()
            )
        });
        let is_dropped = policies().any(|privacy| privacy.user_id == "drop");
        let dropped =
            is_dropped.then(|| "where [privacy] drops user_id nobody is counted as an active user".to_owned());
        changed.into_iter().chain(dropped).reduce(|changed, dropped| format!("{changed}; {dropped}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(policy: &str) -> String {
        policy.to_owned()
    }

    fn under(ip: Option<&str>, from: &str, to: &str) -> Policies {
        let privacy = ip.map(|ip| PrivacyText {
            user_id: text("keep"),
            user_name: text("keep"),
            ip: text(ip),
            email: text("keep"),
            key_id: (ip == "hash").then(|| text("k")),
        });
        let (from, to) = (text(from), text(to));
        Policies(vec![Under { privacy, from, to }])
    }

    #[test]
    fn a_change_is_said_of_the_days_that_it_concerns() {
        let mut all = under(None, "2026-11-03", "2026-11-05");
        all.and(&under(None, "2026-11-01", "2026-11-04"));
        assert_eq!((all.clone(), all.note()), (under(None, "2026-11-01", "2026-11-05"), None));
        all.and(&under(Some("hash"), "2026-11-05", "2026-11-09"));
        all.and(&under(Some("drop"), "2026-12-01", "2026-12-31"));
        let note = |from: &str, to: &str| all.within(&(from.to_owned()..=to.to_owned())).note();
        assert!(
            note("2026-11-01", "2026-11-30")
                .is_some_and(|note| note.contains("2 policies") && note.contains("with one key"))
        );
        assert!(note("2026-11-01", "2026-12-01").is_some_and(|note| note.contains("3 policies")));
        assert!(note("2026-11-05", "2026-11-05").is_some());
        for (from, to) in [("2026-11-01", "2026-11-04"), ("2026-11-06", "2026-11-30"), ("2026-12-01", "2026-12-31")] {
            assert_eq!(note(from, to), None, "{from} to {to}");
        }
        let mut uncounted = under(Some("keep"), "2026-11-01", "2026-11-02");
        assert_eq!(uncounted.note(), None);
        uncounted
            .0
            .iter_mut()
            .filter_map(|under| under.privacy.as_mut())
            .for_each(|privacy| privacy.user_id = text("drop"));
        assert!(uncounted.note().is_some_and(|note| note.contains("nobody is counted")));
        let text = serde_json::to_string(&all).expect("JSON");
        assert_eq!(serde_json::from_str::<Policies>(&text).expect("read"), all, "{text}");
    }
}
