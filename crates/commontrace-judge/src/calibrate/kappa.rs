//! How far two raters agree on levels from 0 to 4, beyond what chance would give.

use serde::Serialize;

/// How many levels there are.
pub const LEVELS: usize = 5;

/// How often one rater said the row's level where the other said the column's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Confusion(pub [[u32; LEVELS]; LEVELS]);

impl Confusion {
    /// Counts pairs of levels; a level beyond the range is none.
    pub fn of(pairs: impl IntoIterator<Item = (u8, u8)>) -> Self {
        let mut confusion = Self::default();
        for (a, b) in pairs {
            let row = confusion.0.get_mut(usize::from(a));
            if let Some(cell) = row.and_then(|row| row.get_mut(usize::from(b))) {
                *cell += 1;
            }
        }
        confusion
    }

    /// How many pairs there are.
    pub fn count(&self) -> u32 {
        self.0.iter().flatten().sum()
    }

    /// The share of pairs that are equal (p_o).
    pub fn agreement(&self) -> Option<f64> {
        let equal: u32 = (0..LEVELS).map(|level| self.0[level][level]).sum();
        self.share(equal)
    }

    /// The share of equal pairs that two raters would have by chance who say each level as often as
    /// these do (p_e).
    pub fn chance(&self) -> Option<f64> {
        self.expected(|a, b| if a == b { 1.0 } else { 0.0 })
    }

    /// The share of the level that the first rater says most often: a rater who always says that one
    /// agrees with him as often.
    pub fn base_rate(&self) -> Option<f64> {
        self.share(self.rows().into_iter().max()?)
    }

    /// Cohen's kappa, (p_o - p_e) / (1 - p_e): 1 for full agreement, 0 for that of chance. `None` without
    /// pairs, or if both say one and the same level only, where it is not defined.
    pub fn kappa(&self) -> Option<f64> {
        let (observed, chance) = (self.agreement()?, self.chance()?);
        (chance < 1.0).then(|| (observed - chance) / (1.0 - chance))
    }

    /// Kappa with the weights (i - j)² / 16 for disagreement: a miss by one level is a sixteenth of one by
    /// four. `None` where kappa has none.
    pub fn weighted_kappa(&self) -> Option<f64> {
        let weight = |a: usize, b: usize| (a as f64 - b as f64).powi(2) / 16.0;
        let count = f64::from(self.count());
        let cells = (0..LEVELS).flat_map(|a| (0..LEVELS).map(move |b| (a, b)));
        let observed: f64 = cells
            .map(|(a, b)| weight(a, b) * f64::from(self.0[a][b]))
            .sum();
        let expected = self.expected(weight)?;
        (expected > 0.0).then(|| 1.0 - observed / count / expected)
    }

    /// The mean of a weight over pairs drawn by chance.
    fn expected(&self, weight: impl Fn(usize, usize) -> f64) -> Option<f64> {
        let count = f64::from(self.count());
        if count == 0.0 {
            return None;
        }
        let (rows, columns) = (self.rows(), self.columns());
        let cells = (0..LEVELS).flat_map(|a| (0..LEVELS).map(move |b| (a, b)));
        let sum: f64 = cells
            .map(|(a, b)| weight(a, b) * f64::from(rows[a]) * f64::from(columns[b]))
            .sum();
        Some(sum / (count * count))
    }

    fn rows(&self) -> [u32; LEVELS] {
        self.0.map(|row| row.iter().sum())
    }

    fn columns(&self) -> [u32; LEVELS] {
        std::array::from_fn(|column| self.0.iter().map(|row| row[column]).sum())
    }

