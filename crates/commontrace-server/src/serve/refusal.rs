//! Answers in our form where hyper refuses a request by itself.
//!
//! What cannot be read as a request never reaches the router: hyper answers 400, 414 or 431 without
//! a body and offers no hook. So its bare head is recognised on its way out and a whole answer is
//! sent instead. Answers of the router always carry `x-request-id` and are never taken for one.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::http::StatusCode;
use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use tracing::info;

use crate::error::ApiError;
use crate::ids::Ids;
use crate::metrics;
use crate::middleware::request_id;

/// Longer heads than this are not hyper's own.
const MAX_BARE_HEAD: usize = 160;
/// How much of what a refused client still sends is read and thrown away: closing a connection on
/// it would cost it the answer.
const DRAIN_BYTES: usize = 4 * 1024 * 1024;
const DRAIN_WITHIN: Duration = Duration::from_secs(2);

/// A stream on which hyper's own refusals become whole answers. All else passes as it is.
#[derive(Debug)]
pub struct Refusals<S> {
    stream: S,
    ids: Ids,
    peer: SocketAddr,
    /// Whether the next write goes on with what the last one began.
    mid_write: bool,
    /// What is left to send of the answer to a refused request.
    answer: Option<Bytes>,
    /// After a refusal, until the client has had time to read it.
    drain: Option<Drain>,
}

#[derive(Debug)]
struct Drain {
    left: usize,
    deadline: Pin<Box<Sleep>>,
}

impl<S> Refusals<S> {
    /// Watches what is written to `stream`, whose other end is `peer`.
    pub fn new(stream: S, ids: Ids, peer: SocketAddr) -> Self {
        Self {
            stream,
            ids,
            peer,
            mid_write: false,
            answer: None,
            drain: None,
        }
    }

    fn refuse(&mut self, refusal: BareHead<'_>) {
        let id = self.ids.uuid().to_string();
        let status = refusal.error.status();
        let peer = self.peer;
        metrics::http_refusal(status);
        info!(
            request.id = %id,
            %peer,
            status = status.as_u16(),
            "a request that could not be read was answered {}", status.as_u16()
        );
        self.answer = Some(refusal.whole_answer(&id));
    }
}

impl<S: AsyncWrite + Unpin> Refusals<S> {
    /// Sends the rest of the answer in place of hyper's `replaced` bytes, which count as written
    /// when it is out.
    fn poll_answer(&mut self, cx: &mut Context<'_>, replaced: usize) -> Poll<io::Result<usize>> {
        if let Some(answer) = &mut self.answer {
            while answer.has_remaining() {
                match ready!(Pin::new(&mut self.stream).poll_write(cx, answer))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    written => answer.advance(written),
                }
            }
        }
        self.answer = None;
        self.drain = Some(Drain {
            left: DRAIN_BYTES,
            deadline: Box::pin(tokio::time::sleep(DRAIN_WITHIN)),
        });
        Poll::Ready(Ok(replaced))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Refusals<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Refusals<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        // A refusal is the last that hyper writes, and it begins a write: the request before it
        // was answered, and that answer sent, before it looked at the next one.
        if self.answer.is_none()
            && !self.mid_write
            && let Some(refusal) = BareHead::of(buf)
        {
            self.refuse(refusal);
        }
        if self.answer.is_some() {
            return self.poll_answer(cx, buf.len());
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.mid_write = written < buf.len();
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = bufs {
            return self.poll_write(cx, only);
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs))?;
        self.mid_write = written < bufs.iter().map(|buf| buf.len()).sum();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        if let Some(drain) = &mut this.drain {
            ready!(drain.poll(&mut this.stream, cx));
        }
        Poll::Ready(Ok(()))
    }
}

impl Drain {
    /// Ready when the client has stopped sending, or has sent too much or for too long.
    fn poll<S: AsyncRead + Unpin>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<()> {
        let mut thrown_away = [0; 4096];
        while self.left > 0 && self.deadline.as_mut().poll(cx).is_pending() {
            let mut buf = ReadBuf::new(&mut thrown_away);
            let read = ready!(Pin::new(&mut *stream).poll_read(cx, &mut buf));
            if read.is_err() || buf.filled().is_empty() {
                break;
            }
            self.left = self.left.saturating_sub(buf.filled().len());
        }
        Poll::Ready(())
    }
}

/// The head of an answer that has nothing but what hyper adds by itself, and no body.
struct BareHead<'a> {
    error: ApiError,
    status_line: &'a str,
    date: &'a str,
}

