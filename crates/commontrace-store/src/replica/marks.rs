//! How far a replica must be for an account to see what it has written.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use commontrace_core::UserId;

use crate::WalPosition;

/// Accounts remembered by name; beyond them all accounts share one position.
const ACCOUNTS_MAX: usize = 10_000;
/// How long nobody reads from the replica after a write whose position is not known. Longer than a
/// replica in use may lag.
const BLIND_FOR: Duration = Duration::from_secs(60);

/// The positions of recent writes, by account. Forgets what the replica has replayed.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    of: HashMap<UserId, WalPosition>,
    /// What is needed for everybody: the last of those that were too many to remember.
    floor: WalPosition,
    blind_until: Option<Instant>,
}

impl Marks {
    /// Notes that `account` has written up to `position`.
    pub fn note(&mut self, account: UserId, position: WalPosition) {
        if self.of.len() >= ACCOUNTS_MAX && !self.of.contains_key(&account) {
            let last = self.of.drain().map(|(_, position)| position).max();
            self.floor = self.floor.max(last.unwrap_or_default());
        }
        let mark = self.of.entry(account).or_default();
        *mark = position.max(*mark);
    }

    /// Notes that somebody has written up to nobody knows where.
    pub fn note_unknown(&mut self, now: Instant) {
        self.blind_until = Some(now + BLIND_FOR);
    }

    /// Returns the position that a replica must have reached to be read for `account`; none if it
    /// cannot be said.
    pub fn needed(&self, account: UserId, now: Instant) -> Option<WalPosition> {
        if self.blind_until.is_some_and(|until| now < until) {
            return None;
        }
        let own = self.of.get(&account).copied().unwrap_or_default();
        Some(own.max(self.floor))
    }

    /// Forgets what nobody has to wait for any more.
    pub fn reached(&mut self, replayed: WalPosition) {
        self.of.retain(|_, position| *position > replayed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(number: u128) -> UserId {
        UserId(uuid::Uuid::from_u128(number))
    }

    #[test]
    fn an_account_waits_for_its_last_write_and_nobody_elses() {
        let (mut marks, now) = (Marks::default(), Instant::now());
        marks.note(account(1), WalPosition(20));
        marks.note(account(1), WalPosition(10));
        assert_eq!(marks.needed(account(1), now), Some(WalPosition(20)));
        assert_eq!(marks.needed(account(2), now), Some(WalPosition(0)));
        marks.reached(WalPosition(19));
        assert_eq!(marks.needed(account(1), now), Some(WalPosition(20)));
        marks.reached(WalPosition(20));
        assert!(marks.of.is_empty());
    }

    #[test]
    fn too_many_accounts_are_kept_as_one_and_none_is_forgotten() {
        let (mut marks, now) = (Marks::default(), Instant::now());
        let last = 2 * ACCOUNTS_MAX as u64 + 1;
        for number in 1..=last {
            marks.note(account(number.into()), WalPosition(number));
            assert!(marks.of.len() <= ACCOUNTS_MAX);
        }
        for number in [1, ACCOUNTS_MAX as u64, last] {
            let needed = marks.needed(account(number.into()), now);
            assert!(needed >= Some(WalPosition(number)), "{number}: {needed:?}");
        }
    }

    #[test]
    fn after_a_write_of_unknown_position_nobody_reads_from_the_replica_for_a_while() {
        let (mut marks, now) = (Marks::default(), Instant::now());
        marks.note_unknown(now);
        assert_eq!(marks.needed(account(1), now), None);
        assert!(marks.needed(account(1), now + BLIND_FOR).is_some());
    }
}
