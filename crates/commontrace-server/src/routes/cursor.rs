//! Places in lists of what was stored at some moment, as opaque words.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Datelike, Utc};
use uuid::Uuid;

use crate::error::{ApiError, ApiResult};

/// Writes a place behind what was stored at this moment and has this id.
pub fn format(created_at: DateTime<Utc>, id: Uuid) -> String {
    let mut bytes = created_at.timestamp_micros().to_be_bytes().to_vec();
    bytes.extend(id.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a place.
pub fn parse(cursor: &str) -> ApiResult<(DateTime<Utc>, Uuid)> {
    let parse = || {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (micros, id) = bytes.split_first_chunk::<8>()?;
        let created_at = DateTime::from_timestamp_micros(i64::from_be_bytes(*micros))
            .filter(|at| (1..=9999).contains(&at.year()))?;
        Some((created_at, Uuid::from_slice(id).ok()?))
    };
    parse()
        .ok_or_else(|| ApiError::invalid("cursor", "must be the next_cursor of an earlier answer"))
}
