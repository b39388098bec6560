//! The keys the scanner looks for, and a perfect hash over them.

use std::hint::select_unpredictable;

/// A key the scanner looks for. The fields of an event come first, then the keys of envelopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[rustfmt::skip]
pub enum Key {
    Type, LogId, Id, UnderscoreId, Date, TenantName, Hostname, OrganizationId, OrganizationName, Connection, Strategy,
    ClientId, ClientName, UserId, UserName, Ip, UserAgent, Description, Audience, Scope,
    Data, Logs, Records, Detail, Event, Json, Message,
}

#[rustfmt::skip]
const NAMES: [(Key, &str); Key::COUNT] = [
    (Key::Type, "type"), (Key::LogId, "log_id"), (Key::Id, "id"), (Key::UnderscoreId, "_id"), (Key::Date, "date"),
    (Key::TenantName, "tenant_name"), (Key::Hostname, "hostname"), (Key::OrganizationId, "organization_id"),
    (Key::OrganizationName, "organization_name"), (Key::Connection, "connection"), (Key::Strategy, "strategy"),
    (Key::ClientId, "client_id"), (Key::ClientName, "client_name"), (Key::UserId, "user_id"), (Key::UserName, "user_name"), (Key::Ip, "ip"),
    (Key::UserAgent, "user_agent"), (Key::Description, "description"), (Key::Audience, "audience"), (Key::Scope, "scope"),
    (Key::Data, "data"), (Key::Logs, "logs"), (Key::Records, "records"), (Key::Detail, "detail"),
    (Key::Event, "event"), (Key::Json, "json"), (Key::Message, "message"),
];

impl Key {
    pub const COUNT: usize = 27;

    pub const fn bit(self) -> u32 {
        1 << self as u32
    }

    /// The number of the only key that `json[start..end]` can be, told by its ends and its length; [`Key::COUNT`] if it is
    /// none.
    #[inline(always)]
    pub fn guess(json: &[u8], start: usize, end: usize) -> Option<usize> {
        let (first, last) = (*json.get(start)?, *json.get(end.wrapping_sub(1))?);
        let length = end.wrapping_sub(start) as u32;
        let slot = &SLOTS[hash(first, last, length)];
        let is_like = (slot.length == length) & (slot.last == last);
        // Which keys there are is not to be guessed by the processor.
        Some(select_unpredictable(is_like, slot.key as usize, Self::COUNT))
    }

    /// Whether what was guessed to be a key, and begins at `json[start]`, is one.
    #[inline(always)]
    pub fn is(number: usize, json: &[u8], start: usize) -> bool {
        let Some(name) = HEADS.get(number) else { return false };
        let mut padded = [0; HEAD];
        let head = json.get(start..).and_then(<[u8]>::first_chunk).unwrap_or_else(|| {
            let bytes = json.get(start..).unwrap_or_default();
            padded[..bytes.len()].copy_from_slice(bytes);
            &padded
        });
        (u128::from_le_bytes(*head) ^ name.head) & name.mask == 0
    }
}

/// How much of a key is compared at once, in bytes.
const HEAD: usize = size_of::<u128>();

/// What of a key is compared at once: it has the last letter of the only one longer than this compared before.
struct Head {
    head: u128,
    mask: u128,
}

static HEADS: [Head; Key::COUNT] = {
    let mut heads = [const { Head { head: 0, mask: 0 } }; Key::COUNT];
    let mut number = 0;
    while number < NAMES.len() {
        let name = NAMES[number].1.as_bytes();
        assert!(NAMES[number].0 as usize == number && name.len() <= HEAD + 1);
        let mut at = 0;
        while at < name.len() && at < HEAD {
            heads[number].head |= (name[at] as u128) << (8 * at);
            heads[number].mask |= 0xFF << (8 * at);
            at += 1;
        }
        number += 1;
    }
    heads
};

#[derive(Clone, Copy)]
struct Slot {
    length: u32,
    last: u8,
    key: u8,
}

const SLOT_BITS: u32 = 6;

/// Found by trial: no two of the keys meet.
const MULTIPLIER: u32 = 0xDA71_1449;

/// By the first and the last letter of a key, and its length.
#[inline(always)]
const fn hash(first: u8, last: u8, length: u32) -> usize {
    let letters = first as u32 | (last as u32) << 8;
    (letters.wrapping_add(length << 16).wrapping_mul(MULTIPLIER) >> (u32::BITS - SLOT_BITS)) as usize
}

static SLOTS: [Slot; 1 << SLOT_BITS] = {
    let mut slots = [Slot { length: 0, last: 0, key: Key::COUNT as u8 }; 1 << SLOT_BITS];
    let mut number = 0;
    while number < NAMES.len() {
        let name = NAMES[number].1.as_bytes();
        let slot = Slot { length: name.len() as u32, last: name[name.len() - 1], key: number as u8 };
        let place = hash(name[0], slot.last, slot.length);
        assert!(slots[place].key as usize == Key::COUNT, "two keys meet");
        slots[place] = slot;
        number += 1;
    }
    slots
};

#[cfg(test)]
mod tests {
    use super::*;

    fn find(key: &str, after: &str) -> Option<usize> {
        let json = format!("\"{key}{after}");
        Key::guess(json.as_bytes(), 1, 1 + key.len()).filter(|number| Key::is(*number, json.as_bytes(), 1))
    }

    #[test]
    fn every_key_is_found_and_none_that_is_only_like_it() {
        for (key, name) in NAMES {
            for after in ["\"", "\":\"abcdefghijklmnopqrstuvwxyz"] {
                assert_eq!(find(name, after), Some(key as usize), "{name}");
                for at in 0..name.len() {
                    let mut other = name.to_owned();
                    other.replace_range(at..=at, "~");
                    assert_eq!(find(&other, after), None, "{other}");
                    other.replace_range(at..=at, "");
                    assert_eq!(find(&other, after), (other == "id").then_some(Key::Id as usize), "{other}");
                }
                assert_eq!(find(&format!("{name}s"), after), None, "{name}s");
                assert_eq!(find(&format!("{name}\0"), after), None, "{name} and a zero");
            }
        }
        for last in (b' '..=b'~').map(char::from).filter(|last| *last != 'e') {
            assert_eq!(find(&format!("organization_nam{last}"), "\":1"), None, "{last}");
        }
        for other in ["", "a", "details", "organization_namee", "organization_nama", "Type"] {
            assert_eq!(find(other, "\":1"), None, "{other}");
        }
    }
}
