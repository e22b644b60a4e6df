//! A verdict that anybody can check: signed by the runner over a hash chain of the session's events.
//!
//! What is signed is [`DOMAIN`], a line feed, and the canonical JSON of the chain's record and the SHA-256
//! of the verdict's canonical JSON. The verdict's member `stale` says how it is served and is no part of that.

mod canonical;
mod chain;
mod key;

use commontrace_core::hex;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub use canonical::canonical;
pub use chain::{Break, Chain, ChainRecord, START};
pub use key::{KEY_FILE, KeyError, PublicKey, SigningKey};

use crate::verdict::QaResults;

/// What every signed text begins with, so that no signature can be used for anything else.
pub const DOMAIN: &str = "commontrace-verdict-1";

/// A verdict with its signature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignedVerdict {
    /// [`DOMAIN`].
    pub format: String,
    /// What was found; see [`crate::verdict::QaResults`].
    pub verdict: Value,
    /// SHA-256 of the verdict's canonical JSON, in hexadecimal digits.
    pub verdict_sha256: String,
    /// The chain over the events that it is about.
    pub chain: ChainRecord,
    /// The key that it is signed with, in hexadecimal digits.
    pub public_key: String,
    /// The Ed25519 signature in hexadecimal digits.
    pub signature: String,
}

impl SignedVerdict {
    /// What the verdict says. Neither the signature nor the events are looked at.
    ///
    /// # Errors
    /// If it is of a shape that this version does not know.
    pub fn results(&self) -> Result<QaResults, serde_json::Error> {
        QaResults::deserialize(&self.verdict)
    }
}

/// The first thing of a signed verdict that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is of another kind or a later version.
    #[error("the format is `{0}`, and this program knows `{DOMAIN}`")]
    Format(String),
    /// Its key cannot be one.
    #[error(
        "the public key or the signature is not made of hexadecimal digits of the right number"
    )]
    Garbled,
    /// Somebody else signed it.
    #[error("it is signed with the key {found}, not with {expected}")]
    Key {
        /// The key that it names.
        found: String,
        /// The key that was asked for.
        expected: String,
    },
    /// The signature is not of this chain and this verdict.
    #[error(
        "the signature does not hold: the chain, the hash of the verdict or the signature was changed"
    )]
    Signature,
    /// The verdict is not the one that was signed.
    #[error("the verdict was changed after it was signed")]
    Verdict,
    /// The events are not those that it is about.
    #[error("{}", broken(.0))]
    Chain(Break),
}

/// Signs a verdict about the events of a chain.
pub fn sign(key: &SigningKey, verdict: Value, chain: ChainRecord) -> SignedVerdict {
    let verdict_sha256 = digest(&verdict);
    let signature = key.sign(&message(&chain, &verdict_sha256));
    SignedVerdict {
        format: DOMAIN.to_owned(),
        verdict,
        verdict_sha256,
        chain,
        public_key: key.public().to_string(),
        signature,
    }
}

/// Checks a verdict without its events: who signed it, and that nobody changed it.
pub fn check_signature(signed: &SignedVerdict, trusted: &PublicKey) -> Result<(), Fault> {
    if signed.format != DOMAIN {
        return Err(Fault::Format(signed.format.clone()));
    }
    let key = PublicKey::parse(&signed.public_key).ok_or(Fault::Garbled)?;
    if key != *trusted {
        return Err(Fault::Key {
            found: key.to_string(),
            expected: trusted.to_string(),
        });
    }
    let signature: [u8; 64] = hex::decode(&signed.signature).ok_or(Fault::Garbled)?;
    UnparsedPublicKey::new(&ED25519, key.0)
        .verify(&message(&signed.chain, &signed.verdict_sha256), &signature)
        .map_err(|_| Fault::Signature)?;
    if digest(&signed.verdict) != signed.verdict_sha256 {
        return Err(Fault::Verdict);
    }
    Ok(())
}

fn message(chain: &ChainRecord, verdict_sha256: &str) -> Vec<u8> {
    let value = json!({"chain": chain, "verdict_sha256": verdict_sha256});
    format!("{DOMAIN}\n{}", canonical(&value)).into_bytes()
}

fn digest(verdict: &Value) -> String {
    let mut verdict = verdict.clone();
    if let Value::Object(members) = &mut verdict {
        members.remove("stale");
    }
    hex::encode(&Sha256::digest(canonical(&verdict)))
}

