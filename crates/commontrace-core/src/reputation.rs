//! Trust in a trace and reputation of its author, both from votes.

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

/// Returns the trust in a trace, in `0.0..=1.0`: the Wilson bound over its votes.
///
/// A starter trace is trusted fully until somebody votes it down; from then on its review counts
/// as ten up-votes beside the real ones.
pub fn trust(up: u32, down: u32, is_seed: bool) -> f64 {
    match (is_seed, down) {
        (true, 0) => 1.0,
        (true, _) => wilson(up.saturating_add(EDITORIAL_UP_VOTES), down),
        (false, _) => wilson(up, down),
    }
}

/// Returns whether a trace with these votes counts as validated.
///
/// It takes `threshold` up-votes more than down-votes and trust above zero; a starter trace begins
/// validated and loses that when the down-votes lead by `threshold`. At most one vote per account
/// and none by the author is counted, which the store guarantees.
pub fn is_validated(up: u32, down: u32, threshold: u32, is_seed: bool) -> bool {
    let net = i64::from(up) - i64::from(down);
    if is_seed {
        net > -i64::from(threshold.max(1))
    } else {
        net >= i64::from(threshold) && trust(up, down, false) > 0.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
        assert!(!is_validated(1, 0, 2, false));
        assert!(is_validated(2, 0, 2, false));
        assert!(!is_validated(2, 1, 2, false));
        assert!(is_validated(3, 1, 2, false));
    }

    #[test]
    fn a_starter_trace_is_validated_until_down_votes_lead_by_the_threshold() {
        assert!(is_validated(0, 0, 2, true));
        assert!(is_validated(0, 1, 2, true));
        assert!(!is_validated(0, 2, 2, true));
        assert_eq!(trust(0, 0, true), 1.0);
        assert!(trust(0, 1, true) < 0.7);
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
