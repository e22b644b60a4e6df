//! Whether the server is ready for requests, and whether it was told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

/// The state of the running server, shared by its parts; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    ready: Arc<AtomicBool>,
    draining: Arc<AtomicBool>,
    stop: CancellationToken,
    hurry: CancellationToken,
}

impl Lifecycle {
    /// Declares that the start is done and requests can be answered.
    pub fn mark_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Returns whether the server is ready: started, and not yet told to stop.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire) && !self.is_leaving()
    }

    /// Returns whether the server will stop soon or was told to stop.
    pub fn is_leaving(&self) -> bool {
        self.draining.load(Ordering::Acquire) || self.is_stopping()
    }

    /// Declares that the server will stop soon: it is not ready any more and works on, so that
    /// whoever distributes requests goes elsewhere in time.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Tells all parts of the server to finish what they began and stop.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Returns whether the server was told to stop.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Tells the server to stop without finishing anything.
    pub fn hurry(&self) {
        self.stop.cancel();
        self.hurry.cancel();
    }

    /// Waits until the server is told to stop without finishing anything.
    pub async fn hurried(&self) {
        self.hurry.cancelled().await;
    }

    /// Waits until the server is told to stop.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_ends_with_the_order_to_stop() {
        let lifecycle = Lifecycle::default();
        assert!(!lifecycle.is_ready());
        lifecycle.mark_ready();
        assert!(lifecycle.is_ready());
        lifecycle.clone().stop();
        assert!(!lifecycle.is_ready());
    }

    #[test]
    fn a_draining_server_is_not_ready_and_not_told_to_stop() {
        let lifecycle = Lifecycle::default();
        lifecycle.mark_ready();
        lifecycle.drain();
        assert!(!lifecycle.is_ready() && !lifecycle.is_stopping());
    }
}