fn broken(at: &Break) -> String {
    match at {
        Break::Within(first, last) if first >= last => {
            format!(
                "event {last} is not the one that the verdict is about: it was changed, left out, put in or moved"
            )
        }
        Break::Within(first, last) => format!(
            "one of the events {first} to {last} is not the one that the verdict is about: it was changed, left \
             out, put in or moved"
        ),
        Break::Short(count) => {
            format!("there are only {count} of the events that the verdict is about")
        }
        Break::Record => "the record of the chain contradicts itself".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::good;
    use crate::verdict::{About, Fix};

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32]).expect("a key")
    }

    fn signed() -> SignedVerdict {
        let verdict = json!({"score": 0.9, "tests_passed": true, "stale": false});
        sign(&key(1), verdict, Chain::over(&good()).record())
    }

    #[test]
    fn a_signed_verdict_is_checked_by_anybody_with_the_public_key() {
        let public = PublicKey::parse(&key(1).public().to_string()).expect("a key");
        let text = serde_json::to_string(&signed()).expect("JSON");
        let read: SignedVerdict = serde_json::from_str(&text).expect("a verdict");
        assert_eq!(check_signature(&read, &public), Ok(()));
        assert_eq!(read.chain.check(good()), Ok(0));
    }

    #[test]
    fn the_first_thing_that_does_not_hold_is_named() {
        let public = key(1).public();
        let fault = |change: &dyn Fn(&mut SignedVerdict)| {
            let mut changed = signed();
            change(&mut changed);
            check_signature(&changed, &public).expect_err("a fault")
        };
        assert_eq!(fault(&|v| v.verdict["score"] = json!(1.0)), Fault::Verdict);
        assert_eq!(fault(&|v| v.chain.events = 7), Fault::Signature);
        assert_eq!(
            fault(&|v| {
                v.verdict["score"] = json!(1.0);
                v.verdict_sha256 = digest(&v.verdict);
            }),
            Fault::Signature
        );
        assert_eq!(fault(&|v| v.signature = "00".repeat(64)), Fault::Signature);
        assert_eq!(fault(&|v| v.signature = "xyz".to_owned()), Fault::Garbled);
        assert!(matches!(
            fault(&|v| v.public_key = key(2).public().to_string()),
            Fault::Key { .. }
        ));
        assert!(matches!(
            fault(&|v| v.format = "x".to_owned()),
            Fault::Format(_)
        ));
        let mut events = good();
        events.remove(3);
        let fault = signed().chain.check(&events).map_err(Fault::Chain);
        let fault = fault.expect_err("a fault");
        assert_eq!(fault, Fault::Chain(Break::Within(4, 4)));
        assert!(fault.to_string().starts_with("event 4 "), "{fault}");
    }

    #[test]
    fn the_results_of_a_session_are_signed_as_they_are_served() {
        use crate::checks;
        use crate::deterministic::{Reason, levels};
        use crate::facts::Facts;
        use crate::judged::Judged;
        use crate::verdict::{Verification, VerificationStatus, qa_results};
        let events = good();
        let facts = Facts::read(&events, "");
        let checks = checks::all(&facts);
        let mut judged = Judged::absent(Reason::Timeout);
        judged.mean = Some(20.0 / 7.0);
        let verification = Verification {
            status: VerificationStatus::Verified,
            regressed: false,
            tests_passed: Some(true),
            test_exit_code: Some(0),
            test_output: Some("120 passed in 2.50s".to_owned()),
            detail: json!({"runs": 3, "seconds": 1.5e-7}),
        };
        let computed = levels(&facts, &checks);
        let mut results = qa_results(verification, judged, computed, checks, Some(8));
        results.about = Some(about());
        let verdict = serde_json::to_value(&results).expect("JSON");
        let signed = sign(&key(1), verdict, Chain::over(&events).record());
        let text = serde_json::to_string_pretty(&signed).expect("JSON");
        let stored: SignedVerdict = serde_json::from_str(&text).expect("a verdict");
        assert!(check_signature(&stored, &key(1).public()).is_ok());
        assert_eq!(stored.chain.check(&events), Ok(0));
        assert_eq!(stored.verdict["score"], 0.8857);
        assert_eq!(stored.results().expect("the same results"), results);
    }

    fn about() -> About {
        About {
            repository: "https://git.example.org/cart".to_owned(),
            commit_before: "0a1b2c3d".to_owned(),
            commit_after: String::new(),
            fix: Fix::Edits,
        }
    }

    /// Signed before a verdict said what it is about.
    const EARLIER: &str = include_str!("../../tests/fixtures/verdict-without-about.json");

    #[test]
    fn an_earlier_verdict_still_holds_and_says_nothing_of_its_repository() {
        let signed: SignedVerdict = serde_json::from_str(EARLIER).expect("a verdict");
        assert_eq!(check_signature(&signed, &key(1).public()), Ok(()));
        assert_eq!(signed.results().expect("results").about, None);
    }

    #[test]
    fn what_a_verdict_is_about_cannot_be_changed() {
        let mut signed = signed();
        signed.verdict["about"] = json!(about());
        let mut signed = sign(&key(1), signed.verdict, signed.chain);
        assert!(check_signature(&signed, &key(1).public()).is_ok());
        signed.verdict["about"]["fix"] = json!("commit");
        let checked = check_signature(&signed, &key(1).public());
        assert_eq!(checked, Err(Fault::Verdict));
    }

    #[test]
    fn a_verdict_that_became_stale_is_still_the_one_that_was_signed() {
        let mut served = signed();
        served.verdict["stale"] = json!(true);
        assert!(check_signature(&served, &key(1).public()).is_ok());
    }
}
