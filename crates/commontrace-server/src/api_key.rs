//! API keys: how one is made, and the keyed hash under which it is stored and found.
//!
//! The raw key exists in the answer that hands it out and in requests, nowhere else.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::ids::Ids;

/// Makes and hashes API keys.
#[derive(Clone)]
pub struct ApiKeys {
    mac: Hmac<Sha256>,
}

impl ApiKeys {
    /// Creates the hasher; `pepper` is the server's secret, kept apart from the database.
    pub fn new(pepper: &[u8]) -> Self {
        let mac = Hmac::new_from_slice(pepper).expect("HMAC takes a key of any length");
        Self { mac }
    }

    /// Makes a fresh key: 32 random bytes as 43 characters of url-safe base64.
    pub fn generate(&self, ids: &Ids) -> String {
        URL_SAFE_NO_PAD.encode(ids.random_bytes::<32>())
    }

    /// Returns HMAC-SHA256 of the raw key under the pepper: what the store keeps and looks up.
    pub fn hash(&self, raw: &[u8]) -> [u8; 32] {
        let mut mac = self.mac.clone();
        mac.update(raw);
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKeys(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_43_url_safe_characters() {
        let key = ApiKeys::new(b"pepper").generate(&Ids::Random);
        assert_eq!(key.len(), 43);
        assert!(
            key.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        );
    }

    #[test]
    fn the_hash_depends_on_the_key_and_on_the_pepper() {
        let keys = ApiKeys::new(b"pepper");
        assert_eq!(keys.hash(b"one"), ApiKeys::new(b"pepper").hash(b"one"));
        assert_ne!(keys.hash(b"one"), keys.hash(b"two"));
        assert_ne!(keys.hash(b"one"), ApiKeys::new(b"salt").hash(b"one"));
    }

    #[test]
    fn the_hash_is_hmac_sha256() {
        // Test case 2 of RFC 4231.
        let hash = ApiKeys::new(b"Jefe").hash(b"what do ya want for nothing?");
        assert_eq!(hash[..4], [0x5b, 0xdc, 0xc1, 0x46]);
        assert_eq!(hash[28..], [0x64, 0xec, 0x38, 0x43]);
    }

    #[test]
    fn the_pepper_is_not_printed() {
        assert_eq!(format!("{:?}", ApiKeys::new(b"secret")), "ApiKeys(…)");
    }
}
