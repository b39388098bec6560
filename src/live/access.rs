//! Who may see the live page: whoever has the token, as a header or, after a login, as a cookie.
//!
//! The cookie does not hold the token but a hash keyed with it, so that it stays good over a restart and on every process
//! with the same token, and ends when the token changes. Comparisons take the same time whatever is wrong.

use axum::http::{HeaderMap, header};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::Secret;

const COOKIE: &str = "ghostlight";

/// What the cookie's hash is of: another text would make every cookie of before worthless.
const COOKIE_TEXT: &[u8] = b"ghostlight live page, cookie 1";

/// Seconds a browser keeps the cookie: 30 days.
const COOKIE_SECONDS: u32 = 30 * 86_400;

pub struct Access {
    /// Digest of the token: comparing digests takes the same time whatever the length.
    token: [u8; 32],
    cookie: String,
}

impl Access {
    pub fn new(token: &Secret) -> Self {
        let token: [u8; 32] = Sha256::digest(token.expose().as_bytes()).into();
        Self { token, cookie: hex(&hmac_sha256(&token, COOKIE_TEXT)) }
    }

    /// Whether these headers bring the token or the cookie.
    pub fn is_granted(&self, headers: &HeaderMap) -> bool {
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
        });
        bearer.is_some_and(|token| self.is_token(token)) || cookies(headers).any(|value| self.is_cookie(value))
    }

    pub fn is_token(&self, token: &str) -> bool {
        Sha256::digest(token.as_bytes()).as_slice().ct_eq(&self.token).into()
    }

    fn is_cookie(&self, value: &str) -> bool {
        value.as_bytes().ct_eq(self.cookie.as_bytes()).into()
    }

    /// The `Set-Cookie` of a login. `is_https` is whether the browser came by HTTPS, through whatever proxy.
    pub fn set_cookie(&self, is_https: bool) -> String {
        let secure = if is_https { "; Secure" } else { "" };
        format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={COOKIE_SECONDS}{secure}", self.cookie)
    }
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

fn hmac_sha256(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    mac.chain_update(text).finalize().into_bytes().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).expect("a header"))])
    }

    #[test]
    fn the_token_opens_as_a_header_and_nothing_near_it_does() {
        let access = Access::new(&Secret::new("open sesame".to_owned()));
        let granted = |value: &str| access.is_granted(&headers(header::AUTHORIZATION, value));
        assert!(granted("Bearer open sesame"));
        assert!(granted("bearer  open sesame"));
        for wrong in ["Bearer open sesam", "Bearer open sesame!", "Basic open sesame", "open sesame", "Bearer ", ""] {
            assert!(!granted(wrong), "{wrong:?}");
        }
        assert!(!access.is_granted(&HeaderMap::new()));
    }

    #[test]
    fn the_cookie_of_a_login_opens_until_the_token_changes() {
        let access = Access::new(&Secret::new("one".to_owned()));
        let cookie = access.set_cookie(true);
        let (pair, attributes) = cookie.split_once(';').expect("attributes");
        assert_eq!(attributes, " Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000; Secure");
        assert!(!access.set_cookie(false).contains("Secure"));
        assert!(!pair.contains("one"), "the token is not in it");
        let sent = headers(header::COOKIE, &format!("other=1; {pair}"));
        assert!(access.is_granted(&sent));
        assert!(Access::new(&Secret::new("one".to_owned())).is_granted(&sent), "another process with the same token");
        assert!(!Access::new(&Secret::new("two".to_owned())).is_granted(&sent));
        assert!(!access.is_granted(&headers(header::COOKIE, "ghostlight=one")), "the token is no cookie");
    }

    /// RFC 4231, test cases 2 and 3.
    #[test]
    fn the_keyed_hash_is_hmac() {
        let case_2 = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(hex(&case_2), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        let case_3 = hmac_sha256(&[0xaa; 20], &[0xdd; 50]);
        assert_eq!(hex(&case_3), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    }
}