    fn share(&self, of: u32) -> Option<f64> {
        let count = self.count();
        (count > 0).then(|| f64::from(of) / f64::from(count))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn near(value: Option<f64>, expected: f64) {
        assert!(
            (value.expect("a value") - expected).abs() < 1e-12,
            "{value:?} is not {expected}"
        );
    }

    fn two_by_two(yes_yes: u32, yes_no: u32, no_yes: u32, no_no: u32) -> Confusion {
        let mut confusion = Confusion::default();
        confusion.0[4][4] = yes_yes;
        confusion.0[4][0] = yes_no;
        confusion.0[0][4] = no_yes;
        confusion.0[0][0] = no_no;
        confusion
    }

    #[test]
    fn kappa_is_the_one_computed_by_hand() {
        // 50 proposals: p_o = 35/50, p_e = 0.5 × 0.6 + 0.5 × 0.4 = 0.5, so (0.7 - 0.5) / 0.5.
        let proposals = two_by_two(20, 5, 10, 15);
        near(proposals.agreement(), 0.7);
        near(proposals.chance(), 0.5);
        near(proposals.kappa(), 0.4);
        // With two levels only, the weights change nothing.
        near(proposals.weighted_kappa(), 0.4);
    }

    #[test]
    fn a_skewed_base_rate_makes_high_agreement_worth_little() {
        // 95 of 100 are good, and a judge that always says so agrees on 95.
        let always = two_by_two(95, 0, 5, 0);
        near(always.agreement(), 0.95);
        near(always.base_rate(), 0.95);
        near(always.kappa(), 0.0);
        // p_e = 0.95 × 0.94 + 0.05 × 0.06 = 0.896; p_o = 0.91.
        near(
            two_by_two(90, 5, 4, 1).kappa(),
            (0.91 - 0.896) / (1.0 - 0.896),
        );
    }

    #[test]
    fn a_miss_by_one_level_weighs_less() {
        // Rows 0, 2, 4; all off by two: observed 2 × 4/16 / 3 … by hand: pairs (0,2), (2,2), (4,2).
        let pairs = Confusion::of([(0, 2), (2, 2), (4, 2)]);
        near(pairs.agreement(), 1.0 / 3.0);
        near(pairs.weighted_kappa(), 0.0);
        // (0,1), (1,1), (3,3), (4,4): observed 1/16/4 = 0.015625; expected: rows 0, 1, 3, 4, columns
        // 1, 1, 3, 4: squares sum to (1+1+9+16) + (0+0+4+9) + (4+4+0+1) + (9+9+1+0) = 68; / 16 / 16.
        let close = Confusion::of([(0, 1), (1, 1), (3, 3), (4, 4)]);
        near(close.weighted_kappa(), 1.0 - 0.015625 / (68.0 / 256.0));
    }

    #[test]
    fn where_kappa_is_not_defined_there_is_none() {
        let same = Confusion::of([(3, 3), (3, 3)]);
        assert_eq!((same.kappa(), same.weighted_kappa()), (None, None));
        assert_eq!(same.agreement(), Some(1.0));
        let none = Confusion::of([(9, 0)]);
        assert_eq!(
            (
                none.count(),
                none.agreement(),
                none.kappa(),
                none.base_rate()
            ),
            (0, None, None, None)
        );
    }

    proptest! {
        #[test]
        fn kappa_is_never_above_one_and_knows_no_first_rater(pairs in prop::collection::vec((0_u8..5, 0_u8..5), 1..60)) {
            let confusion = Confusion::of(pairs.iter().copied());
            let turned = Confusion::of(pairs.iter().map(|(a, b)| (*b, *a)));
            for (value, other) in [
                (confusion.kappa(), turned.kappa()),
                (confusion.weighted_kappa(), turned.weighted_kappa()),
            ] {
                prop_assert_eq!(value.is_some(), other.is_some());
                if let (Some(value), Some(other)) = (value, other) {
                    prop_assert!(value.is_finite() && value <= 1.0 + 1e-12);
                    prop_assert!((value - other).abs() < 1e-9);
                }
            }
            let equal = Confusion::of(pairs.iter().map(|(a, _)| (*a, *a)));
            prop_assert!(equal.kappa().is_none_or(|kappa| (kappa - 1.0).abs() < 1e-12));
            prop_assert!(equal.weighted_kappa().is_none_or(|kappa| (kappa - 1.0).abs() < 1e-12));
        }
    }
}
