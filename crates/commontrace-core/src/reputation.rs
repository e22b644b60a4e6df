//! Trust in a trace, from votes, from what came of it and from what its tests prove, and reputation of its
//! author, from votes.

use crate::OutcomeCounts;

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

/// Up-votes that a report of the solution having worked as it is written is worth.
const WORKED_UP_VOTES: u32 = 2;
/// Up-votes that a report of it having worked after changes is worth.
const WORKED_WITH_CHANGES_UP_VOTES: u32 = 1;
/// Down-votes that a report of it not having worked is worth.
const DID_NOT_WORK_DOWN_VOTES: u32 = 2;

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
    /// What came of it: accounts by what each has reported, counted once and none the author.
    pub outcomes: OutcomeCounts,
    /// Those of the up-votes that are by accounts which have tried the solution and reported what came of it:
    /// that counts in place of the vote.
    pub replaced_up_votes: u32,
    /// Those of the down-votes, likewise.
    pub replaced_down_votes: u32,
    /// What running the tests came to, if that counts for the text as it is.
    pub proof: Option<Proof>,
    /// Whether it is a starter trace, which was reviewed before it was shipped.
    pub is_seed: bool,
}

impl Standing {
    /// Returns the trust, in `0.0..=1.0`: the Wilson bound over the votes, with reports of what came of it and a
    /// proof as votes beside them.
    ///
    /// A report of it having worked is worth two up-votes, one with changes one, and one of it not having
    /// worked two down-votes; that the trace was not relevant is worth none. An account counts once, by its
    /// report in place of its vote, so that no account is worth more than two votes. A proof is worth five: a
    /// verified trace without votes has 0.57, and eleven down-votes take it below what one up-vote alone
    /// gives. A starter trace is trusted fully until somebody speaks against it; from then on its review counts
    /// as ten up-votes beside the real ones.
    pub fn trust(self) -> f64 {
        let (up, down) = self.weighed();
        let (verified, refuted) = self.proof_votes();
        let (up, down) = (up.saturating_add(verified), down.saturating_add(refuted));
        match (self.is_seed, down) {
            (true, 0) => 1.0,
            (true, _) => wilson(up.saturating_add(EDITORIAL_UP_VOTES), down),
            (false, _) => wilson(up, down),
        }
    }

    /// Returns whether the trace counts as validated.
    ///
    /// It takes `threshold` accounts more that confirm it than accounts that do not, and trust above zero; a
    /// starter trace begins validated and loses that when those who do not lead by `threshold`. Each account
    /// counts once here, whether it has voted or reported what came of it, so that none validates a trace
    /// alone. A refutation counts against it like the votes that it is worth; a verification does not
    /// count here, because others have to say that it helped them.
    pub fn is_validated(self, threshold: u32) -> bool {
        let (confirming, refusing) = self.accounts();
        let (_, refuted) = self.proof_votes();
        let net = i64::from(confirming) - i64::from(refusing) - i64::from(refuted);
        if self.is_seed {
            net > -i64::from(threshold.max(1))
        } else {
            net >= i64::from(threshold) && self.trust() > 0.0
        }
    }

    /// The votes that stand, for and against.
    fn votes(self) -> (u32, u32) {
        (
            self.up_votes.saturating_sub(self.replaced_up_votes),
            self.down_votes.saturating_sub(self.replaced_down_votes),
        )
    }

    /// The votes that stand and the reports, as up- and down-votes.
    fn weighed(self) -> (u32, u32) {
        let (up, down) = self.votes();
        let worth = |reports: i64, votes: u32| count(reports).saturating_mul(votes);
        let up = up
            .saturating_add(worth(self.outcomes.worked, WORKED_UP_VOTES))
            .saturating_add(worth(
                self.outcomes.worked_with_changes,
                WORKED_WITH_CHANGES_UP_VOTES,
            ));
        let down = down.saturating_add(worth(self.outcomes.did_not_work, DID_NOT_WORK_DOWN_VOTES));
        (up, down)
    }

