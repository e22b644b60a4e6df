//! What handlers take from a request. A handler's signature says who may call it and what it reads.
//!
//! Extractors run in the order of the arguments: put the caller before `Path`, `Query` and `Json`,
//! so that a stranger is refused before anything of the request is parsed.

mod caller;
mod client;
pub(crate) mod describe;
mod headers;
mod json;
mod path;
mod query;

pub use caller::{
    Anyone, Caller, Contributor, Keyed, ModeratorReader, ModeratorWriter, Reader, Recorder,
    Reporter, Voter, Writer,
};
pub(crate) use caller::{is_forwarded, is_this_machine};
pub use client::{Client, Registrant};
pub(crate) use headers::sent_key;
pub use headers::{IdempotencyKey, RawKey};
pub(crate) use json::read as receive_body;
pub use json::{Json, JsonText, OptionalJsonText};
pub use path::Path;
pub use query::Query;
