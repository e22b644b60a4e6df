//! Clients that go on through a fault: they turn to the other node when theirs is gone, and send
//! again what was not acknowledged.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use super::fault::Fault;
use crate::acknowledged::{Ledger, Writer};
use crate::client::Target;

/// How long a client waits before it tries again.
const PAUSE: Duration = Duration::from_millis(20);

/// What the clients of one round know of it.
#[derive(Debug)]
pub struct Round {
    fault: Fault,
    targets: RefCell<Vec<Target>>,
    over: Cell<bool>,
}

/// What clients met in one round.
#[derive(Debug, Default)]
pub struct Met {
    /// Requests that got no answer where none was to be expected.
    pub cut_off: usize,
    /// What should not have happened.
    pub failures: Vec<String>,
}

impl Round {
    /// Begins a round on these nodes.
    pub fn new(fault: Fault, targets: Vec<Target>) -> Self {
        Self {
            fault,
            targets: RefCell::new(targets),
            over: Cell::new(false),
        }
    }

    /// Tells clients where nodes are now.
    pub fn move_to(&self, targets: Vec<Target>) {
        *self.targets.borrow_mut() = targets;
    }

    /// Lets each client stop after what it is doing.
    pub fn end(&self) {
        self.over.set(true);
    }

    /// Writes until the round is over.
    pub async fn write(&self, writer: &mut Writer, ledger: &RefCell<Ledger>) -> Result<Met> {
        let mut met = Met::default();
        writer.bears_unavailable = self.fault.makes_unavailable();
        let mut turn = writer.number;
        writer.move_to(&self.target(turn));
        while !self.over.get() {
            let unavailable = writer.unavailable;
            match writer.step(ledger).await {
                Ok(()) if writer.unavailable > unavailable => sleep(PAUSE).await,
                Ok(()) => {}
                Err(err) => {
                    met.cut_off += 1;
                    if !self.fault.cuts_off() {
                        met.failures.push(format!("{err:#}"));
                    }
                    turn += 1;
                    writer.move_to(&self.target(turn));
                    sleep(PAUSE).await;
                }
            }
        }
        writer.bears_unavailable = false;
        Ok(met)
    }

    fn target(&self, turn: usize) -> Target {
        let targets = self.targets.borrow();
        targets[turn % targets.len()].clone()
    }
}
