//! What is written of what events say about people: each value as it came, a keyed hash of it, or nothing.
//!
//! Applied where bytes become events, so that nothing behind it has ever seen what is not to be kept.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{UNRECOGNISED, catalogue};

/// What becomes of a value. The later, the stricter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    #[default]
    Keep,
    Hash,
    Drop,
}

impl Policy {
    pub const NAMES: [&str; 3] = ["keep", "hash", "drop"];

    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Keep, Self::Hash, Self::Drop].into_iter().find(|policy| policy.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Hash => "hash",
            Self::Drop => "drop",
        }
    }
}

/// The policy of each kind of value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policies {
    pub user_id: Policy,
    pub user_name: Policy,
    pub ip: Policy,
    /// Of a `user_id` or `user_name` that holds an e-mail address, where this is the stricter one.
    pub email: Policy,
}

impl Policies {
    fn all(self) -> [Policy; 4] {
        [self.user_id, self.user_name, self.ip, self.email]
    }

    pub fn hash_any(self) -> bool {
        self.all().contains(&Policy::Hash)
    }

    /// Whether everything is written as it came.
    pub fn keep_all(self) -> bool {
        self == Self::default()
    }
}

/// The policies, and the key that is hashed with.
#[derive(Clone, Default)]
pub struct Privacy {
    policies: Policies,
    keyed: Option<Hmac<Sha256>>,
}

impl std::fmt::Debug for Privacy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Privacy").field("policies", &self.policies).finish_non_exhaustive()
    }
}

/// What a hash begins with, so that nobody takes one for a value.
const PREFIX: &str = "hmac:";
/// Bytes of a hash that are written: two of so many values do not meet.
const HASH_BYTES: usize = 16;

impl Privacy {
    /// `None` where something is to be hashed and there is no key.
    pub fn new(policies: Policies, key: Option<&[u8]>) -> Option<Self> {
        let keyed = key.and_then(|key| Hmac::new_from_slice(key).ok());
        (keyed.is_some() || !policies.hash_any()).then_some(Self { policies, keyed })
    }

    pub fn policies(&self) -> Policies {
        self.policies
    }

    /// Whether what nobody can tell the parts of (free text, a record that cannot be read) may be written.
    pub fn keeps_all(&self) -> bool {
        self.policies.keep_all()
    }

    /// Tells one key from another, and neither to anybody.
    pub fn key_id(&self) -> Option<String> {
        let mut id = String::new();
        self.push_hash(b"ghostlight", 8, &mut id);
        (!id.is_empty()).then_some(id)
    }

    /// What is written of a value; into `room`, unless it is the value itself.
    pub(super) fn user_id<'a>(&self, value: &'a str, room: &'a mut String) -> &'a str {
        self.apply(self.policies.user_id.max(self.of_address(value)), value, room)
    }

    pub(super) fn user_name<'a>(&self, value: &'a str, room: &'a mut String) -> &'a str {
        self.apply(self.policies.user_name.max(self.of_address(value)), value, room)
    }

    pub(super) fn ip<'a>(&self, value: &'a str, room: &'a mut String) -> &'a str {
        self.apply(self.policies.ip, value, room)
    }

