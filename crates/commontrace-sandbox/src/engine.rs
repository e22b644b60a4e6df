//! Runs a command in a container of an engine.

use crate::Error;
use crate::outcome::{Backend, Outcome};
use crate::run::Job;

pub(crate) async fn run(_job: &Job<'_>, backend: Backend, _image: &str) -> Result<Outcome, Error> {
    Err(Error::Unavailable {
        reason: format!("{backend} is not supported yet"),
        hint: "use the embedded backend".into(),
    })
}