impl<'a> BareHead<'a> {
    /// Recognises one that is all there is to write.
    fn of(written: &'a [u8]) -> Option<Self> {
        if written.len() > MAX_BARE_HEAD || !written.starts_with(b"HTTP/1.") {
            return None;
        }
        let head = std::str::from_utf8(written)
            .ok()?
            .strip_suffix("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let status_line = lines.next()?;
        let error = refusal(status_line.split(' ').nth(1)?.parse().ok()?)?;
        let (mut empty, mut date) = (false, None);
        for line in lines {
            match line {
                "connection: close" => {}
                "content-length: 0" => empty = true,
                _ if line.starts_with("date: ") => date = Some(line),
                _ => return None,
            }
        }
        Some(Self {
            error,
            status_line,
            date: date.filter(|_| empty)?,
        })
    }

    /// Returns the answer that says the same with a body, as every other answer has it.
    fn whole_answer(self, id: &str) -> Bytes {
        let body = request_id::with(id, || self.error.into_json());
        let (status_line, date, length) = (self.status_line, self.date, body.len());
        let mut answer = format!(
            "{status_line}\r\n\
             content-type: application/problem+json\r\n\
             x-content-type-options: nosniff\r\n\
             cache-control: no-store\r\n\
             x-request-id: {id}\r\n\
             content-length: {length}\r\n\
             connection: close\r\n\
             {date}\r\n\r\n"
        )
        .into_bytes();
        answer.extend_from_slice(&body);
        answer.into()
    }
}

/// Returns what to say where hyper says only this.
fn refusal(status: StatusCode) -> Option<ApiError> {
    match status {
        StatusCode::BAD_REQUEST => Some(ApiError::malformed()),
        StatusCode::URI_TOO_LONG => Some(ApiError::uri_too_long()),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Some(ApiError::headers_too_large()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const BARE: &[u8] = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\
        content-length: 0\r\ndate: Sat, 21 Nov 2026 01:50:44 GMT\r\n\r\n";

    /// What arrives of these writes, each one or several buffers, through a pipe of this size.
    async fn arrives(writes: Vec<Vec<Vec<u8>>>, pipe: usize) -> Vec<u8> {
        let (here, mut there) = duplex(pipe);
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut stream = Refusals::new(here, Ids::seeded(0), peer);
        let write = async move {
            for buffers in writes {
                write_all(&mut stream, buffers.concat(), buffers.len() > 1).await;
            }
            stream.shutdown().await.unwrap();
        };
        let mut arrived = Vec::new();
        let read = async {
            there.read_to_end(&mut arrived).await.unwrap();
            drop(there);
        };
        tokio::join!(write, read);
        arrived
    }

    /// Writes as hyper does: the same again until it is taken, then the rest.
    async fn write_all(stream: &mut Refusals<DuplexStream>, bytes: Vec<u8>, vectored: bool) {
        let mut left = &bytes[..];
        while !left.is_empty() {
            let (a, b) = left.split_at(left.len() / 2);
            let written = if vectored {
                let parts = [IoSlice::new(a), IoSlice::new(b)];
                stream.write_vectored(&parts).await.unwrap()
            } else {
                stream.write(left).await.unwrap()
            };
            left = &left[written..];
        }
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        runtime.unwrap().block_on(future)
    }

    #[test]
    fn a_bare_refusal_becomes_a_whole_answer_however_slowly_it_is_taken() {
        for pipe in [1, 7, 4096] {
            let arrived = run(arrives(vec![vec![BARE.to_vec()]], pipe));
            let text = String::from_utf8(arrived).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 431 "), "{head}");
            assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert!(head.contains(&format!(
                "x-request-id: {}",
                body["request_id"].as_str().unwrap()
            )));
            assert_eq!(body["status"], 431);
        }
    }

    proptest! {
        #[test]
        fn every_other_write_passes_unchanged(
            writes in proptest::collection::vec(
                proptest::collection::vec(
                    prop_oneof![
                        proptest::collection::vec(any::<u8>(), 1..40),
                        // An answer of ours, and bytes that begin or end like a refusal.
                        Just(b"HTTP/1.1 404 Not Found\r\nx-request-id: 1\r\n\
                            content-length: 0\r\ndate: x\r\n\r\n".to_vec()),
                        Just(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\
                            x-request-id: 1\r\ndate: x\r\n\r\n".to_vec()),
                        Just([&b"HTTP/1.1 200 OK\r\n\r\n"[..], BARE].concat()),
                        Just([BARE, &b"{}"[..]].concat()),
                        Just(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()),
                    ],
                    1..3,
                ),
                0..6,
            ),
            pipe in 1_usize..300,
        ) {
            let sent = writes.concat().concat();
            prop_assert_eq!(run(arrives(writes, pipe)), sent);
        }
    }

    #[test]
    fn what_goes_on_with_an_answer_is_not_taken_for_a_refusal() {
        // The pipe takes what stands before it, so that it begins the second attempt to write.
        let before = b"an answer of many bytes: ".to_vec();
        let sent = [&before[..], BARE].concat();
        let arrived = run(arrives(vec![vec![sent.clone()]], before.len()));
        assert_eq!(arrived, sent);
    }
}
