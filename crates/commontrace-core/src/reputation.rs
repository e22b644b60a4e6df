//! Trust in a trace, from votes and from what its tests prove, and reputation of its author, from votes.

/// The normal quantile of a two-sided 95 % interval.
const Z: f64 = 1.96;

/// Up-votes that the maintainers' review of a starter trace is worth once somebody votes it down.
const EDITORIAL_UP_VOTES: u32 = 10;

/// Returns the Wilson score lower bound at 95 % for `up` positive votes and `down` negative ones.
///
/// The result is in `0.0..1.0`, and 0 without votes. Source: E. B. Wilson, "Probable inference, the
/// law of succession, and statistical inference", JASA 22 (1927), as used for ranking by votes.
pub fn wilson(up: u32, down: u32) -> f64 {
    let (u, d) = (f64::from(up), f64::from(down));
    let n = u + d;
    if n == 0.0 {
        return 0.0;
    }
    let p = u / n;
    let z2 = Z * Z;
    let spread = Z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    ((p + z2 / (2.0 * n) - spread) / (1.0 + z2 / n)).max(0.0)
}

/// Up-votes that a verification by the server's own runs is worth, however many runs and sessions there are.
const VERIFIED_UP_VOTES: u32 = 5;
/// Down-votes that a refutation by the server's own runs is worth.
const REFUTED_DOWN_VOTES: u32 = 5;

/// What the tests of a trace's session say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    feature = "sqlx",
    derive(sqlx::Type),
    sqlx(type_name = "text", rename_all = "snake_case")
)]
pub enum Proof {
    /// Tests turned green with the fix, and none broke.
    Verified,
    /// A test broke, or one that was to turn green did not.
    Refuted,
}

/// What a trace's trust and status follow from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Up-votes, at most one per account and none by the author, which the store guarantees.
    pub up_votes: u32,
    /// Down-votes, likewise.
    pub down_votes: u32,
    /// What running the tests came to, if that counts for the text as it is.
    pub proof: Option<Proof>,
    /// Whether it is a starter trace, which was reviewed before it was shipped.
    pub is_seed: bool,
}

impl Standing {
    /// Returns the trust, in `0.0..=1.0`: the Wilson bound over the votes, with a proof as five votes beside
    /// them.
    ///
    /// That is bounded: a verified trace without votes has 0.57, and eleven down-votes take it below what
    /// one up-vote alone gives. A starter trace is trusted fully until somebody votes it down; from then on its
    /// review counts as ten up-votes beside the real ones.
    pub fn trust(self) -> f64 {
        let (verified, refuted) = self.proof_votes();
        let reviewed = match (self.is_seed, self.down_votes) {
            (true, 0) if refuted == 0 => return 1.0,
            (true, _) => EDITORIAL_UP_VOTES,
            (false, _) => 0,
        };
        let up = self.up_votes.saturating_add(verified);
        wilson(
            up.saturating_add(reviewed),
            self.down_votes.saturating_add(refuted),
        )
    }

    /// Returns whether the trace counts as validated.
    ///
    /// It takes `threshold` up-votes more than down-votes and trust above zero; a starter trace begins
    /// validated and loses that when the down-votes lead by `threshold`. A refutation counts against it
    /// like the votes that it is worth; a verification does not count here, because others have to say
    /// that it helped them.
    pub fn is_validated(self, threshold: u32) -> bool {
        let (_, refuted) = self.proof_votes();
        let net = i64::from(self.up_votes) - i64::from(self.down_votes) - i64::from(refuted);
        if self.is_seed {
            net > -i64::from(threshold.max(1))
        } else {
            net >= i64::from(threshold) && self.trust() > 0.0
        }
    }

    /// The up- and down-votes that the proof is worth.
    fn proof_votes(self) -> (u32, u32) {
        match self.proof {
            None => (0, 0),
            Some(Proof::Verified) => (VERIFIED_UP_VOTES, 0),
            Some(Proof::Refuted) => (0, REFUTED_DOWN_VOTES),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn votes(up_votes: u32, down_votes: u32) -> Standing {
        Standing {
            up_votes,
            down_votes,
            ..Standing::default()
        }
    }

    #[track_caller]
    fn check(up: u32, down: u32, expected: &str) {
        assert_eq!(
            format!("{:.4}", wilson(up, down)),
            expected,
            "wilson({up}, {down})"
        );
    }

    #[test]
    fn wilson_agrees_with_published_values() {
        check(0, 0, "0.0000");
        check(1, 0, "0.2065");
        check(2, 0, "0.3424");
        check(3, 0, "0.4385");
        check(5, 0, "0.5655");
        check(10, 0, "0.7225");
        check(100, 0, "0.9630");
        check(1, 1, "0.0945");
        check(3, 1, "0.3006");
        check(5, 5, "0.2366");
        check(9, 1, "0.5958");
        check(90, 10, "0.8256");
        check(0, 1, "0.0000");
    }

    #[test]
    fn two_net_up_votes_validate_and_a_later_down_vote_demotes() {
        assert!(!votes(1, 0).is_validated(2));
        assert!(votes(2, 0).is_validated(2));
        assert!(!votes(2, 1).is_validated(2));
        assert!(votes(3, 1).is_validated(2));
    }

    #[test]
    fn a_starter_trace_is_validated_until_down_votes_lead_by_the_threshold() {
        let seed = |up, down| Standing {
            is_seed: true,
            ..votes(up, down)
        };
        assert!(seed(0, 0).is_validated(2));
        assert!(seed(0, 1).is_validated(2));
        assert!(!seed(0, 2).is_validated(2));
        assert_eq!(seed(0, 0).trust(), 1.0);
        assert!(seed(0, 1).trust() < 0.7);
    }

    #[test]
    fn a_proof_weighs_more_than_a_few_votes_and_less_than_many() {
        let proven = |up, down, proof| Standing {
            proof: Some(proof),
            ..votes(up, down)
        };
        let verified = proven(0, 0, Proof::Verified);
        assert_eq!(format!("{:.4}", verified.trust()), "0.5655");
        assert!(verified.trust() > votes(4, 0).trust());
        assert!(verified.trust() < votes(6, 0).trust());
        assert!(proven(0, 11, Proof::Verified).trust() < votes(1, 0).trust());
        // Nobody validates their own trace by tests of their own.
        assert!(!verified.is_validated(1));
        assert!(!proven(4, 0, Proof::Refuted).is_validated(2));
        assert!(proven(7, 0, Proof::Refuted).is_validated(2));
        assert!(proven(4, 0, Proof::Refuted).trust() < votes(4, 0).trust());
    }

    proptest! {
        #[test]
        fn more_up_votes_never_lower_the_bound(up in 0u32..100_000, down in 0u32..100_000) {
            let bound = wilson(up, down);
            prop_assert!((0.0..1.0).contains(&bound));
            prop_assert!(wilson(up + 1, down) >= bound);
            prop_assert!(wilson(up, down + 1) <= bound);
        }
    }
}
