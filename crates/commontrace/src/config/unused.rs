//! Variables in the environment that look like settings but are none.

use super::file;
use super::nearest::nearest;
use super::sections;
use super::source::Environment;

/// Names that older deployments set and that mean nothing any more. One ending in `_` stands for
/// all that begin so.
const RETIRED: &[&str] = &[
    "CONSOLIDATION_INTERVAL_HOURS",
    "CONSOLIDATION_STALE_AGE_DAYS",
    "RETRIEVAL_SOMATIC_",
    "SAVINGS_PRICE_PER_MTOK",
    "TEMPORAL_DECAY_",
];

const PREFIX: &str = "COMMONTRACE_";

/// Writes one notice for all retired names that are set, and one for each probable misspelling.
pub(crate) fn notices(env: &Environment) -> Vec<String> {
    let retired = |name: &&str| {
        RETIRED.iter().any(|old| {
            if old.ends_with('_') {
                name.starts_with(old)
            } else {
                name == old
            }
        })
    };
    let ignored: Vec<&str> = env.keys().map(String::as_str).filter(retired).collect();
    let mut notices = Vec::new();
    if !ignored.is_empty() {
        notices.push(format!(
            "these variables have no effect any more and can be removed: {}",
            ignored.join(", ")
        ));
    }
    let known: Vec<&str> = sections::all()
        .map(|setting| setting.env)
        .chain([file::PATH])
        .collect();
    for name in env
        .keys()
        .filter(|name| name.starts_with(PREFIX) && !known.contains(&name.as_str()))
    {
        let bare = |name: &'static str| name.strip_prefix(PREFIX).unwrap_or(name);
        let meant = nearest(&name[PREFIX.len()..], known.iter().copied().map(bare));
        if let Some(meant) = known.iter().find(|known| Some(bare(known)) == meant) {
            notices.push(format!(
                "the variable {name} is no setting and has no effect; {meant} is one"
            ));
        }
    }
    notices
}
