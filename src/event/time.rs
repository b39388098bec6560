//! Event time: milliseconds since the epoch, UTC, and the tumbling windows over it.

use std::fmt;
use std::time::Duration;

/// When something happened, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTime(i64);

const MS_PER_DAY: i64 = 86_400_000;

impl EventTime {
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms)
    }

    pub const fn ms(self) -> i64 {
        self.0
    }

    /// Milliseconds from `earlier` to `self`; negative if `earlier` is later.
    pub const fn since_ms(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// So much earlier, or as early as times go.
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The UTC day, for `date=YYYY-MM-DD` folders.
    pub fn date(self) -> String {
        let (year, month, day) = civil_from_days(self.0.div_euclid(MS_PER_DAY));
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// Reads ISO 8601 in the forms that occur: `T` or a space between date and time, any number of fractional digits
    /// (kept to the millisecond), `Z`, an offset, or nothing (UTC).
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if let Some(time) = <&[u8; 24]>::try_from(bytes).ok().and_then(Self::parse_usual) {
            return Some(time);
        }
        if bytes.len() < 19 || bytes[4] != b'-' || bytes[7] != b'-' || bytes[13] != b':' || bytes[16] != b':' {
            return None;
        }
        if !matches!(bytes[10], b'T' | b't' | b' ') {
            return None;
        }
        let b = bytes;
        let [century, year, month, day] = pairs([b[0], b[1], b[2], b[3], b[5], b[6], b[8], b[9]])?;
        let [hour, minute, second, _] = pairs([b[11], b[12], b[14], b[15], b[17], b[18], b'0', b'0'])?;
        let base = civil_ms(century * 100 + year, month, day, hour, minute, second)?;
        let mut rest = &bytes[19..];
        let mut ms = 0;
        if let [b'.' | b',', fraction @ ..] = rest {
            let length = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
            if length == 0 {
                return None;
            }
            ms = digits(&fraction[..length.min(3)])? * 10_i64.pow(3 - length.min(3) as u32);
            rest = &fraction[length..];
        }
        let offset_minutes = match rest {
            [] | b"Z" | b"z" => 0,
            [sign @ (b'+' | b'-'), h1, h2, m @ ..] => {
                let minutes = match m {
                    [] => 0,
                    [b':', m1, m2] | [m1, m2] => digits(&[*m1, *m2])?,
                    _ => return None,
                };
                let total = digits(&[*h1, *h2])? * 60 + minutes;
                if *sign == b'+' { total } else { -total }
            }
            _ => return None,
        };
        Some(Self(base + ms - offset_minutes * 60_000))
    }

    /// Reads what Auth0 writes: `2026-11-23T12:00:00.000Z`.
    #[inline]
    fn parse_usual(b: &[u8; 24]) -> Option<Self> {
        // All at once, as it is nearly always so.
        let is_usual = (b[4] == b'-')
            & (b[7] == b'-')
            & (b[10] == b'T')
            & (b[13] == b':')
            & (b[16] == b':')
            & (b[19] == b'.')
            & (b[23] == b'Z');
        let [century, year, month, day] = pairs([b[0], b[1], b[2], b[3], b[5], b[6], b[8], b[9]])?;
        let [hour, minute, second, hundredths] = pairs([b[11], b[12], b[14], b[15], b[17], b[18], b[20], b[21]])?;
        let last = b[22].wrapping_sub(b'0');
        if !is_usual || last > 9 {
            return None;
        }
        let base = civil_ms(century * 100 + year, month, day, hour, minute, second)?;
        Some(Self(base + hundredths * 10 + i64::from(last)))
    }

    /// The ingest time inside a `log_id` of the layout seen since about 2019: three digits, `YYYYMMDDhhmmssSSS`, a
    /// tail of digits. Empirical, not documented by Auth0, so every other layout gives `None`.
    pub fn from_log_id(log_id: &str) -> Option<Self> {
        let bytes = log_id.as_bytes();
        let b: &[u8; 40] = bytes.first_chunk()?;
        if !b[..3].iter().all(u8::is_ascii_digit) {
            return None;
        }
        let [century, year, month, day] = pairs([b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10]])?;
        let [hour, minute, second, hundredths] = pairs([b[11], b[12], b[13], b[14], b[15], b[16], b[17], b[18]])?;
        let base = civil_ms(century * 100 + year, month, day, hour, minute, second)?;
        Some(Self(base + hundredths * 10 + digits(&b[19..20])?))
    }

    /// Whether an Auth0 event can have this time, read at `now`: not before Auth0 existed, at most two days ahead
    /// (clocks differ, and time zones are sometimes written as if they were UTC).
    pub fn is_plausible(self, now: EventTime) -> bool {
        const AUTH0_FOUNDED_2013: i64 = 1_356_998_400_000;
        self.0 >= AUTH0_FOUNDED_2013 && self.0 <= now.0.saturating_add(2 * MS_PER_DAY)
    }

    /// Whether two times are further apart than Auth0 keeps logs (30 days), so that one of them must be wrong.
    pub fn is_far_from(self, other: EventTime) -> bool {
        self.0.abs_diff(other.0) > 35 * MS_PER_DAY as u64
    }
}

