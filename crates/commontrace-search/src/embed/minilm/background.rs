//! The thread that encodes batches at low priority, one slice of a batch at a time.

use std::io;
use std::sync::{Arc, mpsc};

use tokio::sync::oneshot;

use super::Core;
use super::encoder::Scratch;
use crate::embed::EmbedError;

/// Tokens encoded together. Enough to use the processor well, and few enough that a slice takes
/// about a tenth of a second and its buffers a few megabytes.
const SLICE_TOKENS: usize = 384;

type Vectors = Vec<Result<Vec<f32>, EmbedError>>;

/// A handle on the thread, which ends when the handle is dropped and its queue is empty.
#[derive(Debug)]
pub struct Background {
    batches: mpsc::Sender<Batch>,
}

struct Batch {
    texts: Vec<String>,
    reply: oneshot::Sender<Vectors>,
}

impl Background {
    /// Starts the thread.
    pub fn start(core: Arc<Core>) -> io::Result<Self> {
        let (batches, queue) = mpsc::channel::<Batch>();
        std::thread::Builder::new()
            .name("embed-batches".to_owned())
            .spawn(move || {
                lower_priority();
                let mut scratch = Scratch::default();
                for batch in queue {
                    batch.encode(&core, &mut scratch);
                }
            })?;
        Ok(Self { batches })
    }

    /// Encodes texts and returns their vectors in order.
    pub async fn embed(&self, texts: Vec<String>) -> Vectors {
        let count = texts.len();
        let (reply, vectors) = oneshot::channel();
        if self.batches.send(Batch { texts, reply }).is_err() {
            return vec![Err(EmbedError::Stopped); count];
        }
        vectors
            .await
            .unwrap_or_else(|_| vec![Err(EmbedError::Stopped); count])
    }
}

impl Batch {
    /// Encodes slice by slice, and stops early once nobody waits for the answer.
    fn encode(self, core: &Core, scratch: &mut Scratch) {
        let mut vectors = Vectors::with_capacity(self.texts.len());
        let mut texts = self.texts.iter().peekable();
        let mut carried: Option<Vec<u32>> = None;
        while (carried.is_some() || texts.peek().is_some()) && !self.reply.is_closed() {
            let mut slice: Vec<Vec<u32>> = carried.take().into_iter().collect();
            let mut tokens: usize = slice.iter().map(Vec::len).sum();
            for text in texts.by_ref() {
                let ids = core.tokens(text);
                if tokens > 0 && tokens + ids.len() > SLICE_TOKENS {
                    carried = Some(ids);
                    break;
                }
                tokens += ids.len();
                slice.push(ids);
            }
            let slice: Vec<&[u32]> = slice.iter().map(Vec::as_slice).collect();
            match core.encode_tokens(&slice, scratch) {
                Ok(encoded) => vectors.extend(encoded.into_iter().map(Ok)),
                Err(error) => vectors.extend(slice.iter().map(|_| Err(error.clone()))),
            }
        }
        // Nobody waiting any more is as good as delivered.
        let _ = self.reply.send(vectors);
    }
}

/// Lets queries and requests have the processor first.
fn lower_priority() {
    // Only Linux changes the calling thread alone; elsewhere the whole process would yield.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(10) {
        tracing::debug!(%error, "cannot lower the priority of the embedding thread");
    }
}
