//! Looks for everything that was acknowledged, through the API.
//!
//! Every trace in question is read: it must be there with its title, and count at least the
//! acknowledged votes and at most those that were tried. Every amendment must be listed, an
//! accepted one as accepted. For what was written to in the last round, each acknowledged vote is
//! also cast again, which must be refused as a repetition.

use std::cell::RefCell;

use anyhow::Result;
use futures_util::future::try_join_all;

use super::ledger::{Kind, Ledger, Losses, Written};
use super::writer::Writer;
use crate::api::Trace;

/// What to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What was written to in the last round.
    LastRound,
    /// Everything of every round.
    Everything,
}

/// Returns what is missing. Works on all writers' connections at once.
pub async fn verify(ledger: &Ledger, scope: Scope, writers: &mut [Writer]) -> Result<Losses> {
    let losses = RefCell::new(Losses::default());
    accounts(writers, &losses).await?;
    let round = ledger.round();
    let in_scope = |written: &&Written| scope == Scope::Everything || written.round == round;
    let rest = RefCell::new(ledger.traces.iter().filter(in_scope));
    try_join_all(writers.iter_mut().map(async |writer| {
        loop {
            // Not borrowed while another writer takes its turn.
            let Some(written) = rest.borrow_mut().next() else {
                break;
            };
            trace(writer, written, &losses).await?;
            amendments(writer, written, &losses).await?;
        }
        anyhow::Ok(())
    }))
    .await?;
    try_join_all(writers.iter_mut().map(async |writer| {
        let number = writer.number;
        let voted =
            |written: &&Written| written.round == round && written.votes.contains_key(&number);
        for written in ledger.traces.iter().filter(voted) {
            vote(writer, written, &losses).await?;
        }
        anyhow::Ok(())
    }))
    .await?;
    Ok(losses.into_inner())
}

async fn accounts(writers: &mut [Writer], losses: &RefCell<Losses>) -> Result<()> {
    for writer in writers {
        let answer = writer.client.get("/api/v1/keys/verify").await?;
        if answer.status != 200 {
            let what = format!("the account of writer {} is gone", writer.number);
            losses.borrow_mut().note(Kind::Account, what);
        }
    }
    Ok(())
}

async fn trace(writer: &mut Writer, written: &Written, losses: &RefCell<Losses>) -> Result<()> {
    let (id, lose) = (&written.id, |kind, what| {
        losses.borrow_mut().note(kind, what);
    });
    let answer = writer.client.trace(id).await?;
    if answer.status == 404 {
        lose(Kind::Trace, format!("trace {id} is gone"));
        return Ok(());
    }
    let found: Trace = answer.json(200)?;
    if found.title != written.title {
        lose(Kind::Trace, format!("trace {id} has another title"));
    }
    let ups = written.votes.values().filter(|&&up| up).count();
    let downs = written.votes.len() - ups;
    let counted = found.up_votes + found.down_votes;
    if found.up_votes < ups || found.down_votes < downs || counted > written.tried.len() {
        lose(
            Kind::Vote,
            format!(
                "trace {id} counts {} up and {} down, acknowledged were {ups} and {downs} of {}",
                found.up_votes,
                found.down_votes,
                written.tried.len()
            ),
        );
    }
    Ok(())
}

async fn amendments(
    writer: &mut Writer,
    written: &Written,
    losses: &RefCell<Losses>,
) -> Result<()> {
    if written.amendments.is_empty() {
        return Ok(());
    }
    let listed = writer.client.amendments(&written.id).await?;
    for (id, &accepted) in &written.amendments {
        match listed.iter().find(|amendment| amendment.id == *id) {
            None => {
                losses
                    .borrow_mut()
                    .note(Kind::Amendment, format!("amendment {id} is gone"));
            }
            Some(found) if accepted && found.status != "accepted" => {
                let what = format!("amendment {id} was accepted and is {}", found.status);
                losses.borrow_mut().note(Kind::Acceptance, what);
            }
            Some(_) => {}
        }
    }
    Ok(())
}

async fn vote(writer: &mut Writer, written: &Written, losses: &RefCell<Losses>) -> Result<()> {
    let answer = writer.client.vote(&written.id, true).await?;
    if answer.status != 409 {
        let what = format!(
            "the vote of writer {} on trace {} could be cast again",
            writer.number, written.id
        );
        losses.borrow_mut().note(Kind::Vote, what);
    }
    Ok(())
}