    /// Text that may hold any of the others.
    pub(super) fn free_text<'a>(&self, value: &'a str) -> &'a str {
        if self.keeps_all() { value } else { "" }
    }

    /// The code of a type; what can be none is free text.
    pub(super) fn type_code<'a>(&self, code: &'a str) -> &'a str {
        if self.keeps_all() || catalogue::can_be_code(code) { code } else { UNRECOGNISED }
    }

    /// The policy of a value for its e-mail address; that of anything with an `@` rather than of none that is one.
    fn of_address(&self, value: &str) -> Policy {
        if self.policies.email != Policy::Keep && has_at(value) { self.policies.email } else { Policy::Keep }
    }

    fn apply<'a>(&self, policy: Policy, value: &'a str, room: &'a mut String) -> &'a str {
        match policy {
            Policy::Keep => value,
            Policy::Hash if !value.is_empty() => {
                room.clear();
                room.push_str(PREFIX);
                self.push_hash(value.as_bytes(), HASH_BYTES, room);
                room
            }
            Policy::Hash | Policy::Drop => "",
        }
    }

    fn push_hash(&self, value: &[u8], length: usize, out: &mut String) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let Some(keyed) = &self.keyed else { return };
        let hash = keyed.clone().chain_update(value).finalize().into_bytes();
        for byte in hash.iter().take(length) {
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

/// Whether there is an `@`, or one of another width, or one in a URL's escapes, however often those were escaped.
fn has_at(value: &str) -> bool {
    let is_escaped = |escape: &str| escape.trim_start_matches("25").starts_with("40");
    value.contains(['@', '\u{fe6b}', '\u{ff20}']) || value.split('%').skip(1).any(is_escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn privacy(user_id: Policy, user_name: Policy, email: Policy) -> Privacy {
        let policies = Policies { user_id, user_name, email, ip: Policy::Keep };
        Privacy::new(policies, Some(b"key")).expect("it has a key")
    }

    fn of(privacy: &Privacy, value: &str) -> (String, String) {
        let mut room = String::new();
        let id = privacy.user_id(value, &mut room).to_owned();
        (id, privacy.user_name(value, &mut room).to_owned())
    }

    #[test]
    fn a_hash_is_what_openssl_gives() {
        // printf %s 'The quick brown fox jumps over the lazy dog' | openssl dgst -sha256 -hmac key
        let hashes = privacy(Policy::Hash, Policy::Keep, Policy::Keep);
        let (id, name) = of(&hashes, "The quick brown fox jumps over the lazy dog");
        assert_eq!(id, "hmac:f7bc83f430538424b13298e6aa6fb143");
        assert_eq!(name, "The quick brown fox jumps over the lazy dog");
        assert_eq!(of(&hashes, "").0, "", "nothing stays nothing");
    }

    #[test]
    fn the_stricter_policy_holds_for_an_address() {
        use Policy::{Drop, Hash, Keep};
        let address = "samlp|corp|jane@example.com";
        assert_eq!(of(&privacy(Keep, Keep, Drop), address), (String::new(), String::new()));
        assert_eq!(of(&privacy(Drop, Hash, Keep), address).0, "");
        let (id, name) = of(&privacy(Keep, Drop, Hash), address);
        assert!(id.starts_with("hmac:") && name.is_empty(), "{id} {name}");
        for address in ["a%40b", "waad|jane%2540example.com", "%252540", "jane＠example.com", "jane﹫example.com"] {
            assert_eq!(of(&privacy(Keep, Keep, Drop), address).0, "", "{address}");
        }
        for other in ["auth0|1", "40%", "100%25 40", "a%4", "%25"] {
            assert_eq!(of(&privacy(Keep, Keep, Drop), other).0, other);
        }
    }

    #[test]
    fn a_type_that_can_be_no_code_is_not_written_where_a_policy_holds() {
        let code = |email, code| privacy(Policy::Keep, Policy::Keep, email).type_code(code).to_owned();
        assert!(catalogue::CATALOGUE.iter().all(|row| code(Policy::Drop, row.code) == row.code));
        for text in ["zz_new", "jane@example.com", "Jane Doe", "+49 170 1234567", "0170", "", "s\n", &"s".repeat(65)] {
            assert_eq!(code(Policy::Keep, text), text);
            assert_eq!(code(Policy::Drop, text), if text == "zz_new" { text } else { UNRECOGNISED });
        }
    }

    #[test]
    fn nothing_is_hashed_without_a_key() {
        let policies = Policies { ip: Policy::Hash, ..Policies::default() };
        assert!(Privacy::new(policies, None).is_none());
        assert!(Privacy::new(Policies { ip: Policy::Drop, ..policies }, None).is_some());
        let one = Privacy::new(policies, Some(b"one")).and_then(|one| one.key_id());
        let other = Privacy::new(policies, Some(b"other")).and_then(|other| other.key_id());
        assert!(one != other && one.as_ref().is_some_and(|id| id.len() == 16), "{one:?} {other:?}");
    }
}