impl fmt::Display for EventTime {
    /// `2026-11-23T12:00:00.000Z`, as Auth0 writes dates.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_day = self.0.rem_euclid(MS_PER_DAY);
        let (hours, minutes) = (in_day / 3_600_000, in_day / 60_000 % 60);
        let (seconds, ms) = (in_day / 1000 % 60, in_day % 1000);
        write!(f, "{}T{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z", self.date())
    }
}

/// The length of a tumbling window: whole seconds, a divisor of a day, so that windows align to UTC days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WindowLength(u32);

impl WindowLength {
    pub const HOUR: Self = Self(3600);
    pub const FIVE_MINUTES: Self = Self(300);

    /// `None` unless `length` is whole seconds and divides a day evenly.
    pub fn new(length: Duration) -> Option<Self> {
        let seconds = u32::try_from(length.as_secs()).ok()?;
        let divides = length.subsec_nanos() == 0 && seconds > 0 && 86_400 % seconds == 0;
        divides.then_some(Self(seconds))
    }

    pub fn seconds(self) -> u32 {
        self.0
    }

    /// The start of the window `at` falls in.
    pub fn start(self, at: EventTime) -> EventTime {
        let length_ms = i64::from(self.0) * 1000;
        EventTime(at.0.div_euclid(length_ms) * length_ms)
    }
}

fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0_i64, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
}

/// Eight digits as four numbers of two, all at once.
#[inline]
fn pairs(digits: [u8; 8]) -> Option<[i64; 4]> {
    const HIGHS: u64 = u64::from_le_bytes([0xF0; 8]);
    const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);
    const SIXES: u64 = u64::from_le_bytes([6; 8]);
    let word = u64::from_le_bytes(digits);
    // Nothing else has 3 as its high half and stays so when 6 is added.
    if word & HIGHS != ZEROS || (word + SIXES) & HIGHS != ZEROS {
        return None;
    }
    let values = word - ZEROS;
    let pairs = values * 10 + (values >> 8);
    Some([0, 16, 32, 48].map(|shift| (pairs >> shift & 0xFF) as i64))
}

#[inline]
fn civil_ms(year: i64, month: i64, day: i64, hour: i64, minute: i64, second: i64) -> Option<i64> {
    const DAYS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    if !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let month_days = DAYS[(month - 1) as usize] + i64::from(month == 2 && leap);
    if !(1..=month_days).contains(&day) {
        return None;
    }
    Some(days_from_civil(year, month, day) * MS_PER_DAY + ((hour * 60 + minute) * 60 + second) * 1000)
}

/// A UTC calendar day, as days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i64);

impl Day {
    pub const fn of(at: EventTime) -> Self {
        Self(at.0.div_euclid(MS_PER_DAY))
    }

    pub const fn start(self) -> EventTime {
        EventTime(self.0 * MS_PER_DAY)
    }

    /// So many days later, or earlier.
    pub const fn plus(self, days: i64) -> Self {
        Self(self.0 + days)
    }

    /// Days from `earlier` to `self`.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }

