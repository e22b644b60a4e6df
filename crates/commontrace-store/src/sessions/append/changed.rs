//! Events that came again under their ids with other content, which would otherwise be lost unnoticed.

use std::collections::{HashMap, HashSet};

use commontrace_core::SessionKey;
use serde_json::Value;
use sqlx::QueryBuilder;

use super::{NewEvent, ROWS};
use crate::Result;
use crate::tx::{Tx, on_tx};

/// Ids that a warning names.
const NAMED: usize = 5;
/// The longest part of an id that it shows, in characters.
const SHOWN: usize = 80;

/// The ids of those among `known`, which the session has, that say something else than what is stored.
pub(super) async fn of(
    tx: &mut Tx<'_>,
    session: SessionKey,
    known: &[&NewEvent],
) -> Result<Vec<String>> {
    let mut changed = Vec::new();
    let mut named = HashSet::new();
    for some in known.chunks(ROWS) {
        let stored: Vec<(String, String, Option<String>)> = on_tx!(tx, |db| {
            let mut query = QueryBuilder::new(
                "SELECT event_id, event, large FROM session_events WHERE session_key = ",
            );
            query.push_bind(session).push(" AND event_id IN (");
            let mut ids = query.separated(", ");
            for event in some {
                ids.push_bind(event.id.as_str());
            }
            query.push(")");
            query.build_query_as().persistent(false).fetch_all(db).await
        })?;
        let stored: HashMap<_, _> = stored
            .into_iter()
            .map(|(id, event, large)| (id, (event, large)))
            .collect();
        for event in some {
            let same = stored.get(&event.id).is_none_or(|(kept, large)| {
                *large == event.large && says_the_same(kept, &event.event)
            });
            if !same && named.insert(&event.id) {
                changed.push(event.id.clone());
            }
        }
    }
    Ok(changed)
}

/// Whether two events as JSON differ in nothing but the records that they were made of, which lie in another
/// request or file.
fn says_the_same(kept: &str, new: &str) -> bool {
    let content = |event: &str| {
        let mut value: Value = serde_json::from_str(event).ok()?;
        value.as_object_mut()?.remove("raw");
        Some(value)
    };
    kept == new || content(kept) == content(new)
}

/// What to tell whoever sent such events, if there are any.
pub fn warning(changed: &[String]) -> Option<String> {
    let named: Vec<String> = changed
        .iter()
        .take(NAMED)
        .map(|id| format!("`{}`", id.chars().take(SHOWN).collect::<String>()))
        .collect();
    let more = changed.len() - named.len();
    let what = match (named.as_slice(), more) {
        ([], _) => return None,
        ([one], 0) => format!("event {one} was"),
        (_, 0) => format!("events {} were", named.join(", ")),
        (_, _) => format!("events {} and {more} more were", named.join(", ")),
    };
    Some(format!(
        "{what} here already with other content, which stays; what is new needs an id of its own"
    ))
}
