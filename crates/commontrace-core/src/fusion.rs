//! placeholder: owned by the ranking work