    /// The first day of the calendar month.
    pub fn month_start(self) -> Self {
        let (_, _, day) = civil_from_days(self.0);
        self.plus(1 - day)
    }

    /// The first day of the next calendar month.
    pub fn next_month(self) -> Self {
        let (year, month, _) = civil_from_days(self.0);
        let (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        Self(days_from_civil(year, month, 1))
    }

    /// The Monday that begins the ISO 8601 week.
    pub const fn week_start(self) -> Self {
        // The first of January 1970 was a Thursday.
        Self(self.0 - (self.0 + 3).rem_euclid(7))
    }

    /// The month, as `2026-11`.
    pub fn month(self) -> String {
        let (year, month, _) = civil_from_days(self.0);
        format!("{year:04}-{month:02}")
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.start().date())
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar (Howard Hinnant, "chrono-compatible low-level date
/// algorithms").
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_every_form_that_occurs() {
        let expected = EventTime::from_ms(1_729_796_777_460);
        for text in [
            "2024-10-24T19:06:17.460Z",
            "2024-10-24 19:06:17.460000000",
            "2024-10-24T19:06:17.46",
            "2024-10-24T21:06:17.460+02:00",
            "2024-10-24T14:06:17.460-0500",
        ] {
            assert_eq!(EventTime::parse(text), Some(expected), "{text}");
        }
        assert_eq!(expected.to_string(), "2024-10-24T19:06:17.460Z");
        for text in [
            "",
            "2024-10-24",
            "2024-13-01T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-10-24T25:00:00Z",
            "yesterday, at noon!",
        ] {
            assert_eq!(EventTime::parse(text), None, "{text}");
        }
    }

    #[test]
    fn dates_agree_with_jiff_over_two_centuries() {
        for day in (-25_000..50_000).step_by(13) {
            let at = EventTime::from_ms(day * MS_PER_DAY + 12_345_678);
            let jiff = jiff::Timestamp::from_millisecond(at.ms()).expect("in range");
            assert_eq!(at.to_string(), format!("{jiff:.3}"));
            assert_eq!(EventTime::parse(&at.to_string()), Some(at));
        }
    }

    #[test]
    fn log_id_carries_its_ingest_time() {
        let log_id = "90020241024190617517000000000000001223372036854775807123";
        assert_eq!(
            EventTime::from_log_id(log_id).map(|at| at.to_string()).as_deref(),
            Some("2024-10-24T19:06:17.517Z")
        );
        assert_eq!(EventTime::from_log_id("123456789"), None);
        assert_eq!(
            EventTime::from_log_id("9002024102419061751700000000000000é223372036854775807"),
            EventTime::from_log_id(log_id)
        );
    }

    #[test]
    fn days_know_their_month_and_their_week() {
        let day = |text: &str| Day::of(EventTime::parse(&format!("{text}T12:00:00Z")).expect("a date"));
        assert_eq!(day("2026-12-31").month_start(), day("2026-12-01"));
        assert_eq!(day("2026-12-31").next_month(), day("2027-01-01"));
        assert_eq!(day("2028-02-29").next_month(), day("2028-03-01"));
        assert_eq!(day("2026-11-24").week_start(), day("2026-11-23"));
        assert_eq!(day("2026-11-23").week_start(), day("2026-11-23"));
        assert_eq!(day("2026-11-22").week_start(), day("2026-11-16"));
        assert_eq!((day("2026-11-24").month(), day("2026-11-24").to_string()), ("2026-11".into(), "2026-11-24".into()));
        assert_eq!(day("2026-11-24").since(day("2026-11-01")), 23);
    }

    #[test]
    fn windows_align_to_utc() {
        let at = EventTime::parse("2026-11-23T14:03:59.999Z").expect("a date");
        assert_eq!(WindowLength::FIVE_MINUTES.start(at).to_string(), "2026-11-23T14:00:00.000Z");
        assert_eq!(WindowLength::HOUR.start(EventTime::from_ms(-1)).to_string(), "1969-12-31T23:00:00.000Z");
        assert_eq!(WindowLength::new(Duration::from_secs(7)), None);
    }
}
