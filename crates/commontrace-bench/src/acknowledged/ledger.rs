//! What the server has acknowledged, and what of it was found missing.

use std::collections::BTreeMap;

use crate::rng::Rng;

/// What can be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An account and its key.
    Account,
    /// A trace.
    Trace,
    /// A vote.
    Vote,
    /// A proposed amendment.
    Amendment,
    /// An accepted amendment.
    Acceptance,
}

/// All kinds, in the order to report them.
pub const KINDS: [Kind; 5] = [
    Kind::Account,
    Kind::Trace,
    Kind::Vote,
    Kind::Amendment,
    Kind::Acceptance,
];

impl Kind {
    /// Returns the plural.
    pub fn name(self) -> &'static str {
        match self {
            Self::Account => "accounts",
            Self::Trace => "traces",
            Self::Vote => "votes",
            Self::Amendment => "amendments",
            Self::Acceptance => "acceptances",
        }
    }
}

/// An acknowledged trace and what was done to it.
#[derive(Debug, Clone)]
pub struct Written {
    /// Its id.
    pub id: String,
    /// Its title, which is unique.
    pub title: String,
    /// The number of the writer who contributed it.
    pub owner: usize,
    /// Writers whose vote was acknowledged, and whether it was up.
    pub votes: BTreeMap<usize, bool>,
    /// Writers who tried to vote, acknowledged or not.
    pub tried: Vec<usize>,
    /// Acknowledged amendments, and whether their acceptance was acknowledged.
    pub amendments: BTreeMap<String, bool>,
    /// Whether an amendment was or is being accepted, which ends what votes on it count for. So a
    /// trace has either votes or acceptances here, and both can be checked to the last one.
    pub rewritten: bool,
    /// The round it was last written to.
    pub round: usize,
}

/// All acknowledged traces, shared by the writers.
#[derive(Debug, Default)]
pub struct Ledger {
    /// In the order of their acknowledgements.
    pub traces: Vec<Written>,
    round: usize,
    accounts: usize,
}

impl Ledger {
    /// Creates the ledger of this many accounts.
    pub fn new(accounts: usize) -> Self {
        Self {
            accounts,
            ..Self::default()
        }
    }

    /// Notes that what comes belongs to the next round.
    pub fn begin_round(&mut self) {
        self.round += 1;
    }

    /// Returns the current round.
    pub fn round(&self) -> usize {
        self.round
    }

    /// Notes an acknowledged trace.
    pub fn add(&mut self, id: String, title: String, owner: usize) {
        self.traces.push(Written {
            id,
            title,
            owner,
            votes: BTreeMap::new(),
            tried: Vec::new(),
            amendments: BTreeMap::new(),
            rewritten: false,
            round: self.round,
        });
    }

    /// Returns the place of a random trace that `writer` may vote on and has not tried to.
    pub fn to_vote_on(&self, writer: usize, rng: &mut Rng) -> Option<usize> {
        self.random(rng, |trace| {
            trace.owner != writer && !trace.rewritten && !trace.tried.contains(&writer)
        })
    }

    /// Returns the place of a random trace of somebody else's.
    pub fn to_amend(&self, writer: usize, rng: &mut Rng) -> Option<usize> {
        self.random(rng, |trace| trace.owner != writer)
    }

    /// Returns the place of a random trace of `writer`'s own with an amendment to accept, and that.
    pub fn to_accept(&self, writer: usize, rng: &mut Rng) -> Option<(usize, String)> {
        let open = |trace: &Written| {
            trace
                .amendments
                .iter()
                .find(|(_, accepted)| !**accepted)
                .map(|(id, _)| id.clone())
        };
        let place = self.random(rng, |trace| {
            trace.owner == writer && trace.tried.is_empty() && open(trace).is_some()
        })?;
        Some((place, open(&self.traces[place])?))
    }

    /// Notes that something about the trace at `place` was acknowledged in this round.
    pub fn touch(&mut self, place: usize) -> &mut Written {
        let round = self.round;
        let trace = &mut self.traces[place];
        trace.round = round;
        trace
    }

