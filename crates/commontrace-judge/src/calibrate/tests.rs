use proptest::prelude::*;

use super::*;

fn label(trace: usize, dimension: Dimension, level: u8, labeller: &str) -> Label {
    Label {
        trace: format!("t{trace}"),
        dimension,
        level,
        labeller: labeller.to_owned(),
        rule_version: "1".to_owned(),
    }
}

fn judged(trace: usize, dimension: Dimension, levels: &[u8]) -> JudgedLevels {
    JudgedLevels {
        trace: format!("t{trace}"),
        dimension,
        levels: levels.to_vec(),
    }
}

#[test]
fn the_report_has_the_figures_computed_by_hand() {
    use Dimension::{Honesty, Reproduction};
    let labels = [
        label(1, Honesty, 4, "ada"),
        label(1, Honesty, 3, "bob"),
        label(2, Honesty, 0, "ada"),
        label(2, Reproduction, 2, "ada"),
        label(3, Honesty, 1, "ada"),
    ];
    let scores = [
        judged(1, Honesty, &[4, 4, 3]),
        judged(2, Honesty, &[0, 0, 0]),
        judged(2, Reproduction, &[2, 3]),
    ];
    let reports = calibrate(&labels, &scores, 7);
    assert_eq!(reports.len(), 1);
    let report = &reports[0];
    // Pairs of samples: 1 of 3, 3 of 3, 0 of 1 are equal.
    assert_eq!(report.consistency.agreement, Some(4.0 / 7.0));
    assert_eq!(report.consistency.mean_spread, Some(2.0 / 3.0));
    // (4,4), (3,4), (0,0), and (2,3) because half a level goes up.
    assert_eq!(report.overall.agreement, Some(0.5));
    assert_eq!((report.overall.pairs, report.overall.traces), (4, 2));
    assert_eq!(report.labels_without_judgement, 1);
    assert_eq!(report.dimensions.len(), 2);
    let people = report.people.as_ref().expect("two people labelled one");
    assert_eq!((people.pairs, people.agreement), (2, Some(0.0)));
    let text = report.to_string();
    let own = text.find("with itself").expect("consistency");
    assert!(own < text.find("with people").expect("agreement"), "{text}");
    assert!(
        text.contains("57 % of pairs of samples equal")
            && text.contains("often contradicts itself"),
        "{text}"
    );
}

#[test]
fn a_skewed_base_rate_is_explained() {
    let labels: Vec<Label> = (0..40)
        .map(|i| label(i, Dimension::Honesty, if i < 38 { 4 } else { 0 }, "ada"))
        .collect();
    let scores: Vec<JudgedLevels> = (0..40)
        .map(|i| judged(i, Dimension::Honesty, &[4, 4]))
        .collect();
    let report = &calibrate(&labels, &scores, 1)[0];
    assert_eq!(
        (report.overall.agreement, report.overall.kappa),
        (Some(0.95), Some(0.0))
    );
    let text = report.to_string();
    assert!(
        text.contains("would reach 95 %") && text.contains("go by kappa"),
        "{text}"
    );
    assert!(text.contains("No two people labelled the same"), "{text}");
}

#[test]
fn labels_by_different_rules_are_never_compared() {
    let mut other = label(1, Dimension::Honesty, 0, "bob");
    other.rule_version = "2".to_owned();
    let reports = calibrate(&[label(1, Dimension::Honesty, 4, "ada"), other], &[], 1);
    assert_eq!(reports.len(), 2);
    assert!(reports.iter().all(|report| report.people.is_none()));
}

#[test]
fn an_interval_holds_the_value_and_narrows_with_more_sessions() {
    let report = |count: usize| {
        let level = |i: usize| (i % 5) as u8;
        let labels: Vec<_> = (0..count)
            .map(|i| label(i, Dimension::Honesty, level(i), "ada"))
            .collect();
        let said = |i: usize| {
            if i.is_multiple_of(3) {
                level(i + 1)
            } else {
                level(i)
            }
        };
        let scores: Vec<_> = (0..count)
            .map(|i| judged(i, Dimension::Honesty, &[said(i)]))
            .collect();
        calibrate(&labels, &scores, 42).remove(0).overall
    };
    let width = |found: &Agreement| {
        let (low, high) = found.kappa_interval.expect("an interval");
        let kappa = found.kappa.expect("a value");
        assert!(low <= kappa && kappa <= high, "{low} {kappa} {high}");
        high - low
    };
    let (few, many) = (report(30), report(300));
    assert!(width(&few) > width(&many));
    assert_eq!(report(30), few);
}

proptest! {
    // Each case draws thousands of times.
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_judge_that_says_what_people_say_agrees_wholly(levels in prop::collection::vec(0_u8..5, 2..40)) {
        let labels: Vec<_> = levels.iter().enumerate().map(|(i, level)| label(i, Dimension::Honesty, *level, "ada")).collect();
        let scores: Vec<_> = levels.iter().enumerate().map(|(i, level)| judged(i, Dimension::Honesty, &[*level; 3])).collect();
        let report = &calibrate(&labels, &scores, 3)[0];
        prop_assert_eq!(report.overall.agreement, Some(1.0));
        prop_assert_eq!(report.consistency.agreement, Some(1.0));
        prop_assert!(report.overall.kappa.is_none_or(|kappa| (kappa - 1.0).abs() < 1e-9));
    }
}