    /// The accounts that confirm it, and those that do not.
    fn accounts(self) -> (u32, u32) {
        let (up, down) = self.votes();
        let confirming = up
            .saturating_add(count(self.outcomes.worked))
            .saturating_add(count(self.outcomes.worked_with_changes));
        let refusing = down.saturating_add(count(self.outcomes.did_not_work));
        (confirming, refusing)
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

/// A count as the formulas take it; none goes below zero.
fn count(reports: i64) -> u32 {
    u32::try_from(reports.max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Outcome;

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

    /// So many reports of each outcome that says something of the solution's worth.
    fn reports(worked: i64, worked_with_changes: i64, did_not_work: i64) -> Standing {
        Standing {
            outcomes: OutcomeCounts {
                worked,
                worked_with_changes,
                did_not_work,
                not_relevant: 0,
            },
            ..Standing::default()
        }
    }

    #[test]
    fn what_came_of_it_weighs_up_to_two_votes() {
        assert_eq!(reports(1, 0, 0).trust(), votes(2, 0).trust());
        assert_eq!(reports(0, 1, 0).trust(), votes(1, 0).trust());
        assert_eq!(reports(3, 0, 1).trust(), votes(6, 2).trust());
        let irrelevant = Standing {
            outcomes: OutcomeCounts {
                not_relevant: 9,
                ..OutcomeCounts::default()
            },
            ..votes(1, 0)
        };
        assert_eq!(irrelevant.trust(), votes(1, 0).trust());
        let seed = Standing {
            is_seed: true,
            ..reports(0, 0, 1)
        };
        assert_eq!(seed.trust(), wilson(10, 2));
    }

    #[test]
    fn a_report_counts_in_place_of_the_same_accounts_vote() {
        let voted = Standing {
            up_votes: 1,
            replaced_up_votes: 1,
            ..reports(1, 0, 0)
        };
        assert_eq!(voted.trust(), reports(1, 0, 0).trust());
        let changed_mind = Standing {
            down_votes: 1,
            replaced_down_votes: 1,
            ..reports(1, 0, 0)
        };
        assert_eq!(changed_mind.trust(), reports(1, 0, 0).trust());
    }

    #[test]
    fn nobody_validates_or_demotes_a_trace_alone() {
        assert!(!reports(1, 0, 0).is_validated(2));
        assert!(reports(1, 1, 0).is_validated(2));
        assert!(!reports(2, 0, 1).is_validated(2));
        let seed = |did_not_work| Standing {
            is_seed: true,
            ..reports(0, 0, did_not_work)
        };
        assert!(seed(1).is_validated(2));
        assert!(!seed(2).is_validated(2));
    }

    prop_compose! {
        /// Any standing that the store may hold: replaced votes are among the votes.
        fn any_standing()(
            up_votes in 0u32..100_000,
            down_votes in 0u32..100_000,
            replaced in (0u32..=100, 0u32..=100),
            worked in 0i64..100_000,
            worked_with_changes in 0i64..100_000,
            did_not_work in 0i64..100_000,
            not_relevant in 0i64..100_000,
            proof in prop_oneof![
                Just(None), Just(Some(Proof::Verified)), Just(Some(Proof::Refuted))
            ],
            is_seed: bool,
        ) -> Standing {
            Standing {
                up_votes,
                down_votes,
                outcomes: OutcomeCounts { worked, worked_with_changes, did_not_work, not_relevant },
                replaced_up_votes: up_votes * replaced.0 / 100,
                replaced_down_votes: down_votes * replaced.1 / 100,
                proof,
                is_seed,
            }
        }
    }

    /// The standing after one more account has reported this.
    fn with(mut standing: Standing, outcome: Outcome) -> Standing {
        standing.outcomes.add(outcome, 1);
        standing
    }

    proptest! {
        #[test]
        fn trust_is_bounded_and_every_report_moves_it_its_own_way(standing in any_standing()) {
            let trust = standing.trust();
            prop_assert!((0.0..=1.0).contains(&trust));
            let changed = with(standing, Outcome::WorkedWithChanges).trust();
            prop_assert!(changed >= trust);
            prop_assert!(with(standing, Outcome::Worked).trust() >= changed);
            prop_assert!(with(standing, Outcome::DidNotWork).trust() <= trust);
            prop_assert_eq!(with(standing, Outcome::NotRelevant).trust(), trust);
        }

        #[test]
        fn no_account_is_worth_more_than_two_votes(standing in any_standing()) {
            let two = |up, down| Standing {
                up_votes: standing.up_votes + up,
                down_votes: standing.down_votes + down,
                ..standing
            };
            // With a vote and without: the vote is replaced.
            for voted in [0, 1] {
                let mut worked = with(standing, Outcome::Worked);
                worked.up_votes += voted;
                worked.replaced_up_votes += voted;
                prop_assert_eq!(worked.trust(), two(2, 0).trust());
                let mut failed = with(standing, Outcome::DidNotWork);
                failed.down_votes += voted;
                failed.replaced_down_votes += voted;
                prop_assert_eq!(failed.trust(), two(0, 2).trust());
            }
        }

        #[test]
        fn one_report_moves_validation_by_one_account(
            standing in any_standing(), threshold in 1u32..10,
        ) {
            let worked = with(standing, Outcome::Worked);
            prop_assert!(worked.is_validated(threshold) || !standing.is_validated(threshold));
            let failed = with(standing, Outcome::DidNotWork);
            prop_assert!(standing.is_validated(threshold) || !failed.is_validated(threshold));
            let vote = Standing { up_votes: standing.up_votes + 1, ..standing };
            prop_assert_eq!(worked.is_validated(threshold), vote.is_validated(threshold));
        }

        #[test]
        fn more_up_votes_never_lower_the_bound(up in 0u32..100_000, down in 0u32..100_000) {
            let bound = wilson(up, down);
            prop_assert!((0.0..1.0).contains(&bound));
            prop_assert!(wilson(up + 1, down) >= bound);
            prop_assert!(wilson(up, down + 1) <= bound);
        }
    }
}
