//! Sessions on their way into the store and out of it.

pub mod distil;
pub mod evidence;
pub mod examine;
pub mod examiner;
pub mod exported;
pub mod import;
pub mod intake;
pub mod present;
pub mod read;
pub mod request;

pub use read::EventReader;
