//! A hash chain over the events of a session.
//!
//! Link 0 is SHA-256 of [`START`]. Link n is SHA-256 of link n-1 and the canonical JSON of event n. The last
//! link is the head: no event can be changed, left out, put in or moved without changing it.

use commontrace_session::Event;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::canonical::canonical;
use commontrace_core::hex;

/// What the chain begins with; it names the way that it is made.
pub const START: &str = "commontrace-events-1";
/// The most links that a record keeps.
const LINKS: usize = 1_024;
/// How many bytes of a link are kept to tell where a chain breaks; the head is whole.
const LINK_BYTES: usize = 8;

/// Makes a chain, one event after the other, without keeping them.
#[derive(Debug, Clone)]
pub struct Chain {
    link: [u8; 32],
    record: ChainRecord,
}

/// A chain as the verdict carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainRecord {
    /// [`START`].
    pub version: String,
    /// The last link in hexadecimal digits.
    pub head: String,
    /// How many events it is over.
    pub events: u64,
    /// A link is kept after so many events: 1 for up to 1,024 events, and doubled as they become more.
    pub stride: u64,
    /// The first bytes of these links, to tell where a chain breaks.
    pub links: Vec<String>,
}

/// Where the events are not those of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// One of these events, counted from 1, was changed, left out, put in or moved.
    Within(u64, u64),
    /// There are only so many events.
    Short(u64),
    /// The record of the chain contradicts itself.
    Record,
}

impl Default for Chain {
    fn default() -> Self {
        let link: [u8; 32] = Sha256::digest(START.as_bytes()).into();
        let record = ChainRecord {
            version: START.to_owned(),
            head: hex::encode(&link),
            events: 0,
            stride: 1,
            links: Vec::new(),
        };
        Self { link, record }
    }
}

impl Chain {
    /// A chain over these events.
    pub fn over<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut chain = Self::default();
        events.into_iter().for_each(|event| chain.push(event));
        chain
    }

    /// Adds the next event.
    pub fn push(&mut self, event: &Event) {
        self.link = next(&self.link, event);
        let record = &mut self.record;
        record.events += 1;
        if record.events.is_multiple_of(record.stride) {
            record.links.push(hex::encode(&self.link[..LINK_BYTES]));
        }
        if record.links.len() > LINKS {
            record.stride *= 2;
            let mut place = 0_usize;
            record.links.retain(|_| {
                place += 1;
                place.is_multiple_of(2)
            });
        }
    }

    /// The chain so far.
    pub fn record(&self) -> ChainRecord {
        let head = hex::encode(&self.link);
        ChainRecord {
            head,
            ..self.record.clone()
        }
    }
}

impl ChainRecord {
    /// Compares events with the chain, and returns how many there are beyond it.
    pub fn check<E: std::borrow::Borrow<Event>>(
        &self,
        events: impl IntoIterator<Item = E>,
    ) -> Result<u64, Break> {
        let whole = self.stride > 0 && self.links.len() as u64 == self.events / self.stride;
        if !whole || self.version != START {
            return Err(Break::Record);
        }
        let mut link: [u8; 32] = Sha256::digest(START.as_bytes()).into();
        let mut events = events.into_iter();
        let mut links = self.links.iter();
        for count in 1..=self.events {
            let Some(event) = events.next() else {
                return Err(Break::Short(count - 1));
            };
            link = next(&link, event.borrow());
            let kept = count.is_multiple_of(self.stride);
            if kept && links.next() != Some(&hex::encode(&link[..LINK_BYTES])) {
                return Err(Break::Within(count + 1 - self.stride, count));
            }
        }
        if hex::encode(&link) != self.head {
            let last_kept = self.events - self.events % self.stride;
            return Err(Break::Within(
                last_kept.min(self.events.saturating_sub(1)) + 1,
                self.events,
            ));
        }
        Ok(events.count() as u64)
    }
}

fn next(link: &[u8; 32], event: &Event) -> [u8; 32] {
    let value = serde_json::to_value(event)
        .expect("an event is JSON: its names are strings and its numbers finite");
    let mut hasher = Sha256::new();
    hasher.update(link);
    hasher.update(canonical(&value));
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{good, thought};

    fn many(count: usize) -> Vec<Event> {
        let event: Event = {
            let mut value = thought("x");
            value["id"] = serde_json::json!("t");
            serde_json::from_value(value).expect("an event")
        };
        let numbered = (0..count).map(|i| Event {
            id: format!("t{i}"),
            ..event.clone()
        });
        numbered.collect()
    }

    #[test]
    fn a_break_is_named_by_its_event() {
        let events = good();
        let record = Chain::over(&events).record();
        assert_eq!(record.check(&events), Ok(0));
        let mut changed = events.clone();
        changed[4].actor = commontrace_session::Actor::Human;
        assert_eq!(record.check(&changed), Err(Break::Within(5, 5)));
        let mut moved = events.clone();
        moved.swap(2, 3);
        assert_eq!(record.check(&moved), Err(Break::Within(3, 3)));
        assert_eq!(record.check(&events[..7]), Err(Break::Short(7)));
        let mut more = events.clone();
        more.extend(many(2));
        assert_eq!(record.check(&more), Ok(2));
    }

    #[test]
    fn long_sessions_keep_few_links_and_name_a_few_events() {
        let mut events = many(5_000);
        let record = Chain::over(&events).record();
        assert_eq!((record.stride, record.links.len()), (8, 625));
        assert_eq!(record.check(&events), Ok(0));
        events[4_000].redacted = true;
        assert_eq!(record.check(&events), Err(Break::Within(4_001, 4_008)));
    }

    #[test]
    fn an_empty_session_has_a_chain_and_a_contradicting_record_is_none() {
        let record = Chain::default().record();
        assert_eq!(record.check(&[] as &[Event]), Ok(0));
        let head = "00".repeat(32);
        assert_eq!(
            ChainRecord {
                head,
                ..record.clone()
            }
            .check(&[] as &[Event]),
            Err(Break::Within(1, 0))
        );
        for stride in [0, 7] {
            let wrong = ChainRecord {
                stride,
                events: 7,
                ..record.clone()
            };
            assert_eq!(wrong.check(good()), Err(Break::Record));
        }
    }
}
