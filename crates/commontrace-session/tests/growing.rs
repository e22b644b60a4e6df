//! Recordings that are read again and again while they grow, as by whoever follows an agent.

mod common;

use std::collections::BTreeSet;

use common::{Read, read};

#[test]
fn a_recording_that_is_read_at_every_line_gives_the_events_of_the_whole() {
    for file in [
        "claude_code/session.jsonl",
        "codex/rollout.jsonl",
        "codex/bare.jsonl",
    ] {
        let whole = std::fs::read(common::fixture(file)).expect("a fixture");
        let name = file.rsplit('/').next().expect("a name");
        let mut grown = common::Growing::default();
        let ends = (1..=whole.len()).filter(|end| whole[end - 1] == b'\n');
        for end in ends.chain([whole.len()]) {
            grown.read(name, &whole[..end]);
        }
        assert_eq!(events(&grown.finish()), events(&read(file)), "{file}");
    }
}

/// What happened, without its place in the records and in the order of ids.
fn events(read: &Read) -> BTreeSet<String> {
    let event = |(_, event): &(_, commontrace_session::Event)| {
        let mut event = event.clone();
        event.raw = None;
        serde_json::to_string(&event).expect("JSON")
    };
    read.events.iter().map(event).collect()
}
