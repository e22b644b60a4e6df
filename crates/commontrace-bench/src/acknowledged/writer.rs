//! A client that writes whatever happens to its server: mostly traces, and votes, amendments and
//! acceptances on what others wrote. Now and then it reads and searches.

use std::cell::RefCell;

use anyhow::{Error, Result};

use super::ledger::Ledger;
use crate::api::{Amendment, Contributed};
use crate::client::{Answer, Client, Target};
use crate::document::NewTrace;
use crate::rng::Rng;
use crate::texts;

/// Who writes, and what they choose by.
#[derive(Debug, clap::Args)]
pub struct Clients {
    /// Clients that write at once
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(2..=100))]
    pub clients: u16,
    /// What texts, choices and moments are made from
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Clients {
    /// Makes their accounts, on these servers in turn.
    pub async fn register(&self, servers: &[&Target]) -> Result<Vec<Writer>> {
        let mut writers = Vec::new();
        for (number, server) in (0..usize::from(self.clients)).zip(servers.iter().cycle()) {
            writers.push(Writer::register(number, self.seed, server).await?);
        }
        Ok(writers)
    }

    /// Returns what the moments of faults are made from.
    pub fn moments(&self) -> Rng {
        Rng::part(self.seed, u64::MAX)
    }
}

/// One account and what it is about to do.
#[derive(Debug)]
pub struct Writer {
    /// Its place among the writers.
    pub number: usize,
    /// Its connection.
    pub client: Client,
    /// Answers that should not have come.
    pub unexpected: Vec<String>,
    /// Contributions that were sent again because it was not known whether they were stored.
    pub repeated: usize,
    /// Whether 503 is an answer to expect at the moment.
    pub bears_unavailable: bool,
    /// How often that was the answer when it was to be expected.
    pub unavailable: usize,
    /// The newest trace of its own.
    newest: Option<String>,
    rng: Rng,
    contributed: usize,
    /// Sent, and not answered when the server was killed.
    unanswered: Option<NewTrace>,
}

impl Writer {
    async fn register(number: usize, seed: u64, target: &Target) -> Result<Self> {
        let mut client = Client::new(target);
        client.register().await?;
        Ok(Self {
            number,
            client,
            unexpected: Vec::new(),
            repeated: 0,
            bears_unavailable: false,
            unavailable: 0,
            newest: None,
            rng: Rng::part(seed, number as u64),
            contributed: 0,
            unanswered: None,
        })
    }

    /// Goes on with the server that was started again.
    pub fn move_to(&mut self, target: &Target) {
        self.client.move_to(target);
    }

    /// Writes until a request gets no answer, and returns why.
    pub async fn write_until_cut_off(&mut self, ledger: &RefCell<Ledger>) -> Error {
        loop {
            if let Err(err) = self.step(ledger).await {
                return err;
            }
        }
    }

    /// Does one thing. Fails if no answer comes.
    pub async fn step(&mut self, ledger: &RefCell<Ledger>) -> Result<()> {
        match self.rng.below(20) {
            0..4 => self.vote(ledger).await,
            4..6 => self.amend(ledger).await,
            6 => self.accept(ledger).await,
            7 => self.read_own().await,
            8 => self.search().await,
            _ => self.contribute(ledger).await,
        }
    }

    /// Reads what it has written last, which must be there wherever it is read from.
    async fn read_own(&mut self) -> Result<()> {
        let Some(id) = self.newest.clone() else {
            return Ok(());
        };
        let answer = self.client.trace(&id).await?;
        self.expected(answer, 200, "reading one's own trace");
        Ok(())
    }

    async fn search(&mut self) -> Result<()> {
        let text = texts::query(&mut self.rng);
        let answer = self.client.search(&text, 10).await?;
        self.expected(answer, 200, "search");
        Ok(())
    }

    async fn contribute(&mut self, ledger: &RefCell<Ledger>) -> Result<()> {
        // A request without an answer, or with 503, is sent again under the same key, as a careful client does:
        // whether the first was stored or not, there is to be one trace.
        let trace = match self.unanswered.take() {
            Some(trace) => {
                self.repeated += 1;
                trace
            }
            None => {
                self.contributed += 1;
                let number = self.number * 1_000_000 + self.contributed;
                texts::trace(&mut self.rng, number)
            }
        };
        let key = format!("crash-{}", self.contributed);
        self.unanswered = Some(trace.clone());
        let answer = self.client.contribute(&trace, &key).await?;
        // Nothing, or not known: either way it is sent again.
        if answer.status != 503 {
            self.unanswered = None;
        }
        if let Some(answer) = self.expected(answer, 202, "contribution") {
            let id = answer.json::<Contributed>(202)?.id;
            self.newest = Some(id.clone());
            ledger.borrow_mut().add(id, trace.title, self.number);
        }
        Ok(())
    }

    async fn vote(&mut self, ledger: &RefCell<Ledger>) -> Result<()> {
        let Some(place) = ledger.borrow().to_vote_on(self.number, &mut self.rng) else {
            return Ok(());
        };
        let id = {
            let mut ledger = ledger.borrow_mut();
            let trace = ledger.touch(place);
            trace.tried.push(self.number);
            trace.id.clone()
        };
        let up = self.rng.below(4) > 0;
        let answer = self.client.vote(&id, up).await?;
        if self.expected(answer, 201, "vote").is_some() {
            ledger
                .borrow_mut()
                .touch(place)
                .votes
                .insert(self.number, up);
        }
        Ok(())
    }

    async fn amend(&mut self, ledger: &RefCell<Ledger>) -> Result<()> {
        let Some(place) = ledger.borrow().to_amend(self.number, &mut self.rng) else {
            return Ok(());
        };
        let id = ledger.borrow().traces[place].id.clone();
        let solution = texts::trace(&mut self.rng, 0).solution_text;
        let answer = self.client.amend(&id, &solution).await?;
        if let Some(answer) = self.expected(answer, 201, "amendment") {
            let amendment: Amendment = answer.json(201)?;
            ledger
                .borrow_mut()
                .touch(place)
                .amendments
                .insert(amendment.id, false);
        }
        Ok(())
    }

    async fn accept(&mut self, ledger: &RefCell<Ledger>) -> Result<()> {
        let Some((place, amendment)) = ledger.borrow().to_accept(self.number, &mut self.rng) else {
            return Ok(());
        };
        let id = {
            let mut ledger = ledger.borrow_mut();
            let trace = ledger.touch(place);
            trace.rewritten = true;
            trace.id.clone()
        };
        let answer = self.client.accept(&id, &amendment).await?;
        // One that was accepted without an answer before a kill is refused the second time.
        let stored = answer.status == 409 || self.expected(answer, 200, "acceptance").is_some();
        if stored {
            ledger
                .borrow_mut()
                .touch(place)
                .amendments
                .insert(amendment, true);
        }
        Ok(())
    }

    fn expected(&mut self, answer: Answer, status: u16, what: &str) -> Option<Answer> {
        if answer.status == status {
            return Some(answer);
        }
        if answer.status == 503 && self.bears_unavailable {
            self.unavailable += 1;
            return None;
        }
        self.unexpected.push(format!(
            "{what} answered {}: {}",
            answer.status,
            answer.detail()
        ));
        None
    }
}
