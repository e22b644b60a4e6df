//! Keeps the outputs of runs with the session whose tests they are of, redacted.

use async_trait::async_trait;
use commontrace_core::SessionKey;
use commontrace_core::hex;
use commontrace_session::stored::{Blobs, Hash};
use commontrace_store::Store;
use commontrace_verify::logs::{KeptLog, Logs};

use crate::clock::Clock;
use crate::error::chain;
use crate::sessions::intake::new_blobs;

/// The blobs of a session.
#[derive(Debug)]
pub struct SessionLogs<'s> {
    /// Where they are.
    pub store: &'s Store,
    /// The session.
    pub session: SessionKey,
    /// The time.
    pub clock: &'s Clock,
}

#[async_trait]
impl Logs for SessionLogs<'_> {
    async fn keep(&self, output: Vec<u8>) -> Option<KeptLog> {
        let packed = tokio::task::spawn_blocking(move || {
            let text = String::from_utf8_lossy(&output);
            let mut blobs = Blobs::default();
            let hash = blobs.add(commontrace_redact::redact(&text).text.as_bytes());
            (hex::encode(&hash), new_blobs(blobs).pop())
        });
        let (sha256, blob) = packed.await.ok()?;
        let blob = blob?;
        let bytes = blob.size as u64;
        let now = self.clock.now();
        match self.store.keep_blob(self.session, blob, now).await {
            Ok(true) => Some(KeptLog { sha256, bytes }),
            Ok(false) => None,
            Err(err) => {
                // The verdict does not depend on it.
                tracing::warn!(error = %chain(&err), "the output of a run is not kept: {err}");
                None
            }
        }
    }

    async fn has(&self, kept: &KeptLog) -> bool {
        let Some(hash) = hex::decode(&kept.sha256) else {
            return false;
        };
        let hash: Hash = hash;
        let shared = self.store.share_blob(self.session, hash.to_vec()).await;
        shared.unwrap_or(false)
    }
}