    /// Tries some traces at random, so that choosing stays fast with many.
    fn random(&self, rng: &mut Rng, suits: impl Fn(&Written) -> bool) -> Option<usize> {
        if self.traces.is_empty() {
            return None;
        }
        let mut places = (0..50).map(|_| rng.below(self.traces.len()));
        places.find(|&place| suits(&self.traces[place]))
    }

    /// Returns how many of this kind were acknowledged.
    pub fn count(&self, kind: Kind) -> usize {
        let traces = self.traces.iter();
        match kind {
            Kind::Account => self.accounts,
            Kind::Trace => self.traces.len(),
            Kind::Vote => traces.map(|trace| trace.votes.len()).sum(),
            Kind::Amendment => traces.map(|trace| trace.amendments.len()).sum(),
            Kind::Acceptance => traces
                .flat_map(|trace| trace.amendments.values())
                .filter(|accepted| **accepted)
                .count(),
        }
    }

    /// Says how much was acknowledged so far.
    pub fn summary(&self) -> String {
        let counts = KINDS[1..]
            .iter()
            .map(|&kind| format!("{} {}", self.count(kind), kind.name()));
        counts.collect::<Vec<_>>().join(", ")
    }
}

/// What was acknowledged and is not there.
#[derive(Debug, Default)]
pub struct Losses(Vec<(Kind, String)>);

impl Losses {
    /// Notes one.
    pub fn note(&mut self, kind: Kind, what: String) {
        self.0.push((kind, what));
    }

    /// Takes over those of one round, each once.
    pub fn add(&mut self, other: Self) {
        for loss in other.0 {
            if !self.0.contains(&loss) {
                self.0.push(loss);
            }
        }
    }

    /// Returns how many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Returns how many of this kind there are.
    pub fn of(&self, kind: Kind) -> usize {
        self.0.iter().filter(|(lost, _)| *lost == kind).count()
    }

    /// Returns the first few as sentences.
    pub fn examples(&self) -> impl Iterator<Item = &str> {
        self.0.iter().take(20).map(|(_, what)| what.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.begin_round();
        ledger.add("a".into(), "trace a".into(), 0);
        ledger.add("b".into(), "trace b".into(), 1);
        ledger
    }

    #[test]
    fn nobody_votes_on_their_own_or_twice() {
        let mut ledger = ledger();
        let mut rng = Rng::part(1, 0);
        let place = ledger.to_vote_on(0, &mut rng);
        assert_eq!(place, Some(1));
        ledger.touch(1).tried.push(0);
        assert_eq!(ledger.to_vote_on(0, &mut rng), None);
        assert_eq!(Ledger::default().to_amend(0, &mut rng), None);
    }

    #[test]
    fn only_open_amendments_to_ones_own_are_accepted_and_all_is_counted() {
        let mut ledger = ledger();
        let mut rng = Rng::part(1, 0);
        ledger.touch(1).amendments.insert("m".into(), false);
        assert_eq!(ledger.to_accept(0, &mut rng), None);
        assert_eq!(ledger.to_accept(1, &mut rng), Some((1, "m".into())));
        ledger.touch(1).amendments.insert("m".into(), true);
        ledger.touch(1).votes.insert(0, true);
        assert_eq!(ledger.to_accept(1, &mut rng), None);
        assert_eq!(
            ledger.summary(),
            "2 traces, 1 votes, 1 amendments, 1 acceptances"
        );
    }

    #[test]
    fn a_loss_that_is_seen_in_every_round_counts_once() {
        let mut losses = Losses::default();
        for _ in 0..2 {
            let mut seen = Losses::default();
            seen.note(Kind::Vote, "vote x".into());
            losses.add(seen);
        }
        assert_eq!(
            (
                losses.count(),
                losses.of(Kind::Vote),
                losses.of(Kind::Trace)
            ),
            (1, 1, 0)
        );
    }
}
